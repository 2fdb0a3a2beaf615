"""Three nodes go on while one is killed, hangs or is started anew; nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from almenara.bus.admin import Admin
from almenara.bus.kafka import Reader, Sender, in_sync
from almenara.bus.turned_away import turn_away
from almenara.errors import Refused, Unavailable
from almenara.model.ids import MemberId
from broker_site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PE, AR, EC = MemberId("PE"), MemberId("AR"), MemberId("EC")
TOPIC = "ams.three.pe"

PATIENCE_S = 300.0
"""Three nodes start within 10 s; on a machine that does ten other things, one after the other, minutes."""


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site whose three nodes answer."""
    site = Site(tmp_path_factory.mktemp("three"), nodes=3)
    asyncio.run(site.broker.start())
    asyncio.run(site.open_audience("three", [PE, AR]))
    asyncio.run(_every_node_lets_in(site))
    yield site
    asyncio.run(site.broker.kill())


async def _every_node_lets_in(site: Site) -> None:
    """Return once each node has learned the rules: the one that made them knows them first."""
    async with asyncio.timeout(PATIENCE_S):
        for node in site.broker.nodes:
            async with Reader(node.address, site.member(AR)) as reader:
                while True:
                    with suppress(Refused, Unavailable):
                        await reader.end_offset(TOPIC)
                        break
                    await asyncio.sleep(0.1)


class Flow:
    """Records that go on being sent, each again until it is acknowledged, as an outbox does."""

    def __init__(self, site: Site, sender: Sender, reader: Reader) -> None:
        self.sent = 0
        self.absences = 0
        self._site = site
        self._sender = sender
        self._reader = reader

    async def send(self) -> None:
        while True:
            with suppress(Unavailable):
                await self._sender.send(TOPIC, [str(self.sent).encode()])
                self.sent += 1
                await asyncio.sleep(0.02)
                continue
            self.absences += 1
            await asyncio.sleep(0.1)

    async def goes_on(self) -> None:
        """Return once ten more records are acknowledged."""
        enough = self.sent + 10
        async with asyncio.timeout(PATIENCE_S):
            while self.sent < enough:  # noqa: ASYNC110 - the sender has no event for a count
                await asyncio.sleep(0.05)

    async def leader(self) -> int:
        """Return the process id of the node that leads the topic."""
        leaders, _ = await self._reader._leaders([TOPIC])  # noqa: SLF001 - nobody else asks who leads
        pid = self._site.broker.nodes[leaders[TOPIC] - 1].pid
        assert pid
        return pid

    async def whole(self) -> None:
        """Return once all three take part and hold everything."""
        async with asyncio.timeout(PATIENCE_S):
            while not await in_sync(self._site.bootstrap, self._site.operator(), brokers=3):  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    async def read(self, begin: int) -> list[int]:
        """Return what a reader that went along has got since an offset, up to all that was sent."""
        found: list[int] = []
        async with asyncio.timeout(PATIENCE_S):
            while begin + len(found) < self.sent:
                with suppress(Unavailable):
                    found += [int(record.value) for record in await self._reader.poll(0.5)]
        return found


@asynccontextmanager
async def flowing(site: Site) -> AsyncIterator[Flow]:
    """Lend a flow over nodes that are kept; in the end each record lies there once, in its order."""
    async with (
        Sender(site.bootstrap, site.member(PE), request_timeout_s=2) as sender,
        Reader(site.bootstrap, site.member(AR), request_timeout_s=2) as reader,
    ):
        flow = Flow(site, sender, reader)
        begin = flow.sent = await reader.end_offset(TOPIC)
        await reader.assign({TOPIC: begin})
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(site.broker.keep())
            sending = tasks.create_task(flow.send())
            yield flow
            await flow.goes_on()
            await flow.whole()
            sending.cancel()
            await asyncio.wait([sending])
            keeping.cancel()
        # What was under way when it ended may be there too, behind all that was acknowledged.
        found = await flow.read(begin)
        assert found == list(range(begin, begin + len(found)))
        assert len(found) - (flow.sent - begin) in {0, 1}
        await sender.send(TOPIC, [])


async def test_a_killed_leader_is_replaced_and_comes_back(three: Site) -> None:
    async with flowing(three) as flow:
        await flow.goes_on()
        killed = await flow.leader()
        os.kill(killed, signal.SIGKILL)
        await flow.goes_on()
        assert await flow.leader() != killed
    assert killed not in {node.pid for node in three.broker.nodes}


async def test_a_leader_that_hangs_is_replaced_and_heals_when_it_goes_on(three: Site) -> None:
    async with flowing(three) as flow:
        hangs = await flow.leader()
        os.kill(hangs, signal.SIGSTOP)
        try:
            await flow.goes_on()
        finally:
            os.kill(hangs, signal.SIGCONT)
    assert hangs in {node.pid for node in three.broker.nodes}


async def test_with_two_of_three_away_senders_are_told_and_go_on_when_they_are_back(three: Site) -> None:
    async with flowing(three) as flow:
        leader = await flow.leader()
        other = next(node.pid for node in three.broker.nodes if node.pid not in {leader, None})
        assert other
        for pid in (leader, other):
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            while not flow.absences:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)


async def test_other_certificates_are_turned_away_by_one_node_after_the_other(three: Site) -> None:
    before = {node.pid for node in three.broker.nodes}
    async with flowing(three):
        turn_away(three.broker.folder, ["EC.1"])
        async with asyncio.timeout(PATIENCE_S):
            while {node.turned_away for node in three.broker.nodes} != {frozenset({"EC.1"})}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert not before & {node.pid for node in three.broker.nodes}
    async with Admin(three.bootstrap, three.operator()) as admin:
        (state,) = (await admin.topics([TOPIC])).values()
    assert (state.replication, state.configs["min.insync.replicas"]) == (3, "2")
