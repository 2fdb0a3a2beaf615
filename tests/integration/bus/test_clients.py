"""What is sent arrives once and in order; what is taken away is said."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from almenara.bus.admin import Admin
from almenara.bus.configuration import BATCH_MAX
from almenara.bus.kafka import Reader, Sender
from almenara.bus.received import Access
from almenara.bus.topics import AclRule, Operation, directory_settings
from almenara.errors import Code, Refused, Unavailable
from almenara.model.ids import MemberId
from broker_site import FEDERATION
from patience import PATIENCE_S

if TYPE_CHECKING:
    from almenara.bus.received import Received
    from broker_site import Site

pytestmark = pytest.mark.integration

PE, AR = MemberId("PE"), MemberId("AR")


async def poll_for(reader: Reader, count: int) -> list[Received]:
    found: list[Received] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            found += await reader.poll(0.5)
    return found


async def test_values_arrive_in_order_and_the_last_offset_is_told(broker: Site) -> None:
    await broker.open_audience("order", [PE, AR])
    values = [bytes([number]) * size for number, size in enumerate((1, 1_000_000, 700_000, 2, 1_000_000))]
    async with (
        Sender(broker.bootstrap, broker.member(PE)) as sender,
        Reader(broker.bootstrap, broker.member(AR)) as reader,
    ):
        assert await sender.send("ams.order.pe", values) == 4
        assert await sender.send("ams.order.pe", [b"last"]) == 5
        assert await sender.send("ams.order.pe", []) == -1
        await reader.assign({"ams.order.pe": None, "ams.order.ar": None})
        received = await poll_for(reader, 6)
        assert [record.value for record in received] == [*values, b"last"]
        assert [record.offset for record in received] == list(range(6))
        assert {record.topic for record in received} == {"ams.order.pe"}
        assert all(record.timestamp_ms > 1_700_000_000_000 for record in received)
        assert (await reader.begin_offset("ams.order.pe"), await reader.end_offset("ams.order.pe")) == (0, 6)


async def test_a_reader_goes_on_from_the_offset_it_names(broker: Site) -> None:
    await broker.open_audience("resume", [PE, AR])
    async with (
        Sender(broker.bootstrap, broker.member(PE)) as sender,
        Reader(broker.bootstrap, broker.member(AR)) as reader,
    ):
        await sender.send("ams.resume.pe", [b"0", b"1", b"2", b"3"])
        await reader.assign({"ams.resume.pe": 2})
        assert [record.value for record in await poll_for(reader, 2)] == [b"2", b"3"]
        await reader.seek("ams.resume.pe", 1)
        assert [record.value for record in await poll_for(reader, 3)] == [b"1", b"2", b"3"]
        await reader.seek("ams.resume.pe", None)
        assert len(await poll_for(reader, 4)) == 4
        assert [record.offset for record in await reader.read_from("ams.resume.pe", 3)] == [3]


async def test_an_offset_out_of_range_starts_again_from_the_earliest(broker: Site) -> None:
    await broker.open_audience("range", [PE, AR])
    async with (
        Sender(broker.bootstrap, broker.member(PE)) as sender,
        Reader(broker.bootstrap, broker.member(AR)) as reader,
    ):
        await sender.send("ams.range.pe", [b"0", b"1"])
        await reader.assign({"ams.range.pe": 1_000})
        assert [record.value for record in await poll_for(reader, 2)] == [b"0", b"1"]


async def test_topics_that_cannot_be_read_are_told_and_do_not_disturb_the_others(broker: Site) -> None:
    await broker.open_audience("mixed", [PE, AR])
    await broker.open_audience("mixed-closed", [PE])
    async with (
        Sender(broker.bootstrap, broker.member(PE)) as sender,
        Reader(broker.bootstrap, broker.member(AR)) as reader,
    ):
        access = await reader.assign(
            {"ams.mixed.pe": None, "ams.mixed-closed.pe": None, "ams.mixed.cl": None}
        )
        assert access == {
            "ams.mixed.pe": Access.READABLE,
            "ams.mixed-closed.pe": Access.REFUSED,
            "ams.mixed.cl": Access.MISSING,
        }
        await sender.send("ams.mixed.pe", [b"value"])
        assert len(await poll_for(reader, 1)) == 1


@pytest.mark.parametrize("what", ["right", "topic"])
async def test_what_is_taken_away_while_reading_is_told(broker: Site, what: str) -> None:
    audience = f"taken-{what}"
    kept, taken = f"ams.{audience}.ar", f"ams.{audience}.pe"
    rules = await broker.open_audience(audience, [PE, AR])
    async with (
        Admin(broker.bootstrap, broker.operator()) as admin,
        Sender(broker.bootstrap, broker.member(AR)) as sender,
        Reader(broker.bootstrap, broker.member(AR)) as reader,
    ):
        await admin.create_acls([AclRule(principal="User:AR.1", operation=Operation.READ, name=kept)])
        await reader.assign({kept: None, taken: None})
        await reader.poll(0.1)
        if what == "right":
            await admin.delete_acls([rule for rule in rules if rule.name == f"ams.{audience}."])
        else:
            await admin.delete_topics([taken])
        async with asyncio.timeout(PATIENCE_S):
            while reader.access[taken] is Access.READABLE:
                await reader.poll(0.2)
        assert reader.access == {
            kept: Access.READABLE,
            taken: Access.REFUSED if what == "right" else Access.MISSING,
        }
        await sender.send(kept, [b"value"])
        assert [record.value for record in await poll_for(reader, 1)] == [b"value"]


async def test_moving_in_a_topic_that_was_taken_away_drops_it(broker: Site) -> None:
    rules = await broker.open_audience("moved", [PE, AR])
    async with (
        Admin(broker.bootstrap, broker.operator()) as admin,
        Reader(broker.bootstrap, broker.member(AR)) as reader,
    ):
        await reader.assign({"ams.moved.pe": 0})
        await admin.delete_acls([rule for rule in rules if rule.principal == "User:AR.1"])
        await reader.seek("ams.moved.pe", None)
        assert reader.access == {"ams.moved.pe": Access.REFUSED}
        await reader.seek("ams.moved.pe", 0)
        assert await reader.poll(0.01) == []


async def test_access_is_that_of_the_last_assignment(broker: Site) -> None:
    await broker.open_audience("again", [PE, AR])
    async with Reader(broker.bootstrap, broker.member(AR)) as reader:
        await reader.assign({"ams.again.pe": None, "ams.again.cl": None})
        await reader.probe(["ams.other.pe"])
        assert reader.access == {"ams.again.pe": Access.READABLE, "ams.again.cl": Access.MISSING}
        await reader.assign({"ams.again.pe": None})
        assert reader.access == {"ams.again.pe": Access.READABLE}


async def test_a_reader_of_nothing_waits_and_finds_nothing(broker: Site) -> None:
    async with Reader(broker.bootstrap, broker.member(AR)) as reader:
        assert await reader.assign({}) == {}
        assert await reader.poll(0.01) == []


async def test_a_refused_writer_writes_on_when_it_is_let_in_again(broker: Site) -> None:
    """A refusal leaves a hole in the producer's sequence, which would bar the topic for ever."""
    rules = await broker.open_audience("refused", [PE, AR])
    writes = [rule for rule in rules if rule.operation is Operation.WRITE and rule.name == "ams.refused.pe"]
    async with (
        Admin(broker.bootstrap, broker.operator()) as admin,
        Sender(broker.bootstrap, broker.member(PE)) as sender,
        Reader(broker.bootstrap, broker.member(AR)) as reader,
    ):
        await sender.send("ams.refused.pe", [b"before"])
        await admin.delete_acls(writes)
        with pytest.raises(Refused) as refused:
            await sender.send("ams.refused.pe", [b"meanwhile"])
        assert refused.value.code is Code.BROKER_REFUSES
        await admin.create_acls(writes)
        assert await sender.send("ams.refused.pe", [b"after"]) == 1
        assert [record.value for record in await reader.read_all("ams.refused.pe")] == [b"before", b"after"]


