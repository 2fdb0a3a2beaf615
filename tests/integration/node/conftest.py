"""A federation with its broker for tests of whole nodes."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from almenara import clock
from almenara.trust.directory import AudienceKind
from node_process import NodeProcess
from node_site import MEMBERS, TRIO, NodeSite

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeSite]:
    """Return the federation, its broker running and its members on the cluster."""
    site = NodeSite(tmp_path_factory.mktemp("nodes"))
    asyncio.run(site.start())
    site.join(*MEMBERS)
    site.federation.create_audience(
        "trio", kind=AudienceKind.SUB_REGION, members=frozenset(TRIO), title="Those that run", now=clock.now()
    )
    asyncio.run(site.sync())
    yield site
    asyncio.run(site.stop())


@pytest.fixture(scope="session")
def trio(site: NodeSite) -> Iterator[NodeSite]:
    """Return the federation with the nodes of PE, AR and CL running."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(NodeProcess(site[member], single=True)) for member in TRIO]
        for node in nodes:
            node.ready()
        yield site
