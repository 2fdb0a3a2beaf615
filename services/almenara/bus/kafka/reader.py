"""How do records come from the broker, over its restarts, refusals and silence?

The fetcher of aiokafka says nothing of a topic that it may not read, or that has gone: it asks for
metadata in a loop and returns no records. So every topic is probed before it is assigned, and looked
at again when a poll stays empty. aiokafka itself recovers from a restart of the broker, which comes
back at the same address, and follows a topic to its next leader.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog
from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.errors import (
    InvalidTopicError,
    KafkaConnectionError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    NoError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest

from almenara.bus.kafka.connection import (
    REQUEST_TIMEOUT_S,
    connection,
    named,
    nodes,
    started_client,
    to_the_end,
)
from almenara.bus.kafka.consumer import started_consumer, stop_consumer
from almenara.bus.received import Access, Received

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Mapping
    from types import TracebackType

    from aiokafka import AIOKafkaConsumer

T = TypeVar("T")

FETCH_MAX = 4 * 1024 * 1024
"""Bytes of one fetch over all topics; a broker may add one batch (BATCH_MAX), never more.

It bounds what a reader keeps of what nobody has taken yet, for it asks for more only once that was.
"""

FETCH_WAIT_S = 0.5
"""How long the broker holds a fetch while nothing comes: an idle reader asks twice a second."""

SILENT_FETCHES = 10
"""An idle broker answers every fetch in time; ten of them missing is an absence."""

_EARLIEST = -2
_LATEST = -1
_ANY_REPLICA = -1
_UNCOMMITTED = 0  # nobody writes in transactions here

log = structlog.get_logger()


class Reader:
    """Read topics without a consumer group: whoever calls keeps the offsets.

    `access` says of every topic that was assigned whether it is still read, and if not, why. The broker
    answers a fetch once it has `fetch_min` bytes, or after `fetch_wait_s`: many readers of many topics
    would else spend their time asking for little.
    """

    def __init__(
        self,
        bootstrap: str,
        context: ssl.SSLContext,
        *,
        client_id: str = "almenara-reader",
        request_timeout_s: float = REQUEST_TIMEOUT_S,
        fetch_max: int = FETCH_MAX,
        fetch_min: int = 1,
        fetch_wait_s: float = FETCH_WAIT_S,
        silence_s: float | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._context = context
        self._client_id = client_id
        self._timeout_s = request_timeout_s
        self._fetch_max = fetch_max
        self._fetch_min = fetch_min
        self._fetch_wait_s = fetch_wait_s
        self._silence_s = SILENT_FETCHES * fetch_wait_s if silence_s is None else silence_s
        # Questions have a connection of their own: on the consumer's they wait behind its fetch.
        self._client: AIOKafkaClient | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._spent: AIOKafkaConsumer | None = None
        self._opening = asyncio.Lock()
        self._next: dict[str, int] = {}
        self._ends: dict[str, int] = {}
        self._access: dict[str, Access] = {}
        self._last_answer_ms = 0
        self._silent_s = 0.0

    @property
    def access(self) -> Mapping[str, Access]:
        """Return the access of each topic of the last `assign`, as known by now."""
        return self._access

    def unread(self, topic: str) -> int:
        """Return how many records of a topic the broker said that it holds beyond those returned by `poll`.

        Compaction and deletion leave holes, so it may be fewer; 0 for a topic that is not read.
        """
        return max(0, self._ends.get(topic, 0) - self._next.get(topic, 0)) if topic in self._next else 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close_consumer()
        if self._client is not None:
            client, self._client = self._client, None
            await to_the_end(client.close())

    async def renew(self, bootstrap: str) -> None:
        """Read on over new connections: to this address, with what the TLS context holds by then.

        The next poll changes over, and returns no record twice and leaves none out. A question under
        way gets Unavailable, as if the broker had closed its connection.
        """
        self._bootstrap = bootstrap
        self._spent = self._consumer
        async with self._opening:
            if self._client is not None:
                client, self._client = self._client, None
                await to_the_end(client.close())

    async def probe(self, topics: Collection[str]) -> dict[str, Access]:
        """Ask the broker whether each topic can be read; raise Unavailable if it does not answer.

        An empty fetch at the end of the topic is what tells: metadata and offsets are also given to
        those who may write but not read.
        """
        async with named(self._bootstrap, self._timeout_s):
            return await self._probe(topics)

    async def assign(self, positions: Mapping[str, int | None]) -> dict[str, Access]:
        """Read these topics and no others, each from an offset, None for the earliest.

        Returns every topic's access; those that are not READABLE are left out. Raises Unavailable.
        """
        async with named(self._bootstrap, self._timeout_s):
            access = await self._probe(positions)
            unknown = [topic for topic, offset in positions.items() if offset is None]
            earliest, hidden = await self._offsets(
                [topic for topic in unknown if access[topic] is Access.READABLE], _EARLIEST
            )
            access |= hidden
            self._ends, _ = await self._offsets(
                [topic for topic, found in access.items() if found is Access.READABLE], _LATEST
            )
            self._next = {
                topic: earliest[topic] if offset is None else offset
                for topic, offset in positions.items()
                if access[topic] is Access.READABLE
            }
            self._access = dict(access)
            await self._reassign()
        for topic, found in access.items():
            if found is not Access.READABLE:
                log.warning("topic.unreadable", topic=topic, access=found)
        return access

    async def poll(self, timeout_s: float, *, max_records: int | None = None) -> list[Received]:
        """Return records in the order of each topic, or nothing after `timeout_s`.

        A topic whose access is taken away is dropped and shown in `access`; one whose offset is out
        of range starts again from its earliest record. Raises Unavailable BROKER_DOWN after ten
        fetches without an answer; the next call goes on where this one was.
        """
        consumer = self._consumer
        if consumer is None:
            await asyncio.sleep(timeout_s)
            return []
        async with named(self._bootstrap, timeout_s + self._timeout_s):
            if consumer is self._spent:
                consumer = await self._reconnected(consumer)
            try:
                found = await consumer.getmany(timeout_ms=int(timeout_s * 1000), max_records=max_records)
            except TopicAuthorizationFailedError as exc:
                await self._drop({str(exc.args[0]): Access.REFUSED})
                return []
            except OffsetOutOfRangeError as exc:
                for partition, offset in exc.args[0].items():
                    log.warning("topic.out_of_range", topic=partition.topic, offset=offset)
                    await self._move(partition.topic, None)
                return []
            if not found:
                await self._look_around(consumer, timeout_s)
        for partition, records in found.items():
            if partition.topic in self._next:
                self._next[partition.topic] = records[-1].offset + 1
                self._ends[partition.topic] = consumer.highwater(partition) or 0
        return [_received(record) for records in found.values() for record in records]

    async def seek(self, topic: str, offset: int | None) -> None:
        """Read a topic on from another offset, None for the earliest; nothing if it is not read.

        Raises Unavailable BROKER_DOWN.
        """
        if topic in self._next:
            async with named(self._bootstrap, self._timeout_s):
                await self._move(topic, offset)

    async def begin_offset(self, topic: str) -> int:
        """Return the offset of the earliest record kept; raise Refused, or Unavailable if it is missing."""
        async with named(self._bootstrap, self._timeout_s, topic=topic):
            return await self._offset(topic, _EARLIEST)

    async def end_offset(self, topic: str) -> int:
        """Return the offset that the next record will get; raise as `begin_offset`."""
        async with named(self._bootstrap, self._timeout_s, topic=topic):
            return await self._offset(topic, _LATEST)

    async def read_all(self, topic: str) -> list[Received]:
        """Return every record from the earliest to the present end; leaves `assign` as it is.

        For the compacted directory topic and for a tail: all is kept in memory. Raises Refused, or
        Unavailable if the topic is missing or its end is not reached in time.
        """
        return await self.read_from(topic, None)

    async def read_from(self, topic: str, offset: int | None) -> list[Received]:
        """Return every record from an offset to the present end; as `read_all` otherwise."""
        return await self.judge_from(topic, offset, lambda record: record)

    async def judge_from(self, topic: str, offset: int | None, judge: Callable[[Received], T]) -> list[T]:
        """Return what `judge` makes of each record from an offset to the present end, one fetch at a time.

        Raises as `read_all`.
        """
        partition = TopicPartition(topic, 0)
        found: list[T] = []
        async with named(self._bootstrap, 3 * self._timeout_s, topic=topic):
            if (await self._probe([topic]))[topic] is Access.REFUSED:
                raise TopicAuthorizationFailedError(topic)
            end = await self._offset(topic, _LATEST)
            begin = await self._offset(topic, _EARLIEST)
            position = begin if offset is None else max(begin, offset)
            if position >= end:
                return found
            consumer = await self._start_consumer()
            try:
                consumer.assign([partition])
                consumer.seek(partition, position)
                while position < end:
                    for records in (await consumer.getmany(timeout_ms=500)).values():
                        found.extend(judge(_received(record)) for record in records if record.offset < end)
                    # Compaction may have removed the last ones: only the position tells.
                    position = await consumer.position(partition)
            finally:
                await to_the_end(stop_consumer(consumer))
        return found

    async def _probe(self, topics: Collection[str]) -> dict[str, Access]:
        leaders, access = await self._leaders(topics)
        ends, hidden = await self._offsets_at(leaders, _LATEST)
        access |= hidden
        for node in set(leaders.values()):
            wanted = [(topic, [(0, end, 1)]) for topic, end in ends.items() if leaders[topic] == node]
            response = await self._request(node, FetchRequest(0, 0, 1, _UNCOMMITTED, wanted))
            for topic, ((_, error, *_),) in response.topics:
                access[topic] = _access(error)
        return access

    async def _leaders(self, topics: Collection[str]) -> tuple[dict[str, int], dict[str, Access]]:
        """Return the leader of each topic that is shown to us, and the access of the others."""
        leaders: dict[str, int] = {}
        hidden: dict[str, Access] = {}
        if topics:
            request = MetadataRequest(sorted(topics), allow_auto_topic_creation=False)
            for error, topic, _, partitions in (await self._request(None, request)).topics:
                if (access := _access(error)) is not Access.READABLE:
                    hidden[topic] = access
                    continue
                leaders[topic] = next(part[2] for part in partitions if part[1] == 0)
                if leaders[topic] < 0:
                    raise LeaderNotAvailableError(topic)
        return leaders, hidden

    async def _offset(self, topic: str, which: int) -> int:
        offsets, hidden = await self._offsets([topic], which)
        if topic in hidden:
            refused = hidden[topic] is Access.REFUSED
            raise (TopicAuthorizationFailedError if refused else UnknownTopicOrPartitionError)(topic)
        return offsets[topic]

    async def _offsets(self, topics: Collection[str], which: int) -> tuple[dict[str, int], dict[str, Access]]:
        """Return an offset of each topic that is shown to us, and the access of the others."""
        leaders, hidden = await self._leaders(topics)
        offsets, since = await self._offsets_at(leaders, which)
        return offsets, hidden | since

    async def _offsets_at(
        self, leaders: Mapping[str, int], which: int
    ) -> tuple[dict[str, int], dict[str, Access]]:
        offsets: dict[str, int] = {}
        hidden: dict[str, Access] = {}
        for node in set(leaders.values()):
            wanted = [(topic, [(0, which)]) for topic in leaders if leaders[topic] == node]
            response = await self._request(node, OffsetRequest(_ANY_REPLICA, _UNCOMMITTED, wanted))
            for topic, ((_, error, _, offset),) in response.topics:
                if (access := _access(error)) is Access.READABLE:
                    offsets[topic] = offset
                else:
                    hidden[topic] = access
        return offsets, hidden

    async def _request(self, node: int | None, request: object) -> Any:  # noqa: ANN401 - aiokafka has no types
        async with self._opening:
            if self._client is None:
                options = connection(self._bootstrap, self._context, self._client_id, self._timeout_s)
                self._client = await started_client(options)
        if node is None:
            return await _ask_any(self._client, request)
        if self._client.cluster.broker_metadata(node) is None:
            await self._client.force_metadata_update()  # it joined after we did
        return await self._client.send(node, request)

    async def _move(self, topic: str, offset: int | None) -> None:
        if offset is None:
            offsets, hidden = await self._offsets([topic], _EARLIEST)
            if hidden:
                await self._drop(hidden)
                return
            offset = offsets[topic]
        if self._consumer is not None and topic in self._next:
            self._next[topic] = offset
            self._consumer.seek(TopicPartition(topic, 0), offset)

    async def _drop(self, access: Mapping[str, Access]) -> None:
        for topic, found in access.items():
            log.warning("topic.dropped", topic=topic, access=found)
            self._next.pop(topic, None)
            self._access[topic] = found
        await self._reassign()

    async def _look_around(self, consumer: AIOKafkaConsumer, waited_s: float) -> None:
        """Find out, after a poll without records, whether silence means peace."""
        unknown = [topic for topic in self._next if not consumer.partitions_for_topic(topic)]
        lost = {
            topic: found
            for topic, found in (await self._probe(unknown)).items()
            if found is not Access.READABLE
        }
        if lost:
            await self._drop(lost)
            return
        answered = [consumer.last_poll_timestamp(TopicPartition(topic, 0)) or 0 for topic in self._next]
        if (last := max(answered, default=0)) != self._last_answer_ms:
            self._last_answer_ms, self._silent_s = last, 0.0
            return
        self._silent_s += waited_s
        if self._silent_s > self._silence_s:
            raise KafkaConnectionError("no fetch was answered")

    async def _reassign(self) -> None:
        self._silent_s = 0.0
        if not self._next:
            await self._close_consumer()
            return
        if self._consumer is None:
            self._consumer = await self._start_consumer()
        self._consumer.assign([TopicPartition(topic, 0) for topic in self._next])
        # Before any await: the fetcher must not look for a position of its own.
        for topic, offset in self._next.items():
            self._consumer.seek(TopicPartition(topic, 0), offset)

    async def _reconnected(self, old: AIOKafkaConsumer) -> AIOKafkaConsumer:
        """Return a new consumer in the place of an old one, where that stood."""
        consumer = self._consumer = await self._start_consumer()
        self._spent = None
        await self._reassign()
        await to_the_end(stop_consumer(old))
        return consumer

    async def _start_consumer(self) -> AIOKafkaConsumer:
        options = connection(
            self._bootstrap, self._context, self._client_id, self._timeout_s + self._fetch_wait_s
        )
        return await started_consumer(
            options, fetch_min=self._fetch_min, fetch_max=self._fetch_max, fetch_wait_s=self._fetch_wait_s
        )

    async def _close_consumer(self) -> None:
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await to_the_end(stop_consumer(consumer))


async def _ask_any(client: AIOKafkaClient, request: object) -> Any:  # noqa: ANN401 - aiokafka has no types
    """Ask any broker; one that has just gone sends us to the next."""
    first, *others = random.sample(known := nodes(client), len(known))
    for node in others:
        with suppress(NodeNotReadyError, KafkaConnectionError):
            return await client.send(node, request)
    return await client.send(first, request)


def _received(record: Any) -> Received:  # noqa: ANN401 - aiokafka has no types
    return Received(record.topic, record.offset, record.value or b"", record.timestamp, record.key)


def _access(error: int) -> Access:
    kind = for_code(error)
    if kind is NoError:
        return Access.READABLE
    if kind is TopicAuthorizationFailedError:
        return Access.REFUSED
    if kind in {UnknownTopicOrPartitionError, InvalidTopicError}:
        return Access.MISSING
    raise kind
