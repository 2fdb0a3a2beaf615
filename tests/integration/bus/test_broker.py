"""The embedded broker keeps what it was given, its address and its state to itself."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from almenara.bus.broker import Broker
from almenara.bus.kafka import Reader, Sender, answers
from almenara.bus.turned_away import turn_away
from almenara.errors import Code, Misconfigured, Unavailable
from almenara.model.ids import MemberId
from broker_site import Site
from patience import PATIENCE_S, until

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.bus.received import Received

pytestmark = pytest.mark.integration

PE, AR = MemberId("PE"), MemberId("AR")

RUN = """
import asyncio, sys
from pathlib import Path
from almenara.bus.broker import run
asyncio.run(run(Path(sys.argv[1]), ready_file=Path(sys.argv[2])))
"""


async def sent_in_the_end(sender: Sender, topic: str, values: list[bytes]) -> None:
    """Send until the broker has answered: what was sent before and not answered is the same batch."""
    while True:
        with suppress(Unavailable):
            await sender.send(topic, values)
            return


async def test_clients_go_on_over_a_kill_of_the_broker(broker: Site) -> None:
    """Nothing acknowledged is lost, nothing doubled, the address stays, and both sides recover alone."""
    await broker.open_audience("killed", [PE, AR])
    topic, address, java = "ams.killed.pe", broker.bootstrap, broker.broker.nodes[0].pid
    assert java
    received: list[Received] = []
    absences: list[Code] = []

    async def read_until(count: int, reader: Reader) -> None:
        while len(received) < count:
            try:
                received.extend(await reader.poll(0.5))
            except Unavailable as away:
                absences.append(away.code)

    async with (
        Sender(broker.bootstrap, broker.member(PE), request_timeout_s=2) as sender,
        Reader(broker.bootstrap, broker.member(AR), request_timeout_s=2, silence_s=1) as reader,
    ):
        await reader.assign({topic: None})
        await sent_in_the_end(sender, topic, [b"before"])
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read_until(3, reader))
            os.kill(java, signal.SIGKILL)
            with pytest.raises(Unavailable, match=r"ended with status -9; read .*broker\.log"):
                await broker.broker.keep()
            for _ in range(2):
                with pytest.raises(Unavailable) as away:
                    await sender.send(topic, [b"during"])
                assert away.value.code is Code.BROKER_DOWN
            await broker.broker.start()
            assert broker.bootstrap == address
            # Both unanswered attempts and this one are the same batch, as for a publisher's outbox.
            await sent_in_the_end(sender, topic, [b"during", b"after"])
            await reading
        assert [record.value for record in received] == [b"before", b"during", b"after"]
        assert [record.value for record in await reader.read_all(topic)] == [b"before", b"during", b"after"]
        assert set(absences) == {Code.BROKER_DOWN}


async def test_a_broker_that_is_kept_no_more_while_it_restarts_comes_up_by_itself(broker: Site) -> None:
    (node,) = broker.broker.nodes
    before = node.pid
    turn_away(broker.broker.folder, ["EC.9"])
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(broker.broker.keep())
        while node.pid in {before, None}:  # noqa: ASYNC110 - nobody tells when it is launched
            await asyncio.sleep(0.01)
        keeping.cancel()
    await until(lambda: answers(broker.bootstrap, broker.operator()), bool)
    assert node.pid not in {before, None}
    assert node.turned_away == {"EC.9"}


async def test_a_state_has_one_broker(broker: Site) -> None:
    second = Broker(broker.folder)
    with pytest.raises(Misconfigured, match=f"in use by process {os.getpid()}") as locked:
        await second.start()
    assert locked.value.code is Code.STORE_LOCKED
    assert await answers(broker.bootstrap, broker.operator())


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port} of 127.0.0.1 is taken"):
            await Broker(site.folder, port=port).start()


@pytest.mark.parametrize("missing", ["broker.pem", "ca.pem"])
async def test_a_state_without_certificates_is_named(tmp_path: Path, missing: str) -> None:
    site = Site(tmp_path / "site")
    (site.broker.folder / missing).unlink()
    with pytest.raises(Misconfigured, match=missing):
        await site.broker.start()


async def start_run(site: Site, ready: Path) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, str(site.folder), str(ready))
    gone = False
    async with asyncio.timeout(PATIENCE_S):
        # What an earlier broker left there must go before this one is ready.
        while not gone or not ready.exists():
            gone = gone or not ready.exists()
            assert process.returncode is None
            await asyncio.sleep(0.05)
    return process, json.loads(ready.read_text())


@pytest.mark.timeout(450)  # on a busy machine each of its starts takes a minute and more
async def test_the_broker_command_says_when_it_is_ready_and_leaves_nothing_behind(tmp_path: Path) -> None:
    site, ready = Site(tmp_path / "site"), tmp_path / "ready.json"
    process, found = await start_run(site, ready)
    assert found["pid"] == process.pid
    assert await answers(found["bootstrap"], site.operator())
    (kafka,) = map(psutil.Process, found["kafka_pids"])

    process.kill()
    await process.wait()
    assert not psutil.wait_procs([kafka], timeout=PATIENCE_S)[1]
    assert not await answers(found["bootstrap"], site.operator())

    process, again = await start_run(site, ready)
    assert (again["pid"], again["bootstrap"]) == (process.pid, found["bootstrap"])
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0
    assert not psutil.pid_exists(*again["kafka_pids"])
    assert not ready.exists()
