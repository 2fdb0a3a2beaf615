"""How does a member receive? Fetch, verify, open, check, commit; while one batch is absorbed the next comes.

    directory --> streams to read --> assigned --poll--> batch --absorb, one transaction--> inbox
                                          ^                            |
                                          +---- seek: a gap, or a wait +

No consumer group: the offsets are in the store, in the same transaction as what they brought. A
crash anywhere reads the last batch again, and the chain tells the duplicates.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import structlog

from almenara import clock
from almenara.bus.received import Access
from almenara.clock import to_micros
from almenara.crash import Point, crash_point
from almenara.errors import AlmenaraError, Code, Refused, Unavailable
from almenara.store import inbox, unread
from almenara.subscriber.absorb import Absorbed, Absorber
from almenara.trust.directory import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.bus.kafka import Reader
    from almenara.bus.received import Received
    from almenara.model.ids import MemberId, Stream
    from almenara.store.database import Store
    from almenara.subscriber.directory import DirectoryFollower
    from almenara.subscriber.settings import SubscriberSettings
    from almenara.subscriber.state import Seek
    from almenara.trust.directory import Directory
    from almenara.trust.heldkeys import HeldKeys
    from almenara.trust.keys import SealingKey

POLL_RECORDS_MAX = 200
"""Records a poll: at 512 KiB each a transaction stays below 100 MiB, at rest it is a handful."""

log = structlog.get_logger()


class Fetched(NamedTuple):
    """The records of one poll, and how many more of each of their streams the broker holds."""

    records: Sequence[tuple[Stream, Received]] = ()
    to_come: Mapping[Stream, int] = MappingProxyType({})


class _Due(NamedTuple):
    """A seek by a clock that nobody sets: `at` is the loop's time, in seconds."""

    offset: int | None
    at: float


def _due(seeks: Mapping[Stream, Seek]) -> dict[Stream, _Due]:
    now, time = clock.now(), asyncio.get_running_loop().time()
    return {
        stream: _Due(seek.offset, time + (seek.at - now).total_seconds()) for stream, seek in seeks.items()
    }


