"""A disk fills, a store is locked or loses its log, a broker ends: each has a name, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from alerts import new_alert
from almenara.errors import Code, Unavailable
from almenara.node.answers import StreamState
from almenara.node.remote import RemoteNode
from almenara.store import highwater, outbox
from almenara.store.database import Store
from buses import connected, ids_held, stream
from full_disk import SmallDisk, disk_full_for
from node_process import NodeProcess
from patience import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from almenara.client import Bus
    from almenara.node.settings import MemberSettings
    from node_site import NodeSite

pytestmark = pytest.mark.integration

FULL = "the disk is full"
SOCKETS = shutil.ignore_patterns("*.sock")


@contextmanager
def limited(_settings: MemberSettings) -> Iterator[Callable[[NodeProcess], AbstractContextManager[None]]]:
    """Lend a disk that is full by a limit on the node's files."""

    def full(node: NodeProcess) -> AbstractContextManager[None]:
        ready = node.ready()
        return disk_full_for([ready.pid, *ready.children.values()])

    yield full


@contextmanager
def small(settings: MemberSettings) -> Iterator[Callable[[NodeProcess], AbstractContextManager[None]]]:
    """Lend a disk that is full to its last byte, with the member's state on it."""
    aside = settings.folder / "state-aside"
    settings.state.mkdir(exist_ok=True)
    shutil.copytree(settings.state, aside, ignore=SOCKETS)
    with SmallDisk(settings.state) as disk:
        shutil.copytree(aside, settings.state, dirs_exist_ok=True)
        yield lambda _node: disk.full()
        shutil.rmtree(aside)
        shutil.copytree(settings.state, aside, ignore=SOCKETS)
    shutil.copytree(aside, settings.state, dirs_exist_ok=True)
    shutil.rmtree(aside)


@pytest.mark.parametrize("disk", [limited, pytest.param(small, marks=pytest.mark.root)])
async def test_a_full_disk_has_its_name_and_everything_goes_on_once_there_is_space(
    site: NodeSite,
    disk: Callable[
        [MemberSettings], AbstractContextManager[Callable[[NodeProcess], AbstractContextManager[None]]]
    ],
) -> None:
    earlier, before, refused, theirs, after = (new_alert() for _ in range(5))
    with disk(site["UY"]) as full, NodeProcess(site["UY"]) as node:
        children = node.ready().children
        async with connected(site, "UY", "BO") as (uy, bo):
            await bo.publish(earlier)
            await ids_held(uy, sender="BO", until={earlier.message_id})  # its subscriber has opened the store
            await uy.publish(before)
            with full(node):
                with pytest.raises(Unavailable) as caught:
                    await _until_refused(uy)
                assert caught.value.code is Code.STORE_FULL
                assert caught.value.retry_after_s > 1
                await bo.publish(theirs)
                await until(lambda: _problems(uy), lambda shown: any(FULL in each for each in shown))
            await uy.publish(refused)
            await uy.publish(after)
            mine = await ids_held(bo, sender="UY", until={before.message_id, refused.message_id})
            assert len(mine) == len(set(mine))
            await ids_held(uy, sender="BO", until={theirs.message_id})
            assert not [each for each in (await uy.node.status()).problems if FULL in each]
        assert node.ready().children == children, "nothing of it ended"


async def _problems(bus: Bus) -> tuple[str, ...]:
    """Return what the status says after one more write: what needs no new page may still succeed."""
    with suppress(Unavailable):
        await bus.publish(new_alert())
    return (await bus.node.status()).problems


async def _until_refused(bus: Bus) -> None:
    """Publish until the disk has no room: what the log of SQLite had reserved is used up first."""
    for _ in range(10_000):
        await bus.publish(new_alert())


async def test_a_broker_without_space_ends_and_what_was_accepted_arrives_when_it_is_back(
    site: NodeSite,
) -> None:
    async with connected(site, "BO", "UY") as (bo, uy):
        before, meanwhile = new_alert(), new_alert()
        await bo.publish(before)
        await ids_held(uy, sender="BO", until={before.message_id})
        kafka = site.broker.nodes[0].pid
        assert kafka
        with disk_full_for([kafka]):
            await bo.publish(meanwhile)
            with pytest.raises(Unavailable, match="Kafka ended") as caught:
                async with asyncio.timeout(PATIENCE_S):
                    await site.broker.keep()
        assert caught.value.code is Code.BROKER_DOWN
        status = await bo.node.status()
        assert not status.broker_answers
        assert status.counts.unsent >= 1
        await site.broker.start()
        found = await ids_held(uy, sender="BO", until={before.message_id, meanwhile.message_id})
        assert len(found) == len(set(found))


