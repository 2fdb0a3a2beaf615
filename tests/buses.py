"""What does a member's bus hold, and how do its streams stand? Asked until it is so (patience.py)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import almenara
from almenara.model.ids import REGION
from almenara.store.wanted import InboxFilter
from patience import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from uuid import UUID

    from almenara.client import Bus
    from almenara.node.answers import Item, StreamState, StreamView
    from node_site import NodeSite

PAGE = 1000


@asynccontextmanager
async def connected(site: NodeSite, *members: str) -> AsyncIterator[list[Bus]]:
    """Lend a bus for each member: to its node if that runs, else with a node in this process."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(almenara.connect(site[member])) for member in members]


async def held(bus: Bus, message_id: UUID) -> Item:
    """Return the message with that id once the inbox has it."""
    async with asyncio.timeout(PATIENCE_S):
        async for item in bus.subscribe():
            if item.message.message_id == message_id:
                return item
    raise AssertionError(message_id)


async def inbox(bus: Bus, *, sender: str) -> list[Item]:
    """Return all that a bus holds of a sender now."""
    items: list[Item] = []
    position = 0
    while True:
        page = await bus.node.inbox(InboxFilter(senders=(sender,)), after=position, limit=PAGE)
        items += page.items
        if len(page.items) < PAGE:
            return items
        position = page.position


async def ids_held(bus: Bus, *, sender: str, until: set[UUID]) -> list[UUID]:
    """Return the ids of all that the sender's messages brought, once these are among them."""
    missing = set(until)
    async with asyncio.timeout(PATIENCE_S):
        async for item in bus.subscribe(sender=sender):
            missing.discard(item.message.message_id)
            if not missing:
                return [item.message.message_id for item in await inbox(bus, sender=sender)]
    raise AssertionError(missing)


async def view(
    bus: Bus, publisher: str, holds: Callable[[StreamView], bool], *, audience: str = REGION
) -> StreamView:
    """Return a stream once it stands as wanted."""

    async def ask() -> list[StreamView]:
        views = await bus.node.streams()
        return [each for each in views if (each.audience, each.publisher) == (audience, publisher)]

    (found,) = await until(ask, lambda views: any(map(holds, views)))
    return found


async def stream(bus: Bus, publisher: str, *states: StreamState, audience: str = REGION) -> StreamView:
    """Return a stream once it is in one of these states: under load STALE comes, and goes again."""
    return await view(bus, publisher, lambda found: found.state in states, audience=audience)
