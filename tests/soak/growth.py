"""Does a series of samples grow, or does it only go up and down? By the slope that most pairs agree on.

    samples -- after the warm-up --> twelve blocks -- median of each --> slope of each pair of
    blocks --> their median (Theil-Sen) --> what the series grew by while it was judged

A block is longer than anything periodic in a node, so that a saw-tooth has the same median in each. A leak
and a stair have not. What one step or one peak did is no growth: half of the pairs would have to agree.
"""

from __future__ import annotations

from itertools import combinations
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WARM_UP_SHARE, WARM_UP_LEAST_S = 1 / 3, 600.0
"""Of the time, and at least so long, nothing is judged: SQLite's page caches and compiled statements fill,
freed buffers are kept up to what `settle_memory` allows, Java compiles. In its first ten minutes a subscriber
was seen to gain 11 MiB, more and more slowly; where it was made to collect and to give back what is free, it
stayed within 0.3 MiB from the fifth minute on."""

BLOCKS = 12
"""Of 100 s each in a run of half an hour."""

SAMPLES_MIN = 3 * BLOCKS
"""Samples after the warm-up without which nothing can be said: three a block, for a median of some worth."""

HALF_HOUR_S = 1800.0


class Point(NamedTuple):
    """A value at a time, in seconds from the begin."""

    at_s: float
    value: float


class Bound(NamedTuple):
    """How much a series may grow in half an hour; what exceeds both the amount and the share is growth.

    In less than half an hour it is as much less, and never less than `least`, which is what one run
    differs from the other by. Up to `ceiling` it may grow in any case.
    """

    amount: float
    share: float
    least: float
    ceiling: float = 0.0

    def allowed(self, start: float, over_s: float) -> float:
        """Return by how much a series that began with `start` may grow over so many seconds."""
        whole = max(self.amount, self.share * start)
        return max(self.least, whole * min(1.0, over_s / HALF_HOUR_S), self.ceiling - start)


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one series after its warm-up."""

    start: float
    """The median of the first block."""
    end: float
    highest: float
    per_half_hour: float
    """The slope."""
    grown: float
    """What the slope comes to over the time that was judged."""
    allowed: float

    @property
    def bad(self) -> bool:
        """Tell whether it is more than the bound allows."""
        return self.grown > self.allowed


def growth(points: Sequence[Point], bound: Bound) -> Growth | None:
    """Judge a series, or return None where too few samples are left after the warm-up."""
    judged = after_warm_up(points)
    if len(judged) < SAMPLES_MIN:
        return None
    blocks = _blocks(judged)
    slope = _slope(blocks)
    over_s = judged[-1].at_s - judged[0].at_s
    start = blocks[0].value
    return Growth(
        start=start,
        end=blocks[-1].value,
        highest=max(point.value for point in judged),
        per_half_hour=slope * HALF_HOUR_S,
        grown=slope * over_s,
        allowed=bound.allowed(start, over_s),
    )


def after_warm_up(points: Sequence[Point]) -> Sequence[Point]:
    """Return what was sampled after the warm-up."""
    if not points:
        return ()
    begins = judged_from(points[0].at_s, points[-1].at_s)
    return [point for point in points if point.at_s >= begins]


def judged_from(began_s: float, ended_s: float) -> float:
    """Return when the warm-up of a run is over, which may be after its end."""
    return began_s + max(WARM_UP_LEAST_S, (ended_s - began_s) * WARM_UP_SHARE)


def marginal(points: Sequence[Point]) -> tuple[float, float] | None:
    """Return the slope of the first and of the second half of a series, of which each has enough points.

    For bytes over messages: what is linear has the same slope in both, and what grows faster has not.
    """
    half = len(points) // 2
    if half < BLOCKS:
        return None
    return _slope(_blocks(points[:half])), _slope(_blocks(points[half:]))


def _blocks(points: Sequence[Point]) -> list[Point]:
    size = len(points) / BLOCKS
    cuts = [points[round(number * size) : round((number + 1) * size)] for number in range(BLOCKS)]
    return [Point(median(p.at_s for p in cut), median(p.value for p in cut)) for cut in cuts]


def _slope(points: Iterable[Point]) -> float:
    slopes = [
        (later.value - earlier.value) / (later.at_s - earlier.at_s)
        for earlier, later in combinations(points, 2)
        if later.at_s > earlier.at_s
    ]
    return median(slopes) if slopes else 0.0