async def test_a_store_that_another_program_locks_is_named_and_goes_on(
    site: NodeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("almenara.store.sqlite.BUSY_TIMEOUT_S", 0.3)
    alert, theirs = new_alert(), new_alert()
    async with connected(site, "UY", "BO") as (uy, bo):
        with closing(sqlite3.connect(site["UY"].store_path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable) as caught:
                await uy.publish(alert)
            assert caught.value.code is Code.STORE_LOCKED
            await bo.publish(theirs)
            problems = (await uy.node.status()).problems
            assert [each for each in problems if "another process holds its lock" in each]
            holder.execute("ROLLBACK")
        await uy.publish(alert)
        await ids_held(bo, sender="UY", until={alert.message_id})
        await ids_held(uy, sender="BO", until={theirs.message_id})


async def test_a_stopped_node_keeps_its_lease_and_answers_once_it_goes_on(
    site: NodeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("almenara.node.remote.ANSWER_S", 1.0)
    alert = new_alert()
    settings = site["UY"]
    with NodeProcess(settings, single=True) as node:
        pid = node.ready().pid
        os.kill(pid, signal.SIGSTOP)
        try:
            async with RemoteNode(settings.socket_path, patience_s=0.1) as remote:
                with pytest.raises(Unavailable) as silent:
                    await remote.publish(alert, audience="region")  # type: ignore[arg-type]
            assert silent.value.code is Code.NODE_DOWN
            twin = await asyncio.to_thread(
                subprocess.run,
                [*node.command, "--config", str(settings.file)],
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.kill(pid, signal.SIGCONT)
        assert twin.returncode == Unavailable.exit_status
        assert f"process {pid} runs this member's node" in twin.stderr
        monkeypatch.undo()
        async with connected(site, "UY", "BO") as (uy, bo):
            await uy.publish(alert)
            found = await ids_held(bo, sender="UY", until={alert.message_id})
    assert found.count(alert.message_id) == 1


async def test_a_log_that_was_lost_in_a_crash_shows_at_once_and_forks_nothing(site: NodeSite) -> None:
    """A store whose log is deleted is an older one: what was said since stands in no place twice."""
    settings = site["PY"]
    log = settings.store_path.with_name(f"{settings.store_path.name}-wal")
    first, lost, after = new_alert(), new_alert(), new_alert()
    async with connected(site, "PY") as (py,):
        await py.publish(first)
    with NodeProcess(settings, single=True) as node:
        node.ready()
        async with connected(site, "BO", "PY") as (bo, py):
            await stream(py, "PY", StreamState.OK, StreamState.EMPTY)
            await py.publish(lost)
            await ids_held(bo, sender="PY", until={lost.message_id})
            place = (await stream(py, "PY", StreamState.OK)).epoch
            async with asyncio.timeout(PATIENCE_S):
                while not _noted(settings, place):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            before = {each.record for each in await bo.node.evidence()}
            node.kill()
            log.unlink()
            node.start()
            await asyncio.to_thread(node.ready)
            await py.publish(after)
            found = await ids_held(bo, sender="PY", until={lost.message_id, after.message_id})
            assert len(found) == len(set(found))
            await stream(py, "PY", StreamState.OK)
            await stream(bo, "PY", StreamState.TRUNCATED)
            shown = [each for each in await bo.node.evidence() if each.record not in before]
    assert "store.restored" in node.log()
    assert {(each.publisher, each.kind) for each in shown} == {("PY", "TRUNCATED")}


def _noted(settings: MemberSettings, epoch: int) -> bool:
    """Tell whether the file beside the keys knows of everything that the store holds."""
    with closing(Store.open(settings.store_path)) as store:
        head = store.read_now(outbox.own_heads)["region"]  # type: ignore[index]
    marks = highwater.read_marks(settings.marks_path)
    return head.epoch == epoch and marks.get(head.audience) == (head.epoch, head.seq)
