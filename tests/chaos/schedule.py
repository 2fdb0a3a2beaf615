"""What befalls a federation, in which order and with what pauses? Drawn from a seed, to be repeated.

A deck holds how to draw each kind of event. It is dealt again and again, in another order each time, and
each kind takes the members in turn: so every kind hits every member before any is hit twice by it.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

from almenara.crash import Point
from chaos.events.change import draw_audience, draw_renewal
from chaos.events.clock import LEFT_OUT, Way, jump
from chaos.events.cluster import kill_broker_node, rolling_restart, stop_broker_node
from chaos.events.crash import crash
from chaos.events.disk import full_disk
from chaos.events.kill import Target, kill
from chaos.events.network import Trouble, network
from chaos.events.rewind import Past, rewind
from chaos.events.stop import stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from almenara.model.ids import MemberId
    from chaos.events.event import Event


class Draw(Protocol):
    """How to draw an event of one kind; one that hits no single member passes over the member."""

    def __call__(self, random: Random, member: MemberId, /) -> Event:
        """Return an event."""
        ...


KILLS: Sequence[Draw] = tuple(map(kill, Target))
"""Each target once."""

STOPS: Sequence[Draw] = tuple(map(stop, (Target.PUBLISHER, Target.SUBSCRIBER, Target.NODE)))

DISKS: Sequence[Draw] = (full_disk,)

CRASHES: Sequence[Draw] = tuple(map(crash, Point))
"""Each named point of the code once."""

NETWORKS: Sequence[Draw] = tuple(map(network, Trouble))

REWINDS: Sequence[Draw] = tuple(map(rewind, Past))

CHANGES: Sequence[Draw] = (draw_audience, draw_renewal)

JUMPS: Sequence[Draw] = () if LEFT_OUT else tuple(map(jump, Way))

ROUND_PARTS = 6


def round_deck(part: int, *, nodes: int) -> Sequence[Draw]:
    """Return the deck of one of the parts of a round of an hour: 96 kills of processes in all, 6 of brokers.

    One kill of the broker a part, or of one of its nodes, so that it has time to come back. Nodes are killed
    often enough that the wait of their parents before they start a child again, which grows with its
    failures, stays short.
    """
    several = nodes > 1
    rare = (
        *(stop(target) for target in (*Target, *Target)),
        *((kill(Target.BROKER), stop_broker_node, rolling_restart, stop_broker_node) if several else ()),
        *NETWORKS,
        *CHANGES,
        *CHANGES,
        *DISKS,
        *DISKS,
        *JUMPS,
        *REWINDS,
    )
    return (
        kill_broker_node if several else kill(Target.BROKER),
        kill(Target.COORDINATOR),
        *(kill(Target.NODE),) * 3,
        *(kill(Target.PUBLISHER),) * (3 + part % 2),
        *(kill(Target.SUBSCRIBER),) * (4 - part % 2),
        *CRASHES[part::ROUND_PARTS],
        *rare[part::ROUND_PARTS],
    )


class Planned(NamedTuple):
    """An event, and how long its victim is left in peace before it."""

    event: Event
    pause_s: float


def schedule(
    random: Random,
    count: int,
    *,
    deck: Sequence[Draw],
    members: Sequence[MemberId],
    pause_s: tuple[float, float],
) -> tuple[Planned, ...]:
    """Return that many events; more of the same seed begin with the fewer ones.

    `pause_s` are the shortest and the longest pause: from the midst of the last recovery to well after
    most of them.
    """
    return tuple(islice(_events(random, deck, members, pause_s), count))


def _events(
    random: Random, deck: Sequence[Draw], members: Sequence[MemberId], pause_s: tuple[float, float]
) -> Iterator[Planned]:
    turns = [_in_turn(random, members) for _ in deck]
    while True:
        for index in random.sample(range(len(deck)), len(deck)):
            event = deck[index](random, next(turns[index]))
            yield Planned(event, random.uniform(*pause_s))


def _in_turn(random: Random, members: Sequence[MemberId]) -> Iterator[MemberId]:
    while True:
        yield from random.sample(list(members), len(members))
