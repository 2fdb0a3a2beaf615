"""How does a program use Almenara? It connects as a member, publishes, and reads the inbox.

socket answers                -> talk to the node that runs
no node, the lease is free    -> take it, and run publisher and subscriber in this process
the lease is held, no socket  -> Unavailable STORE_LOCKED, naming the holder
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal

from almenara.model.ids import REGION

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Mapping, Sequence
    from uuid import UUID

    from almenara.model.messages import Message
    from almenara.node.answers import Accepted, Confirmations, Item, Preview
    from almenara.node.service import Node
    from almenara.node.settings import MemberSettings


class Handle:
    """A message that was published: where it stands, and who has confirmed it."""

    def __init__(self, node: Node, accepted: Accepted) -> None:
        self._node = node
        self.accepted = accepted

    @property
    def message_id(self) -> UUID:
        """Return the message's id."""
        return self.accepted.message_id

    async def received(self, *, timeout: float = 10.0) -> Confirmations:
        """Wait until every member has answered, at most `timeout` seconds; return who has and who not."""
        raise NotImplementedError

    async def confirmations(self) -> Confirmations:
        """Return who has confirmed so far."""
        raise NotImplementedError


class Bus:
    """One member's access to the bus; `connect` gives one. `node` has everything a node answers."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def publish(
        self,
        message: Message | Mapping[str, object],
        *,
        audience: str = REGION,
        to: Sequence[str] | None = None,
    ) -> Handle:
        """Publish a message, or the dict of the JSON format; return once it is on disk, signed.

        The same message (the same message_id) may be published again: it stays one message. Raises
        MessageRefused with all faults, other Refused, Unavailable.
        """
        raise NotImplementedError

    async def check(
        self,
        message: Message | Mapping[str, object],
        *,
        audience: str = REGION,
        to: Sequence[str] | None = None,
    ) -> Preview:
        """Return what publishing the message would do, or raise what `publish` would raise of it."""
        raise NotImplementedError

    def subscribe(
        self,
        *,
        area: str | Sequence[str] = (),
        level: str = "",
        hs: str | Sequence[str] = (),
        origin: str | Sequence[str] = (),
        sender: str | Sequence[str] = (),
        kind: str | Sequence[str] = (),
        audience: str | Sequence[str] = (),
        after: int | Literal["new"] | None = None,
    ) -> AsyncIterator[Item]:
        """Return every matching message of the inbox, and go on with those that come, for ever.

        `level` means that level or higher, `hs` is a prefix. `after` None begins with the oldest
        message held, "new" with the next to come, a number after that `Item.position`. Raises Refused
        UNKNOWN_CODE for a filter that nothing can match.
        """
        raise NotImplementedError


@asynccontextmanager
async def connect(target: str | os.PathLike[str] | MemberSettings) -> AsyncIterator[Bus]:
    """Lend access to the bus: `target` is a member.toml, its folder, its settings, or a node.sock.

    Raises Misconfigured for settings that cannot serve, Unavailable STORE_LOCKED when a process holds
    the member's lease and does not answer.
    """
    raise NotImplementedError
    yield
