"""Two nodes of one member over one PostgreSQL: whatever ends the one, the other speaks, and nothing twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import structlog
from structlog.testing import capture_logs

import almenara
from alerts import new_alert
from almenara.errors import Code, Unavailable
from almenara.model.ids import REGION
from almenara.node.answers import StreamState
from almenara.node.remote import RemoteNode
from almenara.node.settings import load_settings
from buses import connected, ids_held, stream
from node_process import NodeProcess, alive
from patience import PATIENCE_S, until
from postgres_proxy import LosingProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from uuid import UUID

    from almenara.client import Bus
    from almenara.store.place import Database
    from node_site import NodeSite
    from postgres_cluster import Cluster

pytestmark = [pytest.mark.integration, pytest.mark.postgres]

MEMBER = "GT"

ALONE = "HN"
"""A member of one node, whose server loses an answer."""

log = structlog.get_logger()

ANSWER_S = 2.0
"""How long a caller waits for one node before it asks the other."""


class Pair:
    """The two nodes, each with a folder of its own as on two machines, and who of them has accepted what."""

    def __init__(self, nodes: tuple[NodeProcess, NodeProcess], place: Database, cluster: Cluster) -> None:
        self.nodes = nodes
        self.place = place
        self.cluster = cluster
        self.accepted: list[tuple[UUID, NodeProcess]] = []

    async def roles(self) -> tuple[NodeProcess, NodeProcess]:
        """Return who speaks and who stands by, once it is so; who ended is started again, as systemd does."""

        async def ask() -> list[NodeProcess]:
            for node in self.nodes:
                if node.process.poll() == Unavailable.exit_status:
                    node.start()
            return sorted(self.nodes, key=stands_by)

        one, other = await until(ask, lambda found: speaks(found[0]) and stands_by(found[1]))
        return one, other

    async def publish(self) -> None:
        """Publish one alert: to the one that answers, whatever happens meanwhile."""
        alert = new_alert()
        nodes = list(self.nodes)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with RemoteNode(nodes[0].settings.socket_path, patience_s=0.0) as remote:
                    with suppress(Unavailable, TimeoutError):
                        async with asyncio.timeout(ANSWER_S):
                            await remote.publish(alert, audience=REGION)
                        self.accepted.append((alert.message_id, nodes[0]))
                        return
                nodes.reverse()
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def callers(self) -> AsyncIterator[None]:
        """Lend callers that publish without end, and are answered in the end."""
        stopping = asyncio.Event()

        async def call() -> None:
            while not stopping.is_set():
                await self.publish()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(call())
            yield
            stopping.set()

    async def accepts(self, more: int, node: NodeProcess | None = None) -> None:
        """Return once so many more were accepted, all or those of one node."""

        async def count() -> int:
            return sum(node in (None, each) for _, each in self.accepted)

        wanted = await count() + more
        await until(count, lambda found: found >= wanted)

    async def held_once(self, reader: Bus) -> None:
        """See that a reader gets all that was accepted, each once, and no fork."""
        found = await ids_held(reader, sender=MEMBER, until={each for each, _ in self.accepted})
        assert len(found) == len(set(found))
        await stream(reader, MEMBER, StreamState.OK)
        assert MEMBER not in {each.publisher for each in await reader.node.evidence()}


def speaks(node: NodeProcess) -> bool:
    return node.process.poll() is None and node.settings.ready_path.exists()


def stands_by(node: NodeProcess) -> bool:
    lock = node.settings.lease_path
    return node.process.poll() is None and lock.exists() and "runs this member's node" in lock.read_text()


@pytest.fixture(scope="module")
def joined(site: NodeSite) -> NodeSite:
    site.join(MEMBER, ALONE)
    asyncio.run(site.synced())
    return site


@pytest.fixture(scope="module")
def pair(joined: NodeSite, cluster: Cluster) -> Iterator[Pair]:
    place = cluster.make()
    first = joined[MEMBER].folder
    second = first.with_name(f"{MEMBER}-second")
    shutil.copytree(first, second)
    store = {"ALMENARA_STORE": place.url}
    one, two = (
        NodeProcess(load_settings(folder, environ=store), environment=store) for folder in (first, second)
    )
    with one, two:
        yield Pair((one, two), place, cluster)
    cluster.drop(place)


async def test_a_node_that_is_killed_is_followed_by_the_one_that_stands_by(
    site: NodeSite, pair: Pair
) -> None:
    async with connected(site, "UY") as (reader,):
        active, standby = await pair.roles()
        async with pair.callers():
            await pair.accepts(10)
            began = time.monotonic()
            active.kill()
            await pair.accepts(1, standby)
            took_s = time.monotonic() - began
            await pair.accepts(10, standby)
        log.info("standby.accepted", after_s=round(took_s, 1))
        active.start()  # to stand by
        await pair.held_once(reader)


async def test_a_node_that_was_stopped_and_wakes_after_its_turn_ends_and_says_nothing(
    site: NodeSite, pair: Pair
) -> None:
    async with connected(site, "UY") as (reader,):
        active, standby = await pair.roles()
        ready = active.ready()
        stopped = [ready.pid, *ready.children.values()]
        async with pair.callers():
            await pair.accepts(10)
            try:
                for pid in stopped:
                    os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(0.5)  # what the server has begun for it ends
                pair.cluster.end_transactions(pair.place)
                pair.cluster.end_lease(pair.place)
                await pair.accepts(10, standby)
                before = len(pair.accepted)
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            assert await asyncio.to_thread(active.process.wait, PATIENCE_S) == Unavailable.exit_status
            await pair.accepts(10, standby)
        assert not [pid for pid in stopped if alive(pid)]
        assert active not in {node for _, node in pair.accepted[before:]}
        assert "node.superseded" in active.log()
        await pair.held_once(reader)


async def test_after_a_restart_of_the_server_one_of_them_speaks_and_nothing_is_lost(
    site: NodeSite, pair: Pair
) -> None:
    async with connected(site, "UY") as (reader,):
        await pair.roles()
        async with pair.callers():
            await pair.accepts(10)
            await asyncio.to_thread(pair.cluster.stop)
            pair.cluster.start()  # the kernel ends it with the thread that started it
            await pair.accepts(20)
        await pair.roles()
        await pair.held_once(reader)


async def test_a_commit_whose_answer_was_lost_is_asked_for_and_its_message_stays_one(
    joined: NodeSite, database: Database, cluster: Cluster
) -> None:
    before, lost, after = new_alert(), new_alert(), new_alert()
    with LosingProxy(cluster.port) as proxy, capture_logs() as logs:
        store = {"ALMENARA_STORE": cluster.over_tcp(database, proxy.port).url}
        settings = load_settings(joined[ALONE].folder, environ=store)
        async with almenara.connect(settings) as author, connected(joined, "UY") as (reader,):
            await author.publish(before)
            proxy.lose_commit_of(lost.message_id.bytes)
            with pytest.raises(Unavailable) as away:
                await author.publish(lost)
            assert (away.value.code, proxy.lost.is_set()) == (Code.STORE_AWAY, True)
            again = await author.publish(lost)
            await author.publish(after)
            expected = {before.message_id, lost.message_id, after.message_id}
            found = await ids_held(reader, sender=ALONE, until=expected)
            assert sorted(found) == sorted(expected)
            assert again.accepted.seq == 1
            await stream(reader, ALONE, StreamState.OK)
    assert "stream.committed_unseen" in {each["event"] for each in logs}
