"""How long did it take from the call that published a message to the inbox of each who holds it?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from almenara.demo.ledger import open_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from almenara.model.ids import MemberId


class Spread(NamedTuple):
    """The middle and the tail of some durations, in milliseconds."""

    number: int
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        if not self.number:
            return "none"
        return f"p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms"


def spread(durations_us: Sequence[int]) -> Spread:
    """Return the spread of durations in microseconds."""
    ordered = sorted(durations_us)
    if not ordered:
        return Spread(0, math.nan, math.nan)

    def rank(share: float) -> float:
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] / 1000

    return Spread(len(ordered), rank(0.5), rank(0.99))


def deliveries(stores: Mapping[MemberId, Path], called_at: Mapping[bytes, int]) -> Iterator[int]:
    """Yield, for each copy in an inbox, the microseconds since its author called publish.

    By the clock of one machine. A reader notes the time as it begins the transaction that stores the
    message, so its commit, some milliseconds, is not in it.
    """
    for member, path in stores.items():
        with open_ledger(member, path) as ledger:
            for held in ledger.inbox():
                if held.message_id in called_at:
                    yield held.received_at - called_at[held.message_id]
