"""What time is it? The one module that asks; everything else takes `now` as a value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9000, 1, 1, tzinfo=UTC)
"""No time that somebody signs may be later, or before the epoch: sums with it must stay within datetime."""

_MICROSECOND = timedelta(microseconds=1)


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970-01-01T00:00:00Z, the wire's unit of time."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC time of that many microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=micros)


def is_usable(moment: datetime | None) -> bool:
    """Tell whether a time of others can be compared and added to; None is no time."""
    return moment is None or (moment.tzinfo is not None and EPOCH <= moment < LAST)
