"""How does a program use Almenara? It connects as a member, publishes, and reads the inbox.

socket answers                -> talk to the node that runs
no node, the lease is free    -> take it, and run publisher and subscriber in this process
the lease is held, no socket  -> Unavailable STORE_LOCKED, naming the holder

async with almenara.connect("PE/member.toml") as bus:
    handle = await bus.publish(alert, to=["AR", "CL"])
    confirmed = await handle.received(timeout=10)
    async for item in bus.subscribe(area="DRUGS", level="HIGH"):
        ...
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from almenara import clock
from almenara.errors import Code, Fault, MessageRefused, Unavailable
from almenara.model.codes import Area, Kind
from almenara.model.ids import REGION, audience_id, member_id
from almenara.model.json import parse_message_object, shaped
from almenara.model.messages import Message
from almenara.node.remote import RemoteNode
from almenara.node.settings import MemberSettings, load_settings
from almenara.store.wanted import LEVELS, InboxFilter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence
    from uuid import UUID

    from almenara.model.ids import MemberId
    from almenara.node.answers import Accepted, Confirmations, Item, Preview
    from almenara.node.service import Node

FOLLOW_WAIT_S = 20.0
"""How long one question for new items waits; a node that restarts is asked again."""

FOLLOW_ITEMS = 200
"""Items a question while a subscriber reads what is there already."""

START_WAIT_S = 5.0
"""How long a node that holds the lease may take to open its socket: a second, on an idle machine."""

START_POLL_S = 0.1


class Handle:
    """A message that was published: where it stands, and who has confirmed it."""

    def __init__(self, node: Node, accepted: Accepted) -> None:
        self._node = node
        self.accepted = accepted

    def __repr__(self) -> str:
        place = f"{self.accepted.audience} {self.accepted.epoch}/{self.accepted.seq}"
        return f"<Handle {self.message_id} on {place}>"

    @property
    def message_id(self) -> UUID:
        """Return the message's id."""
        return self.accepted.message_id

    async def received(self, *, timeout: float = 10.0) -> Confirmations:
        """Wait until every member has answered, at most `timeout` seconds; return who has and who not."""
        return await self._node.confirmations(self.message_id, wait_s=timeout)

    async def confirmations(self) -> Confirmations:
        """Return who has confirmed so far."""
        return await self._node.confirmations(self.message_id)


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
        accepted = await self.node.publish(
            _message(message), audience=audience_id(audience), to=None if to is None else _members(to)
        )
        return Handle(self.node, accepted)

    async def check(
        self,
        message: Message | Mapping[str, object],
        *,
        audience: str = REGION,
        to: Sequence[str] | None = None,
    ) -> Preview:
        """Return what publishing the message would do, or raise what `publish` would raise of it."""
        return await self.node.check(
            _message(message), audience=audience_id(audience), to=None if to is None else _members(to)
        )

    async def subscribe(
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
        """Yield every matching message of the inbox, then those that come, for ever.

        `level` means that level or higher, `hs` is a prefix. `after` None begins with the oldest
        message held, "new" with the next to come, a number after that `Item.position`. Raises
        MessageRefused UNKNOWN_CODE for a filter that nothing can match.
        """
        wanted = inbox_filter(
            area=area, level=level, hs=hs, origin=origin, sender=sender, kind=kind, audience=audience
        )
        position = after if isinstance(after, int) else 0
        if after == "new":
            position = (await self.node.inbox(wanted, limit=0)).position
        while True:
            page = await self.node.inbox(wanted, after=position, limit=FOLLOW_ITEMS, wait_s=FOLLOW_WAIT_S)
            for item in page.items:
                yield item
            position = page.position


def inbox_filter(
    *,
    area: str | Sequence[str] = (),
    level: str = "",
    hs: str | Sequence[str] = (),
    origin: str | Sequence[str] = (),
    sender: str | Sequence[str] = (),
    kind: str | Sequence[str] = (),
    audience: str | Sequence[str] = (),
) -> InboxFilter:
    """Return the filter; each field takes one value or several, and empty wants all.

    Raises MessageRefused UNKNOWN_CODE, FORMAT, with every value that nothing can match.
    """
    wanted = InboxFilter(
        areas=_values(area),
        min_level=level,
        hs_prefixes=_values(hs),
        origins=_values(origin),
        senders=_values(sender),
        kinds=_values(kind),
        audiences=_values(audience),
    )
    faults = [
        *_unknown("area", wanted.areas, [each.value for each in Area]),
        *_unknown("level", (level,) if level else (), LEVELS),
        *_unknown("kind", wanted.kinds, [each.value for each in Kind]),
        *(
            Fault(Code.FORMAT, "$.hs", f"{prefix!r}: want 1 to 6 digits")
            for prefix in wanted.hs_prefixes
            if not (prefix.isascii() and prefix.isdecimal() and len(prefix) <= 6)
        ),
    ]
    if faults:
        raise MessageRefused(faults)
    return wanted


@asynccontextmanager
async def connect(target: str | os.PathLike[str] | MemberSettings) -> AsyncIterator[Bus]:
    """Lend access to the bus: `target` is a member.toml, its folder, its settings, or a node.sock.

    Raises Misconfigured for settings that cannot serve, Unavailable STORE_LOCKED when a process holds
    the member's lease and does not answer. Leaving it waits a moment until what was published has left.
    """
    if not isinstance(target, MemberSettings):
        path = Path(target)
        if path.is_socket():
            async with RemoteNode(path) as remote:
                yield Bus(remote)
            return
        target = load_settings(path, environ=os.environ)
    async with AsyncExitStack() as stack:
        yield Bus(await _enter(target, stack))


async def _enter(settings: MemberSettings, stack: AsyncExitStack) -> Node:
    """Enter the node that runs, or else one of our own; wait a moment for one that is starting."""
    loop = asyncio.get_running_loop()
    until = loop.time() + START_WAIT_S
    while True:
        remote = await stack.enter_async_context(RemoteNode(settings.socket_path))
        if await remote.answers():
            return remote
        try:
            return await stack.enter_async_context(_in_process(settings))
        except Unavailable as error:
            if error.code != Code.STORE_LOCKED or loop.time() > until:
                raise
        await asyncio.sleep(START_POLL_S)


@asynccontextmanager
async def _in_process(settings: MemberSettings) -> AsyncIterator[Node]:
    """Run the whole node while the caller works; a crash of it ends the caller's work too."""
    # What a whole node takes is slow to import, and whoever asks one that runs needs none of it.
    from almenara.node.node import sole_node

    async with sole_node(settings) as node:
        if node.service is None:
            raise AssertionError(str(settings.file))
        stopping = asyncio.Event()
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(node.run(stopping))
            try:
                yield node.service
            except Exception as exc:  # noqa: BLE001 - the caller's own, raised again once we have drained
                failure = exc
            finally:
                stopping.set()
        if failure is not None:
            raise failure


def _message(message: Message | Mapping[str, object]) -> Message:
    if isinstance(message, Message):
        return shaped(message)
    return parse_message_object(message, now=clock.now())


def _members(members: Sequence[str]) -> tuple[MemberId, ...]:
    return tuple(member_id(member) for member in _values(members))


def _values(value: str | Sequence[str]) -> tuple[str, ...]:
    return ((value,) if value else ()) if isinstance(value, str) else tuple(value)


def _unknown(name: str, values: Collection[str], known: Collection[str]) -> list[Fault]:
    wanted = ", ".join(each for each in known if each)
    return [
        Fault(Code.UNKNOWN_CODE, f"$.{name}", f"{value!r} is no {name}: want one of {wanted}")
        for value in values
        if value not in known
    ]
