"""What is killed, in which order and with what pauses? Drawn from a seed, so that a run can be repeated."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from almenara.model.ids import MemberId

PAUSE_S = (0.5, 5.0)
"""Between two kills: from the midst of the last recovery to well after most of them."""


class Target(StrEnum):
    """What a kill hits."""

    PUBLISHER = "publisher"
    """The child process that publishes for a member."""
    SUBSCRIBER = "subscriber"
    """The child process that receives for a member."""
    NODE = "node"
    """A member's node: the parent, and the kernel ends its children."""
    BROKER = "broker"
    """The broker's process, and the kernel ends Kafka."""


class Kill(NamedTuple):
    """One kill: `member` is None for the broker's."""

    target: Target
    member: MemberId | None
    pause_s: float

    def __str__(self) -> str:
        return self.target if self.member is None else f"{self.target} of {self.member}"


def schedule(seed: int, kills: int, members: Sequence[MemberId]) -> tuple[Kill, ...]:
    """Return the kills of a run; a longer run of the same seed begins with the shorter one's."""
    return tuple(islice(_kills(Random(seed), members), kills))


def _kills(random: Random, members: Sequence[MemberId]) -> Iterator[Kill]:
    """Draw without end: every target once a round, and every member once a round of its own."""
    turns = {target: _in_turn(random, members) for target in Target if target is not Target.BROKER}
    while True:
        for target in random.sample(list(Target), len(Target)):
            member = next(turns[target]) if target in turns else None
            yield Kill(target, member, random.uniform(*PAUSE_S))


def _in_turn(random: Random, members: Sequence[MemberId]) -> Iterator[MemberId]:
    while True:
        yield from random.sample(list(members), len(members))