class Subscriber:
    """Receive for one member into its store, by the directory that `follower` keeps."""

    def __init__(
        self,
        *,
        federation: str,
        member: MemberId,
        sealing_keys: HeldKeys[SealingKey],
        store: Store,
        follower: DirectoryFollower,
        settings: SubscriberSettings,
    ) -> None:
        self._federation = federation
        self._member = member
        self._store = store
        self._settings = settings
        self._absorber = Absorber(
            member=member, sealing_keys=sealing_keys.keys, gap_wait=timedelta(seconds=settings.gap_wait_s)
        )
        self._sealing_keys = sealing_keys
        self.follower = follower
        self._streams: dict[str, Stream] = {}
        self._seeks: dict[Stream, _Due] = {}
        self._waits_for = ""
        self._to_come: dict[Stream, int] = {}  # as the store has it
        self.delivered = asyncio.Event()  # set whenever messages are new; whoever waits clears it

    async def run(self, *, reader: Reader, directory_reader: Reader, stopping: asyncio.Event) -> None:
        """Receive until `stopping` is set; the batch in hand is committed before it returns."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(
                self.follower.follow(
                    directory_reader, federation=self._federation, poll_s=self._settings.directory_poll_s
                )
            )
            try:
                await self._receive(reader, stopping)
            finally:
                following.cancel()

    async def _receive(self, reader: Reader, stopping: asyncio.Event) -> None:
        batch = Fetched()
        assigned_for: tuple[object, ...] | None = None
        judged_by: frozenset[tuple[bytes, bool]] = frozenset()
        loop = asyncio.get_running_loop()
        probe_at = 0.0
        expired = False
        while not stopping.is_set():
            directory = self.follower.current
            now = clock.now()
            if directory is None or directory.standing(now) is Standing.EXPIRED:
                # Keys may have been withdrawn since: what comes is judged once the directory is fresh.
                if not expired:
                    log.error("streams.held", code=Code.DIRECTORY_EXPIRED)
                expired = True
                await asyncio.sleep(self._settings.retry_s)
                continue
            expired = False
            streams, keys = directory.streams_read_by(self._member, now=now), directory.signing_key_ends()
            wanted = (directory.version, streams, keys)
            unread = any(access is not Access.READABLE for access in reader.access.values())
            if wanted != assigned_for or (unread and loop.time() >= probe_at):
                # What was fetched and not yet absorbed comes again: the offsets stand in the store.
                batch = Fetched()
                await self._take_up_keys(directory)
                if await self._assign(reader, streams, again=keys != judged_by):
                    assigned_for, judged_by = wanted, keys
                probe_at = loop.time() + self._settings.probe_interval_s
            async with asyncio.TaskGroup() as tasks:
                polling = tasks.create_task(self._poll(reader))
                absorbing = tasks.create_task(self._absorb(batch, directory))
            self._seeks.update(_due(absorbing.result().seeks))
            # A stream about to be read from elsewhere: what was fetched of it meanwhile is stale.
            fetched = polling.result()
            kept = [(stream, record) for stream, record in fetched.records if stream not in self._seeks]
            batch = fetched._replace(records=kept)
            await self._seek(reader)
        if self.follower.current is not None:
            await self._absorb(batch, self.follower.current)

    async def _take_up_keys(self, directory: Directory) -> None:
        """Hold the sealing key that the directory lists, before anything is judged by that directory.

        From its version on all others seal to that key; older keys still open what was sealed before.
        """
        entry = directory.members.get(self._member)
        listed = entry.sealing_key if entry is not None else None
        await self._sealing_keys.take_up(() if listed is None else (listed.key_id,))
        self._absorber.reader = self._absorber.reader._replace(sealing_keys=self._sealing_keys.keys)

    async def _assign(self, reader: Reader, streams: Sequence[Stream], *, again: bool) -> bool:
        """Read these streams, each from where the store stands; return whether broker and store let us.

        `again` goes back to what was passed over for its signing key, for those listed have changed.
        """
        try:
            if again:
                await self._look_again(streams)
            states = await self._store.read(lambda connection: self._absorber.states(connection, streams))
            self._streams = {stream.topic(self._federation): stream for stream in streams}
            positions = {t: states[stream].row.next_offset or None for t, stream in self._streams.items()}
            access = await reader.assign(positions)
            rows = [(self._streams[topic], found.value) for topic, found in access.items()]
            now = to_micros(clock.now())
            to_come = {stream: reader.unread(topic) for topic, stream in self._streams.items()}
            await self._store.write(partial(_save_assigned, access=rows, to_come=to_come, at=now))
            self._to_come = to_come
        except (Unavailable, Refused) as error:
            await self._wait(error)
            return False
        self._goes_on()
        return True

    async def _look_again(self, streams: Sequence[Stream]) -> None:
        try:
            await self._store.write(lambda connection: self._absorber.look_again(connection, streams))
        except Unavailable:
            self._absorber.in_doubt()
            raise
        self._absorber.committed()

    async def _poll(self, reader: Reader) -> Fetched:
        try:
            records = await reader.poll(self._settings.poll_s, max_records=POLL_RECORDS_MAX)
        except (Unavailable, Refused) as error:  # refused: a right was taken away while we asked
            await self._wait(error)
            return Fetched()
        if records:
            crash_point(Point.INBOX_FETCHED)
            self._goes_on()
        found = [(self._streams[record.topic], record) for record in records if record.topic in self._streams]
        topics = {record.topic for record in records if record.topic in self._streams}
        return Fetched(found, {self._streams[topic]: reader.unread(topic) for topic in topics})

    async def _wait(self, error: AlmenaraError) -> None:
        """Wait before the broker is asked again; its absence is logged once, however long it lasts."""
        if error.text != self._waits_for:
            log.warning("streams.wait", code=error.code, error=error.text)
        self._waits_for = error.text
        await asyncio.sleep(self._settings.retry_s)

    def _goes_on(self) -> None:
        if self._waits_for:
            log.info("streams.go_on")
            self._waits_for = ""

    async def _absorb(self, batch: Fetched, directory: Directory) -> Absorbed:
        """Commit a batch; while the store cannot take it (locked, full, away) it is tried again."""
        if not batch.records and not self._absorber.late:
            return Absorbed(0, {})
        # At rest nothing is to come after any poll, and that stands in the store already.
        to_come = {
            stream: count for stream, count in batch.to_come.items() if count or self._to_come.get(stream)
        }
        while True:
            now = clock.now()

            def work(now: datetime = now) -> Absorbed:
                try:
                    absorbed = self._store.write_now(
                        lambda connection: self._absorber.absorb(
                            connection, batch.records, directory=directory, now=now, to_come=to_come
                        )
                    )
                except AlmenaraError as error:
                    if error.code is Code.STORE_AWAY:
                        self._absorber.in_doubt()
                    else:
                        self._absorber.rolled_back()
                    raise
                crash_point(Point.INBOX_COMMITTED)
                self._absorber.committed()
                return absorbed

            try:
                absorbed = await self._store.in_writer(work)
            except Unavailable as error:
                log.warning("inbox.not_written", code=error.code, error=error.text)
                await asyncio.sleep(error.retry_after_s)
                continue
            self._to_come |= to_come
            if absorbed.delivered:
                self.delivered.set()
            return absorbed

    async def _seek(self, reader: Reader) -> None:
        """Carry out the seeks that are due; one the broker does not answer stays due, behind the others.

        One that it refuses is dropped: once the stream may be read again, it is read from where the
        store stands.
        """
        time = asyncio.get_running_loop().time()
        for stream, seek in list(self._seeks.items()):
            if seek.at > time:
                continue
            try:
                await reader.seek(stream.topic(self._federation), seek.offset)
            except Unavailable as error:
                log.warning("stream.not_moved", stream=str(stream), code=error.code, error=error.text)
                self._seeks[stream] = self._seeks.pop(stream)
                return
            except Refused as refusal:
                log.warning("stream.not_moved", stream=str(stream), code=refusal.code, error=refusal.text)
            del self._seeks[stream]


def _save_assigned(
    connection: Connection,
    *,
    access: Sequence[tuple[Stream, str]],
    to_come: Mapping[Stream, int],
    at: int,
) -> None:
    inbox.save_access(connection, access, at=at)
    unread.save(connection, to_come, at=at)
