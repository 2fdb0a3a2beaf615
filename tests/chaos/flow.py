"""How soon do messages flow again after something happened? By when each was offered and shown.

A way leads from one member's caller to another's follower. Messages flow again on it with the first that
was offered after the event and has come.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from almenara.model.ids import MemberId
    from chaos.load import Offer


class _Way(NamedTuple):
    offered: Sequence[float]
    """When each message was offered that has come, in order."""
    seen: Sequence[float]
    """When the first came that was offered then or later."""

    @classmethod
    def of(cls, passed: Iterable[tuple[float, float]]) -> _Way:
        ordered = sorted(passed)
        seen = list(accumulate((seen for _, seen in reversed(ordered)), min))
        return cls([offered for offered, _ in ordered], seen[::-1])

    def first_after(self, at: float) -> float | None:
        index = bisect_left(self.offered, at)
        return self.seen[index] if index < len(self.seen) else None


class Flow:
    """All ways between the members; times are of `time.monotonic`."""

    def __init__(
        self, offers: Iterable[Offer], shown: Mapping[MemberId, Mapping[tuple[MemberId, UUID], float]]
    ) -> None:
        offered_at = {(offer.publisher, offer.message.message_id): offer.offered_at for offer in offers}
        passed: dict[tuple[MemberId, MemberId], list[tuple[float, float]]] = {
            (author, reader): [] for author in shown for reader in shown if author != reader
        }
        for reader, first_at in shown.items():
            for identity, seen_at in first_at.items():
                if identity in offered_at:  # its caller may not have been answered yet
                    passed[identity[0], reader].append((offered_at[identity], seen_at))
        self._ways = {way: _Way.of(times) for way, times in passed.items()}

    def again(self, at: float, member: MemberId | None) -> float | None:
        """Return how long after a time messages flowed on all ways of a member, or on all; None: not yet."""
        arrivals = [
            way.first_after(at) for ends, way in self._ways.items() if member is None or member in ends
        ]
        come = [arrival for arrival in arrivals if arrival is not None]
        return max(come) - at if len(come) == len(arrivals) else None
