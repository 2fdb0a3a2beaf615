"""What does one poll change in the store? One transaction, whole or not at all.

    records of a poll --poll.py--> inbox, chains, offsets, evidence --> committed
                                                                   '--> rolled back, and read again

A crash before the commit leaves the offsets where they were, and the same records come again;
after it they come as duplicates. Nothing is delivered twice either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from almenara.clock import to_micros
from almenara.crash import Point, crash_point
from almenara.errors import Code
from almenara.store import inbox, quarantine, unread
from almenara.subscriber.deliver import Reader
from almenara.subscriber.poll import Poll
from almenara.subscriber.state import StreamState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from almenara.bus.received import Received
    from almenara.model.ids import MemberId, Stream
    from almenara.subscriber.state import Seek
    from almenara.trust.directory import Directory
    from almenara.trust.keys import SealingKey


class Absorbed(NamedTuple):
    """What a poll did: how many messages are new, and which streams must be read from elsewhere."""

    delivered: int
    seeks: Mapping[Stream, Seek]


class Absorber:
    """Verify, open and store what one member receives. One worker thread at a time."""

    def __init__(self, *, member: MemberId, sealing_keys: Sequence[SealingKey], gap_wait: timedelta) -> None:
        self.reader = Reader(member, sealing_keys)
        self.gap_wait = gap_wait
        self._states: dict[Stream, StreamState] = {}

    def states(self, connection: Connection, streams: Iterable[Stream]) -> Mapping[Stream, StreamState]:
        """Return the states of at least these streams, from memory or else from the store."""
        missing = [stream for stream in streams if stream not in self._states]
        if missing:
            rows, gaps = inbox.chains(connection), inbox.gaps(connection)
            for stream in missing:
                self._states[stream] = StreamState(stream, rows.get(stream), gaps.get(stream, ()))
        return self._states

    @property
    def late(self) -> bool:
        """Tell whether statements that came without their sender key are still to be tried again."""
        return any(state.late is not None for state in self._states.values())

    def look_again(self, connection: Connection, streams: Iterable[Stream]) -> None:
        """Go back to what was passed over for its key, for the directory's signing keys have changed.

        A start counts as a change: which statements of ended keys hang together was in memory alone.
        """
        states = self.states(connection, streams)
        for stream in streams:
            state = states[stream]
            offsets = [each for each in (state.row.unknown_from, state.row.ended_from) if each >= 0]
            if state.row.unknown_from >= 0:
                quarantine.release(connection, stream, Code.UNKNOWN_KEY)
            if offsets:
                state.go_back(min(offsets))
                state.update(unknown_from=-1)
                inbox.save_chains(connection, [state.row])

    def absorb(
        self,
        connection: Connection,
        records: Sequence[tuple[Stream, Received]],
        *,
        directory: Directory,
        now: datetime,
        to_come: Mapping[Stream, int] | None = None,
    ) -> Absorbed:
        """Take the records of one poll into the store, in their order within each stream.

        `to_come` is how many more the broker holds of each of their streams. Call it within one write
        transaction; then `committed`, or `rolled_back` if that failed.
        """
        states = self.states(connection, {stream for stream, _ in records})
        poll = Poll(connection, reader=self.reader, gap_wait=self.gap_wait, directory=directory, now=now)
        for stream, received in records:
            poll.take(states[stream], received)
        crash_point(Point.INBOX_JUDGED)
        unread.save(connection, to_come or {}, at=to_micros(now))
        delivered = poll.store(states.values())
        crash_point(Point.INBOX_WRITTEN)
        return Absorbed(delivered, poll.seeks)

    def committed(self) -> None:
        """Note that the transaction of the last `absorb` is on disk."""
        for state in self._states.values():
            state.committed()

    def rolled_back(self) -> None:
        """Forget what a failed transaction did."""
        for state in self._states.values():
            state.reset()

    def in_doubt(self) -> None:
        """Forget everything: the store went away, and only the store knows whether it had committed."""
        self._states.clear()
