"""The topic in memory with which attacks are played does what a topic of the real broker does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import pytest

from almenara.bus.admin import Admin
from almenara.bus.kafka import Reader, Sender
from almenara.model.ids import MemberId
from attacks.operator_site import OperatedTopic
from patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from broker_site import Site

pytestmark = [pytest.mark.attacks, pytest.mark.integration]

PE, AR = MemberId("PE"), MemberId("AR")
POLL_S, SILENT_POLLS = 0.3, 3

Read = tuple[list[tuple[int, bytes]], int]


class Topic(Protocol):
    """What both can do, the broker's as the operator with its certificates."""

    async def append(self, *records: bytes) -> None: ...
    async def recreate(self, *records: bytes) -> None: ...
    async def read(self, position: int, count: int) -> Read: ...


class InMemory:
    """The topic of the attacks."""

    def __init__(self) -> None:
        self._topic = OperatedTopic()

    async def append(self, *records: bytes) -> None:
        for record in records:
            self._topic.append(record)

    async def recreate(self, *records: bytes) -> None:
        self._topic.recreate(list(records))

    async def read(self, position: int, count: int) -> Read:
        return self._topic.read(position, count)


class OnKafka:
    """A topic of the real broker, read as `Subscriber` reads."""

    def __init__(self, site: Site, sender: Sender, reader: Reader, admin: Admin) -> None:
        self._site, self._sender, self._reader, self._admin = site, sender, reader, admin

    async def append(self, *records: bytes) -> None:
        await self._sender.send("ams.contract.pe", records)

    async def recreate(self, *records: bytes) -> None:
        await self._admin.delete_topics(["ams.contract.pe"])
        await self._site.open_audience("contract", [PE, AR])
        await self.append(*records)

    async def read(self, position: int, count: int) -> Read:
        await self._reader.assign({"ams.contract.pe": position})
        end = await self._reader.end_offset("ams.contract.pe")
        found: list[tuple[int, bytes]] = []
        silent = 0
        async with asyncio.timeout(PATIENCE_S):
            # At the end nothing is to come, which shows by waiting alone; elsewhere something must.
            while len(found) < count and (found[-1][0] + 1 < end if found else silent < SILENT_POLLS):
                polled = await self._reader.poll(POLL_S, max_records=count - len(found))
                found.extend((record.offset, record.value) for record in polled)
                silent += position == end
        return found, found[-1][0] + 1 if found else position


@pytest.fixture(params=["in memory", "on Kafka"])
def kafka(request: pytest.FixtureRequest) -> Site | None:
    """Return the broker on which the topic is, if any: it is started outside of any loop."""
    return request.getfixturevalue("broker") if request.param == "on Kafka" else None


@pytest.fixture
async def topic(kafka: Site | None) -> AsyncIterator[Topic]:
    """Lend an empty topic of each kind."""
    if kafka is None:
        yield InMemory()
        return
    await kafka.open_audience("contract", [PE, AR])
    async with (
        Sender(kafka.bootstrap, kafka.member(PE)) as sender,
        Reader(kafka.bootstrap, kafka.member(AR)) as reader,
        Admin(kafka.bootstrap, kafka.operator()) as admin,
    ):
        yield OnKafka(kafka, sender, reader, admin)
        await admin.delete_topics(["ams.contract.pe"])


async def test_a_topic_in_memory_behaves_as_one_on_kafka(topic: Topic) -> None:
    await topic.append(b"a", b"b", b"c")
    assert await topic.read(0, 2) == ([(0, b"a"), (1, b"b")], 2), "in order, from the offset that is named"
    assert await topic.read(2, 10) == ([(2, b"c")], 3), "up to the end"
    assert await topic.read(3, 10) == ([], 3), "where nothing is, nothing comes"
    await topic.append(b"a")
    assert await topic.read(3, 10) == ([(3, b"a")], 4), "what is appended comes at the next offset"
    assert (await topic.read(9, 1))[0] == [(0, b"a")], "out of range: from the earliest"
    await topic.recreate(b"x", b"y")
    assert await topic.read(0, 10) == ([(0, b"x"), (1, b"y")], 2), "made anew, its offsets begin again"
    assert (await topic.read(4, 1))[0] == [(0, b"x")], "and where one stood before is out of range"
    assert await topic.read(1, 10) == ([(1, b"y")], 2), "or is another record"