async def test_a_record_too_large_for_the_broker_is_refused_and_the_next_goes_through(broker: Site) -> None:
    await broker.open_audience("large", [PE])
    async with Sender(broker.bootstrap, broker.member(PE)) as sender:
        with pytest.raises(Refused) as refused:
            await sender.send("ams.large.pe", [b"x" * (BATCH_MAX + 1)])
        assert refused.value.code is Code.OVERSIZE
        assert await sender.send("ams.large.pe", [b"small"]) == 0


async def test_the_compacted_directory_is_read_whole(broker: Site) -> None:
    settings = directory_settings(FEDERATION, replication=1)
    async with (
        Admin(broker.bootstrap, broker.operator()) as admin,
        Sender(broker.bootstrap, broker.operator()) as sender,
        Reader(broker.bootstrap, broker.operator()) as reader,
    ):
        await admin.delete_topics({settings.name} & await admin.list_topics())
        await admin.ensure_topics([settings])
        assert await reader.read_all(settings.name) == []
        await sender.send_keyed(settings.name, b"1.root.json", b"root")
        await sender.send_keyed(settings.name, b"timestamp.json", b"old")
        await sender.send_keyed(settings.name, b"timestamp.json", b"new")
        await sender.send_keyed(settings.name, b"1.root.json", None)
        assert [
            (record.key, record.value, record.offset) for record in await reader.read_all(settings.name)
        ] == [
            (b"1.root.json", b"root", 0),
            (b"timestamp.json", b"old", 1),
            (b"timestamp.json", b"new", 2),
            (b"1.root.json", b"", 3),
        ]


