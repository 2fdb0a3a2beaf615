"""How do records get to the broker, in order, over its restarts and refusals?

aiokafka retries an unanswered batch for ever. `send` gives up waiting after a time, and the next
`send` on that topic first waits for the same batch, so that a long absence does not pile up copies.
After a refused batch aiokafka's sequence numbers have a hole that bars the topic: the producer is
replaced, and closed when its last user has left.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError

from almenara.bus.configuration import BATCH_MAX
from almenara.bus.kafka.connection import REQUEST_TIMEOUT_S, connection, named, start, to_the_end

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
    from types import TracebackType

_UNKNOWN_OFFSET = -1


class _Line:
    """A producer and how many sends are using it; a spent one takes no more."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self.users = 0


class _Unfinished(NamedTuple):
    """A batch whose answer did not come in time; aiokafka still tries."""

    pairs: Sequence[_Pair]
    answer: asyncio.Future[Any]


class _Pair(NamedTuple):
    key: bytes | None
    value: bytes | None


class Sender:
    """Send records, in order within a topic: acks=all, idempotent, no linger."""

    def __init__(
        self,
        bootstrap: str,
        context: ssl.SSLContext,
        *,
        client_id: str = "almenara-sender",
        request_timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self._bootstrap = bootstrap
        self._context = context
        self._client_id = client_id
        self._timeout_s = request_timeout_s
        self._line: _Line | None = None
        self._spent: list[_Line] = []
        self._opening = asyncio.Lock()
        self._turns: dict[str, asyncio.Lock] = {}
        self._unfinished: dict[str, _Unfinished] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for unfinished in self._unfinished.values():
            unfinished.answer.cancel()
        if self._line is not None:
            self._spent.append(self._line)
            self._line = None
        while self._spent:
            await to_the_end(_close_producer(self._spent.pop().producer, self._timeout_s))

    async def renew(self, bootstrap: str) -> None:
        """Send the next over new connections: to this address, with what the TLS context holds by then.

        What is under way on the old ones ends there, or is sent again.
        """
        self._bootstrap = bootstrap
        if self._line is not None:
            self._spent.append(self._line)
            self._line = None
        await self._close_spent()

    async def send(self, topic: str, values: Sequence[bytes]) -> int:
        """Write the values to the topic and return the offset of the last, -1 if the broker forgot it.

        Raises Refused BROKER_REFUSES if this certificate may not write there, Refused OVERSIZE if
        one value is too large for any broker, Unavailable BROKER_DOWN if no answer came: then the
        values may or may not be there, and sending them again is right.
        """
        return await self._send(topic, [_Pair(None, value) for value in values])

    async def send_keyed(self, topic: str, key: bytes, value: bytes | None) -> int:
        """Write one value under a key of a compacted topic, None to delete it; as `send` otherwise."""
        return await self._send(topic, [_Pair(key, value)])

    async def _send(self, topic: str, pairs: Sequence[_Pair]) -> int:
        turn = self._turns.setdefault(topic, asyncio.Lock())
        async with turn, named(self._bootstrap, self._timeout_s, topic=topic):
            # First: a batch on a spent producer whose broker has moved would never be answered.
            await self._close_spent()
            rest = await self._settle(topic, pairs)
            async with self._using() as producer:
                offset = _UNKNOWN_OFFSET
                for batch, content in _batches(producer, topic, rest):
                    answer = await producer.send_batch(batch, topic, partition=0)
                    self._unfinished[topic] = _Unfinished(content, answer)
                    # Shielded: if we stop waiting, the batch is still under way.
                    first = (await asyncio.shield(answer)).offset
                    del self._unfinished[topic]
                    offset = first if first == _UNKNOWN_OFFSET else first + len(content) - 1
                return offset

    async def _settle(self, topic: str, pairs: Sequence[_Pair]) -> Sequence[_Pair]:
        """Wait for the batch that an earlier call left under way; return what is still to be sent."""
        unfinished = self._unfinished.get(topic)
        if unfinished is None:
            return pairs
        try:
            await asyncio.shield(unfinished.answer)
        except KafkaError:
            del self._unfinished[topic]
            return pairs
        del self._unfinished[topic]
        done = len(unfinished.pairs)
        # The usual caller sends again what it sent before, perhaps with more behind it.
        return pairs[done:] if list(pairs[:done]) == list(unfinished.pairs) else pairs

    @asynccontextmanager
    async def _using(self) -> AsyncIterator[AIOKafkaProducer]:
        """Lend the producer; one that failed is spent, and closed when its last user has left."""
        line = await self._open()
        line.users += 1
        try:
            yield line.producer
        except KafkaError:
            if line is self._line:
                self._line = None
                self._spent.append(line)
            raise
        finally:
            line.users -= 1

    async def _close_spent(self) -> None:
        while (line := next((line for line in self._spent if line.users == 0), None)) is not None:
            self._spent.remove(line)
            await to_the_end(_close_producer(line.producer, self._timeout_s))

    async def _open(self) -> _Line:
        async with self._opening:
            if self._line is None:
                producer = AIOKafkaProducer(
                    **connection(self._bootstrap, self._context, self._client_id, self._timeout_s),
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=0,
                    max_batch_size=BATCH_MAX,
                    max_request_size=BATCH_MAX,
                )
                await start(producer.start(), producer.stop)
                self._line = _Line(producer)
            return self._line


def _batches(
    producer: AIOKafkaProducer, topic: str, pairs: Iterable[_Pair]
) -> Iterator[tuple[Any, list[_Pair]]]:
    """Cut records into Kafka batches, each as full as the broker takes it."""
    batch, content = producer.create_batch(), list[_Pair]()
    for pair in pairs:
        if batch.append(key=pair.key, value=pair.value, timestamp=None) is None:
            yield batch, content
            batch, content = producer.create_batch(), []
            if batch.append(key=pair.key, value=pair.value, timestamp=None) is None:
                raise MessageSizeTooLargeError(topic)
        content.append(pair)
    if content:
        yield batch, content


async def _close_producer(producer: AIOKafkaProducer, timeout_s: float) -> None:
    """Close a producer without its undelivered batches: `stop` alone waits for them for ever."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            try:
                with suppress(KafkaError):
                    await producer._sender.close()  # noqa: SLF001 - aiokafka offers no way to give up
                producer._message_accumulator.fail_all(KafkaConnectionError())  # noqa: SLF001 - as above
                await producer.stop()
            finally:
                await producer.client.close()
