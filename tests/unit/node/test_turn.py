"""Does a node wait for its turn, say so to whom it concerns, and end when its turn is over?"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from almenara.errors import Code, Superseded, Unavailable
from almenara.node import turn as turns
from almenara.node.node import MemberNode, _until_overtaken
from almenara.node.settings import load_settings
from almenara.node.turn import turn, watch
from almenara.store.database import Store
from almenara.store.lease import folder_lease, stands_by
from almenara.store.server_lease import ServerLease
from patience import until
from unit.store.rows import put

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.node.settings import MemberSettings
    from almenara.store.place import Database
    from postgres_cluster import Cluster

POSTGRES = pytest.mark.postgres


def member(folder: Path, place: Database | None = None) -> MemberSettings:
    """Return the settings of a node of PE in a folder of its own."""
    (folder / "state").mkdir(parents=True)
    (folder / "member.toml").write_text('federation = "ams"\nmember = "PE"\n')
    return load_settings(folder, environ={} if place is None else {"ALMENARA_STORE": place.url})


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "POLL_S", 0.02)


async def test_a_store_in_a_file_needs_the_folders_lock_and_nobody_stands_by(tmp_path: Path) -> None:
    settings = member(tmp_path)
    async with turn(settings, stopping=asyncio.Event()) as held:
        assert held is not None
        assert (held.server, held.term) == (None, None)
        with pytest.raises(Unavailable) as refused:
            async with turn(settings, stopping=asyncio.Event()):
                pass
    assert refused.value.code is Code.STORE_LOCKED


def took(server: ServerLease) -> bool:
    """Tell whether the lease could be taken: the server needs a moment to see that a session has ended."""
    with suppress(Unavailable):
        server.take()
    return server.term is not None


@POSTGRES
async def test_a_node_stands_by_says_so_and_speaks_once_the_other_has_ended(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = member(tmp_path, database)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, capture_logs() as logs:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with closing(ServerLease(database)) as other:
            other.take(found=True)
            assert other.term is not None

            async def stand_by() -> int | None:
                async with turn(settings, stopping=asyncio.Event()) as held:
                    assert held is not None
                    assert settings.lease_path.read_text() == f"{os.getpid()}\n"
                    return held.term

            waiting = asyncio.create_task(stand_by())  # noqa: TID251 - what is waited for is the test
            said = await asyncio.to_thread(systemd.recv, 4096)
            assert said.startswith(b"READY=1\nSTATUS=stands by: store postgresql")
            words = r"stands by: .* runs this member's node"
            with pytest.raises(Unavailable, match=words), folder_lease(settings.lease_path):
                pass
            assert stands_by(settings.lease_path).startswith(
                f"process {os.getpid()} stands by: store postgresql"
            )
            assert not waiting.done()
        async with asyncio.timeout(60):
            assert await waiting == other.term + 1
    assert [each["event"] for each in logs] == ["node.standby", "node.lease_taken"]


@POSTGRES
async def test_who_stands_by_ends_when_it_is_told_to(tmp_path: Path, database: Database) -> None:
    stopping = asyncio.Event()
    with closing(ServerLease(database)) as other:
        other.take(found=True)
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:

            async def stop() -> None:
                await until(lambda: asyncio.sleep(0, waits(tmp_path)), bool)
                stopping.set()

            tasks.create_task(stop())
            async with turn(member(tmp_path, database), stopping=stopping) as held:
                assert held is None


@POSTGRES
async def test_after_a_restart_of_the_server_whoever_held_the_lease_comes_first(
    tmp_path: Path, database: Database, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "HOLDER_FIRST_S", 60.0)
    settings, stopping = member(tmp_path, database), asyncio.Event()
    with closing(ServerLease(database)) as other:
        other.take(found=True)
        term = other.term

        async def stand_by() -> None:
            async with turn(settings, stopping=stopping) as held:
                assert held is None

        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(stand_by())
            await until(lambda: asyncio.sleep(0, waits(tmp_path)), bool)
            cluster.end_sessions(database)
            # It has come back, and waits: it said that the server was away.
            said = settings.lease_path.read_text
            await until(lambda: asyncio.sleep(0, said()), lambda text: "does not answer" in text)
            await until(lambda: asyncio.to_thread(confirmed, other), bool)
            stopping.set()
        assert other.term == term


def confirmed(server: ServerLease) -> bool:
    """Tell whether the lease is held still; the first look may find that its session has ended."""
    with suppress(Unavailable):
        return server.confirm()
    return False


def waits(folder: Path) -> bool:
    lock = folder / "state" / "node.lock"
    return lock.exists() and "runs this member's node" in lock.read_text()


@POSTGRES
async def test_a_program_that_would_run_the_node_itself_does_not_stand_by(
    tmp_path: Path, database: Database
) -> None:
    with closing(ServerLease(database)) as other:
        other.take(found=True)
        with pytest.raises(Unavailable, match="runs this member's node"):
            async with turn(member(tmp_path, database)):
                pass


@POSTGRES
async def test_a_turn_that_is_over_ends_the_watch_and_whatever_writes(
    tmp_path: Path, database: Database, cluster: Cluster
) -> None:
    with capture_logs() as logs:
        async with turn(member(tmp_path, database)) as held:
            assert held is not None
            old = Store.open(database, term=held.term)
            cluster.end_lease(database)
            with closing(ServerLease(database)) as other:
                await until(lambda: asyncio.to_thread(took, other), bool)
                with pytest.raises(Superseded):
                    async with asyncio.timeout(60):
                        await watch(held)
                with pytest.raises(Superseded):
                    old.write_now(lambda c: put(c, "too late"))
                node = MemberNode([], [lambda: _until_overtaken(old)], service=None)
                with pytest.RaisesGroup(Superseded):
                    async with asyncio.timeout(60):
                        await node.run(asyncio.Event())
            old.close()
    said = [each["event"] for each in logs]
    assert said == ["node.lease_taken", "node.lease_in_doubt", "node.superseded", "node.superseded"]


@POSTGRES
async def test_a_lease_that_was_cut_off_is_kept_where_nobody_took_over(
    tmp_path: Path, database: Database, cluster: Cluster
) -> None:
    with capture_logs() as logs:
        async with turn(member(tmp_path, database)) as held, asyncio.TaskGroup() as tasks:
            assert held is not None
            cluster.end_lease(database)
            watching = tasks.create_task(watch(held))
            await until(lambda: asyncio.sleep(0, logs), lambda seen: seen[-1]["event"] == "node.lease_kept")
            watching.cancel()
    assert [each["event"] for each in logs] == ["node.lease_taken", "node.lease_in_doubt", "node.lease_kept"]