async def test_a_missing_topic_is_waited_for(broker: Site) -> None:
    await broker.open_audience("coming", [PE])
    async with Reader(broker.bootstrap, broker.operator()) as reader:
        with pytest.raises(Unavailable, match="not on the cluster"):
            await reader.end_offset("ams.coming.ar")
        await broker.open_audience("coming", [PE, AR])
        assert await reader.end_offset("ams.coming.ar") == 0


async def test_clients_of_an_absent_broker_are_told(broker: Site) -> None:
    async with (
        Sender("127.0.0.1:1", broker.member(PE)) as sender,
        Reader("127.0.0.1:1", broker.member(PE)) as reader,
    ):
        for attempt in (sender.send("ams.x.pe", [b"value"]), reader.probe(["ams.x.pe"])):
            with pytest.raises(Unavailable) as away:
                await attempt
            assert away.value.code is Code.BROKER_DOWN


async def test_a_reader_that_takes_nothing_holds_one_fetch_and_says_what_is_to_come(broker: Site) -> None:
    """While its store is slow nobody takes what was fetched: no more is asked for, however many topics."""
    members = [PE, AR, *(MemberId(name) for name in ("CL", "BO", "UY", "EC", "PY"))]
    await broker.open_audience("slow", members)
    topics = [f"ams.slow.{member.lower()}" for member in members if member != AR]
    for member, topic in zip([PE, *members[2:]], topics, strict=True):
        async with Sender(broker.bootstrap, broker.member(member)) as sender:
            await sender.send(topic, [bytes(250_000)] * 8)
    fetch_max = 1_000_000
    async with Reader(broker.bootstrap, broker.member(AR), fetch_max=fetch_max) as reader:
        await reader.assign(dict.fromkeys(topics))
        assert {reader.unread(topic) for topic in topics} == {8}
        assert reader.unread("ams.slow.ar") == 0
        await asyncio.sleep(2)  # twenty times as long as aiokafka itself would wait
        held = await reader.poll(0)
        assert 0 < sum(len(record.value) for record in held) <= fetch_max + BATCH_MAX
        while len(held) < 8 * len(topics):
            held += await reader.poll(0.5)
        assert {reader.unread(topic) for topic in topics} == {0}
        for topic in topics:
            assert [record.offset for record in held if record.topic == topic] == list(range(8))
