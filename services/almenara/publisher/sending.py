"""How do committed statements reach the broker, in order, whatever breaks?

    committed --send--> acknowledged --(mark rides in the next commit)--> marked sent
        ^                   |
        +---- crash --------+   identical bytes are sent again; readers drop the duplicate

One line a stream. A line holds the newest statements in memory up to a bound; past it the rest is
read back from the store, so that a broker's long absence does not fill the memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import structlog

from almenara.crash import Point, crash_point
from almenara.errors import AlmenaraError, Unavailable
from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.publisher.tail import REFUSED_RETRY_S
from almenara.store import outbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from almenara.bus.kafka import Sender
    from almenara.store.database import Store
    from almenara.store.outbox import OutboxRecord

LINE_MAX = 16
"""Statements a line keeps in memory: at 512 KiB each 8 MiB a stream, and as much again twice while the
client sends them. A broker that answers within milliseconds never lets so many gather."""

log = structlog.get_logger()


class _Waiting(NamedTuple):
    record: bytes
    place: tuple[int, int] | None  # (epoch, seq) of a statement; None for a heartbeat


class Line:
    """What waits to be sent on one stream."""

    def __init__(self) -> None:
        self.waiting: deque[_Waiting] = deque()
        self.more_in_store = False
        self.passed_over = 0  # statements left to the store; a refill that sees it move reads again
        self.acknowledged: tuple[int, int] | None = None
        self.unsent_bytes = 0  # of statements, in memory and in the store
        self.counted = False  # whether that is what the store has, once the broker's part is marked
        self.fault: AlmenaraError | None = None

    def statements(self, records: Iterable[OutboxRecord]) -> None:
        """Queue statements, or remember that the store has more."""
        for record in records:
            if self.more_in_store or len(self.waiting) >= LINE_MAX:
                self.more_in_store = True
                self.passed_over += 1
                return
            self.waiting.append(_Waiting(record.record, (record.epoch, record.seq)))

    def heartbeat(self, record: bytes) -> None:
        """Queue a heartbeat where nothing else waits: behind a backlog it would be stale."""
        if not self.waiting and not self.more_in_store:
            self.waiting.append(_Waiting(record, None))


class Sending:
    """Send every line of one member; what was acknowledged is to be marked with the next commit."""

    def __init__(self, *, federation: str, member: MemberId, store: Store, retry_s: float) -> None:
        self._federation = federation
        self._member = member
        self._store = store
        self._retry_s = retry_s
        self._lines: dict[AudienceId, Line] = {}
        self._wake = asyncio.Event()
        self._held: set[AudienceId] = set()
        self._stopped: set[AudienceId] = set()
        self._progress = asyncio.Event()

    def hold(self, audience: AudienceId, *, backlog: bool) -> None:
        """Send nothing on a stream until it is released: the broker may hold what the store does not.

        `backlog` says that the store may have statements of it to send.
        """
        self._held.add(audience)
        self.line(audience).more_in_store = backlog

    def left(self, audience: AudienceId, unsent_bytes: int) -> None:
        """Note how much of a stream an earlier run has left to be sent."""
        self.line(audience).unsent_bytes = unsent_bytes

    def committed(self, audience: AudienceId, records: Sequence[OutboxRecord]) -> None:
        """Send these statements too; they stand in the store."""
        line = self.line(audience)
        line.unsent_bytes += sum(len(each.record) for each in records)
        line.statements(records)

    def unsent_bytes(self, audience: AudienceId) -> int:
        """Return how many bytes of a stream's statements the broker has not taken yet."""
        line = self._lines.get(audience)
        return line.unsent_bytes if line else 0

    def release(self, audience: AudienceId) -> None:
        """Send a stream from where the store says that the broker stands."""
        self._held.discard(audience)
        self._wake.set()

    def holds(self, audience: AudienceId) -> bool:
        """Tell whether a stream waits to be released."""
        return audience in self._held

    def stop(self, audience: AudienceId) -> None:
        """Never send a stream that is held, and wait for nothing of it: a person must mend it first."""
        self._stopped.add(audience)
        self._progress.set()

    def line(self, audience: AudienceId) -> Line:
        """Return the line of a stream and see that the sender looks at it."""
        self._wake.set()
        return self._lines.setdefault(audience, Line())

    def leave_to_store(self, audience: AudienceId) -> None:
        """Read what is to be sent of a stream from the store: it holds more than is known here."""
        line = self.line(audience)
        line.more_in_store, line.counted = True, False
        line.passed_over += 1

    def acknowledgements(self) -> list[tuple[AudienceId, int, int]]:
        """Return how far each stream was acknowledged and is not yet marked."""
        return [
            (audience, *line.acknowledged)
            for audience, line in self._lines.items()
            if line.acknowledged is not None
        ]

    def marked(self, acknowledgements: Iterable[tuple[AudienceId, int, int]]) -> None:
        """Forget those acknowledgements: the store has them now."""
        for audience, epoch, seq in acknowledgements:
            line = self._lines[audience]
            if line.acknowledged == (epoch, seq):
                line.acknowledged = None

    async def finish(self, timeout_s: float) -> None:
        """Return once the broker has acknowledged all it should get, or when the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._unfinished():
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            log.info("stream.left_for_next_start", audiences=self._unfinished())

    def _unfinished(self) -> list[AudienceId]:
        lines = self._lines.items()
        waiting = [audience for audience, line in lines if line.waiting or line.more_in_store]
        return [audience for audience in waiting if audience not in self._stopped]

    def fault(self, audience: AudienceId) -> AlmenaraError | None:
        """Return why a stream does not get through at the moment, None when it does."""
        line = self._lines.get(audience)
        return line.fault if line else None

    async def run(self, sender: Sender) -> None:
        """Send for ever. Raises nothing the broker causes: it waits and says so in the log."""
        running: dict[AudienceId, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for audience, line in self._lines.items():
                    idle = audience not in running or running[audience].done()
                    wanted = audience not in self._held and (line.waiting or line.more_in_store)
                    if idle and wanted:
                        running[audience] = tasks.create_task(self._drain(audience, line, sender))

    async def _drain(self, audience: AudienceId, line: Line, sender: Sender) -> None:
        topic = Stream(audience, self._member).topic(self._federation)
        while line.waiting or line.more_in_store:
            try:
                if not line.waiting:
                    await self._refill(audience, line)
                    continue
                head = list(line.waiting)
                crash_point(Point.OUTBOX_SENDING)
                await sender.send(topic, [waiting.record for waiting in head])
                crash_point(Point.OUTBOX_ACKNOWLEDGED)
            except AlmenaraError as error:
                if line.fault is None or line.fault.code != error.code:
                    log.warning("stream.unsent", audience=audience, code=error.code, error=error.text)
                line.fault = error
                await asyncio.sleep(self._retry_s if isinstance(error, Unavailable) else REFUSED_RETRY_S)
                continue
            if line.fault is not None:
                log.info("stream.sending", audience=audience)
                line.fault = None
            for waiting in head:
                line.waiting.popleft()
                if waiting.place is not None:
                    line.acknowledged = waiting.place
                    line.unsent_bytes -= len(waiting.record)
            self._progress.set()

    async def _refill(self, audience: AudienceId, line: Line) -> None:
        """Mark what was sent, then read the next statements of the backlog from the store."""
        acknowledged = self.acknowledgements()
        passed_over = line.passed_over

        def next_records(connection: Connection) -> tuple[list[OutboxRecord], int | None]:
            outbox.mark_sent(connection, acknowledged)
            # Once: what the broker had already was marked when the stream was released.
            unsent = None if line.counted else outbox.unsent_bytes(connection).get(audience, 0)
            return outbox.unsent(connection, audience, limit=LINE_MAX), unsent

        records, unsent = await self._store.write(next_records)
        if unsent is not None:
            line.unsent_bytes, line.counted = unsent, True
        self.marked(acknowledged)
        line.more_in_store = False
        line.statements(records)
        line.more_in_store = len(records) == LINE_MAX or line.passed_over != passed_over
        self._progress.set()
