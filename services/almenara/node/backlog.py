"""How much of each stream is still to be read, is it getting less, and when will it be done?

    the broker holds more --each look: so much less--> catching up --nothing to come--> (forgotten)
                                   '--for a minute not less--> an alarm of that stream, if there is one

A reader that comes back reads for minutes what it missed. Meanwhile it knows, from heartbeats and the
receipts of others, of statements that it has not reached: they are not withheld as long as the broker
goes on giving. Judged from look to look; what is remembered is lost with the process.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import structlog

from almenara.clock import to_micros
from almenara.node.answers import StreamState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from almenara.model.ids import Stream
    from almenara.node.answers import StreamView
    from almenara.node.watch import Facts

QUIET = timedelta(seconds=15)
"""A stream of which nothing came for so long stands still: the others take their turns within seconds."""

GRACE = timedelta(seconds=60)
"""So long nothing need be known of the pace."""

GAIN_MIN = 1.0
"""Records a second by which what is to come must grow less after that. An operator that lets statements
through drop by drop is slower; and one that keeps to it has let through n of them after n seconds."""

WINDOW = timedelta(seconds=30)
"""The pace is that of so long: a few transactions, however large they are."""

TOLD_EVERY = timedelta(seconds=10)

log = structlog.get_logger()


class Step(NamedTuple):
    """What one look saw: how many records were to come, and how many had been read of the topic."""

    at: datetime
    to_come: int
    read: int


class Backlog(NamedTuple):
    """A stream of which the broker holds more than was read: since when, and the looks of the last while."""

    since: datetime
    steps: tuple[Step, ...]

    @property
    def to_come(self) -> int:
        """Return how many records were to come at the last look."""
        return self.steps[-1].to_come

    @property
    def pace(self) -> float:
        """Return how many records a second are read, 0.0 while that is not known."""
        return self._each_second(self.steps[-1].read - self.steps[0].read)

    @property
    def is_met(self) -> bool:
        """Tell whether it is new, or grows less fast enough."""
        gained = self._each_second(self.steps[0].to_come - self.steps[-1].to_come)
        return self.steps[-1].at - self.since <= GRACE or gained >= GAIN_MIN

    def _each_second(self, records: int) -> float:
        passed = (self.steps[-1].at - self.steps[0].at).total_seconds()
        return max(0.0, records / passed) if passed > 0 else 0.0


def look(
    before: Mapping[Stream, Backlog], found: Facts, *, now: datetime, window: timedelta = WINDOW
) -> dict[Stream, Backlog]:
    """Return the streams that are being read and are not read to their end, given the look before."""
    after: dict[Stream, Backlog] = {}
    for stream, heard in found.heard.items():
        fresh = abs(to_micros(now) - heard.unread.at) <= QUIET // timedelta(microseconds=1)
        if not heard.unread.records or not fresh or heard.ended:
            continue
        step = Step(now, heard.unread.records, heard.row.next_offset if heard.row else 0)
        seen = before.get(stream, Backlog(now, ()))
        steps = [each for each in seen.steps if now - each.at <= window]
        after[stream] = Backlog(seen.since, (*steps, step))
    return after


def ready_s(backlogs: Iterable[Backlog]) -> float | None:
    """Return in how many seconds all of them will be read, None while the pace is not known."""
    each = list(backlogs)
    pace = sum(backlog.pace for backlog in each)
    return sum(backlog.to_come for backlog in each) / pace if pace > 0 else None


def described(records: int, seconds: float | None) -> str:
    """Return `3,412 records to come, about 40 s`."""
    estimate = "" if seconds is None else f", about {_duration(seconds)}"
    return f"{records:,} {'record' if records == 1 else 'records'} to come{estimate}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{round(minutes / 60)} h"


def summary(views: Iterable[StreamView]) -> str:
    """Return what is still to be read of all streams that are catching up, "" if none is."""
    behind = [view for view in views if view.state is StreamState.CATCHING_UP]
    if not behind:
        return ""
    streams = "1 stream" if len(behind) == 1 else f"{len(behind)} streams"
    return f"{described(sum(view.to_come for view in behind), behind[0].ready_s)}, on {streams}"


class Progress:
    """Log how far a reader that is catching up has come, at first and every while, and when it is done."""

    def __init__(self) -> None:
        self._told: datetime | None = None

    def tell(self, views: Iterable[StreamView], *, now: datetime) -> None:
        """Log what there is to tell of the streams as they stand now."""
        left = summary(views)
        if not left and self._told is not None:
            log.info("streams.caught_up")
            self._told = None
        elif left and (self._told is None or now - self._told >= TOLD_EVERY):
            log.info("streams.catching_up", left=left)
            self._told = now
