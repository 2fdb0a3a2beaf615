"""A node that is killed, cut off, restored or lied to loses nothing, doubles nothing, and says so."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from alerts import new_alert
from almenara.bus.kafka import Reader, Sender
from almenara.errors import Code, Refused, Unavailable
from almenara.model.ids import REGION, MemberId, Stream
from almenara.node.answers import StreamState
from almenara.node.node import open_epochs
from almenara.trust.certificates import client_context
from buses import connected, ids_held, stream
from node_process import NodeProcess, alive
from patience import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from almenara.client import Bus
    from node_site import NodeSite

pytestmark = pytest.mark.integration

SMALLEST_STATEMENT = 1024
"""Bytes: its content is padded to the smallest bucket, and a heartbeat has none."""


async def test_two_nodes_are_killed_under_load_and_every_message_is_held_once(site: NodeSite) -> None:
    """Publisher, subscriber and whole nodes end by SIGKILL, while the caller just goes on."""
    randoms = random.Random(1)
    sent: list[UUID] = []
    with NodeProcess(site["EC"]) as ec, NodeProcess(site["PY"]) as py:
        ec.ready()
        py.ready()
        async with connected(site, "EC", "PY") as (author, reader):
            for round_ in range(3):
                alerts = [new_alert() for _ in range(15)]
                async with asyncio.TaskGroup() as tasks:
                    for alert in alerts:
                        tasks.create_task(_publish_whatever_happens(author, alert))
                    await asyncio.sleep(randoms.random() * 0.1)
                    if round_ == 0:
                        os.kill(ec.ready().children["publisher"], signal.SIGKILL)
                        os.kill(py.ready().children["subscriber"], signal.SIGKILL)
                    else:
                        node = ec if round_ == 1 else py
                        children = node.ready().children.values()
                        node.kill()
                        assert not [pid for pid in children if await _outlives(pid)]
                        node.start()
                        await asyncio.to_thread(node.ready)
                sent += [alert.message_id for alert in alerts]
            found = await ids_held(reader, sender="EC", until=set(sent))
            epoch = (await stream(author, "EC", StreamState.OK)).epoch
            evidence = await reader.node.evidence()
    assert len(found) == len(set(found))
    assert not [each for each in evidence if (each.publisher, each.epoch) == ("EC", epoch)]
    assert not site["EC"].ready_path.exists()


async def _publish_whatever_happens(bus: Bus, alert: object) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await bus.publish(alert)  # type: ignore[arg-type]
            except Unavailable:  # the node is away for longer than the SDK waits
                await asyncio.sleep(0.1)
            else:
                return


async def _outlives(pid: int) -> bool:
    for _ in range(100):
        if not alive(pid):
            return False
        await asyncio.sleep(0.05)
    return True


async def test_what_is_accepted_while_the_broker_is_away_arrives_when_it_is_back(site: NodeSite) -> None:
    async with connected(site, "BO", "UY") as (bo, uy):
        before = new_alert()
        await bo.publish(before)
        await ids_held(uy, sender="BO", until={before.message_id})
        async with _readers_left_at_many_moments(site):
            await site.broker.kill()
        alerts = [new_alert() for _ in range(3)]
        for alert in alerts:
            await bo.publish(alert)
        status = await bo.node.status()
        assert not status.broker_answers
        assert any("does not answer" in problem for problem in status.problems)
        assert status.counts.unsent >= 3
        await site.broker.start()
        expected = {alert.message_id for alert in alerts}
        found = await ids_held(uy, sender="BO", until=expected)
        assert len(found) == len(set(found))


@asynccontextmanager
async def _readers_left_at_many_moments(site: NodeSite) -> AsyncIterator[None]:
    """Lend readers at work, then leave each at another moment: whatever it is doing, it must end well.

    aiokafka takes the end of a fetch that it has just cancelled for its own, every third time.
    """
    topic = Stream(REGION, MemberId("BO")).topic("ams")
    leave = asyncio.Event()
    assigned: list[str] = []

    async def reads_for(delay_s: float) -> None:
        async with Reader(site.broker.bootstrap, site.context("UY")) as reader:
            assigned.extend(await reader.assign({topic: None}))
            await leave.wait()
            with suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(delay_s):
                    while True:
                        await reader.poll(0.05)

    async with asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(reads_for(0.3 + 0.037 * number)) for number in range(12)]
        async with asyncio.timeout(PATIENCE_S):
            while len(assigned) < len(reading):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield
        leave.set()
    assert not [task for task in reading if task.cancelled()]


async def test_who_joins_late_reads_what_is_published_from_then_on(site: NodeSite) -> None:
    early, late = new_alert(), new_alert()
    async with connected(site, "BO") as (bo,):
        await bo.publish(early)
        site.join("VE")
        await site.synced()
        async with connected(site, "VE") as (ve,):
            # BO takes the newcomer in once the delay for members it never saw is over.
            await until(lambda: bo.check(late), lambda preview: "VE" in preview.expected)
            handle = await bo.publish(late)
            await ids_held(ve, sender="BO", until={late.message_id})
            with pytest.raises(Refused) as caught:
                await ve.node.show(early.message_id)
            assert caught.value.code is Code.UNKNOWN_MESSAGE
            await until(handle.confirmations, lambda confirmed: "VE" in confirmed.received)


async def test_a_restored_store_stops_until_its_member_opens_a_new_epoch(site: NodeSite) -> None:
    """Restored without a word, it would sign its sequence numbers a second time."""
    store = site["UY"].store_path
    backup = store.with_suffix(".backup")
    first, lost, after = new_alert(), new_alert(), new_alert()
    async with connected(site, "BO") as (bo,):
        async with connected(site, "UY") as (uy,):
            await uy.publish(first)
        shutil.copyfile(store, backup)
        async with connected(site, "UY") as (uy,):
            await uy.publish(lost)
            await ids_held(bo, sender="UY", until={first.message_id, lost.message_id})
        for leftover in store.parent.glob(f"{store.name}*"):
            leftover.unlink()
        backup.rename(store)
        site["UY"].marks_path.unlink()  # that would tell: test_member_keys.py

        async with connected(site, "UY") as (uy,):
            await stream(uy, "UY", StreamState.STOPPED)
            with pytest.raises(Refused) as caught:
                await uy.publish(after)
            assert caught.value.code is Code.BROKER_AHEAD
            assert "epoch open" in caught.value.text
        assert open_epochs(site["UY"]) >= 1
        async with connected(site, "UY") as (uy,):
            await uy.publish(after)
            await stream(uy, "UY", StreamState.OK)
            await ids_held(bo, sender="UY", until={first.message_id, lost.message_id, after.message_id})
            await stream(bo, "UY", StreamState.TRUNCATED)
            evidence = await bo.node.evidence()
    assert {each.kind for each in evidence if each.publisher == "UY"} == {"TRUNCATED"}


async def test_forged_and_replayed_records_are_refused_by_name_and_hold_up_nobody(site: NodeSite) -> None:
    """The operator writes what it likes into the topics: it holds every right on the broker."""
    context = client_context(
        certificate=site.federation.operator_path,
        key=site.federation.operator_path,
        ca=site.federation.ca_path,
    )
    original, after = new_alert(), new_alert()
    topics = [Stream(REGION, MemberId(member)).topic("ams") for member in ("BO", "PE")]
    async with (
        connected(site, "BO", "UY") as (bo, uy),
        Reader(site.broker.bootstrap, context) as reader,
        Sender(site.broker.bootstrap, context) as sender,
    ):
        await bo.publish(original)
        await ids_held(uy, sender="BO", until={original.message_id})
        before = {kept.position for kept in await uy.node.quarantine(limit=1000)}
        records = [record.value for record in await reader.read_all(topics[0])]
        replayed = next(record for record in reversed(records) if len(record) > SMALLEST_STATEMENT)
        forged, exchanged = bytearray(replayed), bytearray(replayed)
        forged[100] ^= 1  # in the head, which is signed
        exchanged[-40] ^= 1  # in the content, whose hash is signed
        await sender.send(topics[0], [b"not a record", bytes(forged), bytes(exchanged), *records])
        await sender.send(topics[1], [replayed])
        await bo.publish(after)
        found = await ids_held(uy, sender="BO", until={original.message_id, after.message_id})
        codes = await until(lambda: _new_refusals(uy, before), lambda codes: len(codes) >= 4)
        await stream(uy, "BO", StreamState.OK)
    assert len(found) == len(set(found))
    assert codes == {
        ("BO", Code.UNKNOWN_SCHEMA.value, False),
        ("BO", Code.BAD_SIGNATURE.value, False),
        ("BO", Code.CONTENT_HASH.value, False),
        ("PE", Code.STREAM_OWNER.value, True),
    }


async def _new_refusals(bus: Bus, before: set[int]) -> set[tuple[str, str, bool]]:
    kept = await bus.node.quarantine(limit=1000)
    new = [each for each in kept if each.position not in before and each.publisher in {"BO", "PE"}]
    return {(each.publisher, each.code, each.proven) for each in new}


async def test_sigterm_drains_and_nothing_of_the_node_stays(site: NodeSite) -> None:
    alert = new_alert()
    with NodeProcess(site["EC"]) as node:
        ready = node.ready()
        async with connected(site, "EC") as (ec,):
            await ec.publish(alert)
        assert node.end() == 0
        assert not [pid for pid in (ready.pid, *ready.children.values()) if alive(pid)]
    assert not site["EC"].ready_path.exists()
    assert not site["EC"].socket_path.exists()
    async with connected(site, "UY") as (uy,):
        await ids_held(uy, sender="EC", until={alert.message_id})


async def test_a_configuration_that_no_restart_can_mend_ends_the_node_with_its_status(site: NodeSite) -> None:
    with NodeProcess(site["PY"]) as node:
        pid = node.ready().children["publisher"]
        key = site["PY"].keys / "signing.json"
        moved = key.rename(key.with_suffix(".away"))
        try:
            os.kill(pid, signal.SIGKILL)
            status = await asyncio.to_thread(node.process.wait, PATIENCE_S)
        finally:
            moved.rename(key)
        log = node.log()
    assert status == 2
    assert "signing.json" in log
