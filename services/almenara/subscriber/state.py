"""What does the subscriber hold in memory of one stream between two records?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara.errors import Code
from almenara.store.inbox import ChainRow
from almenara.wire.chain import NOWHERE, ChainState

if TYPE_CHECKING:
    from almenara.model.ids import Stream
    from almenara.wire.chain import OpenGap, Place
    from almenara.wire.records import Heartbeat

_NEVER = datetime.min.replace(tzinfo=UTC)


class Seek(NamedTuple):
    """Read a stream on from this offset (None: its start), but not before `at`."""

    offset: int | None
    at: datetime


class Wait(NamedTuple):
    """A stream stands still at a record that cannot be judged yet.

    flowing --Gap--> rereading the topic from its start --the record again--> standing --60 s--> flowing
    flowing --Gap, less than 60 s after such a wait--> flowing
    flowing --Held-> standing until the directory moves
    """

    code: str
    offset: int
    since: datetime


LINKS_MAX = 200_000
"""Statements of ended keys held a stream until their successor speaks, at some 200 bytes each: months of
an honest stream. Beyond it the oldest are given up, so that a thief who writes more fills no memory."""


AHEAD_MAX = timedelta(minutes=5) // timedelta(microseconds=1)
"""Microseconds that a heartbeat may be ahead of our clock, as statements may. A member whose clock is
further ahead would hide its silence, and bar its own later words once the clock is right, for as long."""


class EndedKeys:
    """Statements signed with a key that has ended, and which of them the successor stands by.

    passed over --> link (hash, prev) --the successor names it, or what follows it--> proven
    """

    def __init__(self) -> None:
        self.links: dict[bytes, bytes] = {}
        self.proven: set[bytes] = set()
        self.stood_by = b""  # the last head that the successor's heartbeats named

    def hold(self, statement_hash: bytes, prev: bytes) -> None:
        """Note a statement that nothing proves yet."""
        self.links[statement_hash] = prev
        if len(self.links) > LINKS_MAX:
            del self.links[next(iter(self.links))]

    def prove(self, named: bytes) -> bool:
        """Take a statement that the successor names, and all before it, for proven; tell if any is held."""
        if named not in self.links:
            return False
        while (prev := self.links.pop(named, None)) is not None:
            self.proven.add(named)
            named = prev
        return True


class StreamState:
    """One stream: its row and gaps, the sender keys seen, and what it waits for.

    Changed in the worker thread alone; `reset` after a failed commit brings back the committed state.
    """

    def __init__(self, stream: Stream, row: ChainRow | None, gaps: tuple[OpenGap, ...]) -> None:
        self.stream = stream
        self.row = row or ChainRow(audience=stream.audience, publisher=stream.publisher)
        self.gaps = gaps
        self.keys: dict[bytes, bytes | None] = {}
        self.wait: Wait | None = None
        self.passed_over = False  # a statement that proved nothing when it came; a gap may prove it
        self.waited_until = _NEVER  # when a wait for a gap was over last
        self.ended = EndedKeys()
        self.links_lost = self.row.ended_from >= 0  # what the store knows of is read again
        # After which place statements without their sender key are tried again, None: none; at a start all.
        self.late: Place | None = NOWHERE
        self._committed = (self.row, self.gaps)

    @property
    def chain(self) -> ChainState | None:
        """Return the chain as the wire's rules see it, None before the first statement."""
        if self.row.seq < 0:
            return None
        return ChainState(epoch=self.row.epoch, seq=self.row.seq, hash=self.row.hash, gaps=self.gaps)

    @property
    def changed(self) -> bool:
        """Tell whether the row differs from the committed one."""
        return self.row is not self._committed[0]

    @property
    def gaps_changed(self) -> bool:
        """Tell whether the open gaps differ from the committed ones."""
        return self.gaps != self._committed[1]

    def update(self, **fields: int | bytes | str) -> None:
        """Set columns of the row."""
        self.row = msgspec.structs.replace(self.row, **fields)

    def stand(self, wait: Wait | None) -> None:
        """Note what the stream waits for, None when it flows; the store shows it to those who ask."""
        self.wait = wait
        code = wait.code if wait is not None else Code.KEY_NOT_VALID if self.ended.links else ""
        if self.row.wait_code != code:
            self.update(wait_code=code)

    def go_back(self, offset: int) -> None:
        """Have the stream read again from an offset, after a crash too."""
        self.update(next_offset=min(self.row.next_offset, offset), ended_from=-1)
        self.ended.links.clear()
        self.links_lost = False

    def hears(self, beat: Heartbeat, *, now: int) -> bool:
        """Take a heartbeat's word of when the next is due, and tell whether it is no older than the last."""
        next_by = min(beat.next_by, now + AHEAD_MAX + max(0, beat.next_by - beat.issued_at))
        if next_by < self.row.next_by:
            return False
        self.update(heard_at=now, next_by=next_by)
        return True

    def move(self, chain: ChainState) -> None:
        """Take the chain as a step left it."""
        self.update(epoch=chain.epoch, seq=chain.seq, hash=chain.hash)
        self.gaps = chain.gaps

    def cover(self, place: Place) -> None:
        """Note a checkpoint that is signed post-quantum, and with it all that leads up to it."""
        if place > (self.row.checkpoint_epoch, self.row.checkpoint_seq):
            self.update(checkpoint_epoch=place.epoch, checkpoint_seq=place.seq)

    def uncover(self, after: Place, before: Place) -> None:
        """Note that what lies between is truncated: a checkpoint there covers what is up to `after`."""
        if after < (self.row.checkpoint_epoch, self.row.checkpoint_seq) < before:
            self.update(checkpoint_epoch=after.epoch, checkpoint_seq=after.seq)

    def committed(self) -> None:
        """Note that the store now holds this state."""
        self._committed = (self.row, self.gaps)

    def reset(self) -> None:
        """Go back to what the store holds: the transaction failed."""
        self.row, self.gaps = self._committed
        self.keys.clear()
        self.wait = None
        self.passed_over = False
        self.waited_until = _NEVER
        self.ended = EndedKeys()
        self.links_lost = self.row.ended_from >= 0
        self.late = NOWHERE
