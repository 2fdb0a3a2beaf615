"""How does a command reach the member's node: by its socket, or else by its store?

What only reads needs no node: the store is there, and SQLite lets several processes read it.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from almenara import logs
from almenara.node.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from almenara.node.service import Node
    from almenara.node.settings import MemberSettings


def load(config: Path) -> MemberSettings:
    """Return the settings of a member; from here on only errors are logged.

    Raises Misconfigured CONFIGURATION naming the file, variable or key that is wrong.
    """
    logs.configure(level="error")
    return load_settings(config, environ=os.environ)


@asynccontextmanager
async def reading(settings: MemberSettings) -> AsyncIterator[Node]:
    """Lend the node that runs, or else one that answers from the store and does not run.

    Raises Misconfigured STORE_MISSING if neither is there.
    """
    from almenara.node.remote import RemoteNode

    async with RemoteNode(settings.socket_path) as node:
        if await node.answers():
            yield node
            return
    async with _stored(settings) as stored:
        yield stored


@asynccontextmanager
async def _stored(settings: MemberSettings) -> AsyncIterator[Node]:
    """Lend the answers of a node that does not run; an expired certificate does not matter for them."""
    from almenara.node.identity import load_keys
    from almenara.node.local import Connected, NodeService
    from almenara.publisher.publisher import Publisher
    from almenara.store.database import Store
    from almenara.trust.admission import read_member_certificate
    from almenara.trust.certificates import client_context
    from almenara.trust.heldkeys import HeldKeys

    async with Store.open(settings.store_place) as store:
        publisher = Publisher(
            federation=settings.federation,
            member=settings.member,
            signing_keys=HeldKeys(load_keys(settings).signing),
            store=store,
            settings=settings.publisher,
            marks=settings.marks_path,
        )
        await publisher.load()
        directory = publisher.directory
        connected = Connected(
            bootstrap=settings.bootstrap or (directory.bootstrap if directory else ""),
            context=client_context(
                certificate=settings.certificate_path, key=settings.tls_key_path, ca=settings.ca_path
            ),
            certificate=read_member_certificate(
                settings.certificate_path.read_bytes(), ca=settings.ca_path.read_bytes()
            ),
        )
        yield NodeService(settings=settings, store=store, publisher=publisher, connected=connected)
