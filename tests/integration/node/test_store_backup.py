"""A node is backed up while it works, killed, and restored: nothing is said twice, and nothing is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import almenara
from alerts import new_alert
from almenara import clock
from almenara.errors import Unavailable
from almenara.node.store_backup import back_up_store, restore_store
from almenara.store.wanted import InboxFilter
from node_process import NodeProcess

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from almenara.client import Bus
    from node_site import NodeSite

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
UNDER = b"a long sentence in a safe"


async def brings(bus: Bus, sender: str, expected: set[UUID], *, after: int = 0) -> int:
    """Return the inbox's last position once these messages of a sender stand there, each once."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            page = await bus.node.inbox(InboxFilter(senders=(sender,)), after=after, limit=1000)
            found = [item.message.message_id for item in page.items]
            if expected <= set(found):
                assert len(found) == len(set(found))
                return page.position
            await asyncio.sleep(0.05)


async def publishes(bus: Bus, count: int) -> set[UUID]:
    alerts = [new_alert() for _ in range(count)]
    async with asyncio.timeout(PATIENCE_S):
        for alert in alerts:
            await bus.publish(alert)
    return {alert.message_id for alert in alerts}


async def contradicted(bus: Bus, publisher: str, *, before: set[str]) -> set[str]:
    """Return the kinds of evidence on a publisher that a member has and had not before, once there is any."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            evidence = [each for each in await bus.node.evidence() if each.publisher == publisher]
            if kinds := {each.kind for each in evidence if each.hash not in before}:
                return kinds
            await asyncio.sleep(0.05)


async def test_a_running_node_is_backed_up_killed_and_restored(site: NodeSite, tmp_path: Path) -> None:
    settings = site["EC"]
    file = tmp_path / "EC-store.backup"

    def back_up() -> None:
        back_up_store(settings, file, under=UNDER, now=clock.now(), tell=lambda *_: None)

    with NodeProcess(settings) as node:
        node.ready()
        async with almenara.connect(site["BO"]) as bo:
            known = {each.hash for each in await bo.node.evidence()}
            async with almenara.connect(settings) as ec:
                first, theirs = await publishes(ec, 3), await publishes(bo, 3)
                await brings(ec, "BO", theirs)
                async with asyncio.TaskGroup() as tasks:
                    under_load = tasks.create_task(publishes(ec, 30))
                    tasks.create_task(asyncio.to_thread(back_up))
                beyond = await publishes(ec, 2)
                lost = await publishes(bo, 2)
                last = await brings(ec, "BO", theirs | lost)
                said = first | under_load.result() | beyond
                await brings(bo, "EC", said)
            node.kill()
            assert await _restored(site, file) >= 1
            node.start()
            await asyncio.to_thread(node.ready)
            async with almenara.connect(settings) as ec:
                # To a follower that had seen all, what came after the backup comes once more, and is known.
                await brings(ec, "BO", lost, after=last)
                await brings(ec, "BO", theirs | lost)
                after = await publishes(ec, 2)
                await brings(bo, "EC", said | after)
            assert await contradicted(bo, "EC", before=known) == {"TRUNCATED"}


async def _restored(site: NodeSite, file: Path) -> int:
    """Restore once the children of the killed node have gone too, and with them its lease."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                done = restore_store(
                    site["EC"], file, under=UNDER, force=True, now=clock.now(), tell=lambda *_: None
                )
            except Unavailable:
                await asyncio.sleep(0.1)
            else:
                return done.streams
