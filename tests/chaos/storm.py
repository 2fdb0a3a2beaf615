"""What is a storm? A federation under load, one thing after another befalls it, then quiet.

    scene -> load + events -> load ends -> quiet -> all stops -> audit

What is wrong is collected, not raised, so that the stores are judged in any case.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from almenara.model.ids import MemberId
from chaos.auditor import judge, misshown
from chaos.events.cluster import NODES
from chaos.flow import Flow
from chaos.load import Callers, Follower
from chaos.quiet import until_quiet
from chaos.scene import scene
from chaos.schedule import CRASHES, DISKS, KILLS, ROUND_PARTS, STOPS, round_deck, schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from chaos.auditor import Report
    from chaos.events.event import Event
    from chaos.load import Offer
    from chaos.scene import Scene
    from chaos.schedule import Planned

VICTIM_TIMEOUT_S = 300.0
"""How long an event waits for its victim to be back from an earlier one, and how long it may take."""

FLOW_TIMEOUT_S = 120.0
"""How long load goes on at most after the last event, until messages flow on every way again."""

ANSWERS_TIMEOUT_S = 120.0
_POLL_S = 0.2


class Strength(NamedTuple):
    """How hard it blows, and at what."""

    members: Sequence[MemberId]
    calls_per_s: float
    """How often a caller calls when it is answered at once; each member has two."""
    pause_s: tuple[float, float]
    hands: int
    """How many events may be under way at once, each with its pause before it."""
    nodes: int = 1
    """Of the broker."""
    exposed: bool = False
    """Whether networks and clocks of the members may fail too."""


SLICE = Strength(
    members=(MemberId("PE"), MemberId("AR"), MemberId("CL")), calls_per_s=1.5, pause_s=(0.5, 4.0), hands=3
)
"""Two minutes: the events of `short_schedule`."""

HOUR = Strength(
    members=(MemberId("PE"), MemberId("AR"), MemberId("CL"), MemberId("UY")),
    calls_per_s=0.6,
    pause_s=(0.1, 2.0),
    hands=6,
    exposed=True,
)
"""Ten rounds of 125 events and more are an hour; with more members two processors would not carry them."""

THREE_NODES_EVERY = 4
"""Each round of that number, and its multiples, is over a broker of three nodes."""

CRASH_PAUSE_S = (0.0, 0.5)


class Befallen(NamedTuple):
    """An event that came about, and how long it took after its end until messages flowed again.

    `recovered_s` is None if they did not.
    """

    event: Event
    at: float
    recovered_s: float | None


class Outcome(NamedTuple):
    """What a storm left behind."""

    folder: Path
    seconds: float
    stores: Mapping[MemberId, Path]
    offers: Sequence[Offer]
    planned: Sequence[Planned]
    befallen: Sequence[Befallen]
    report: Report
    faults: Sequence[str]
    """What went wrong beside the stores: programs, callers, followers, waits that took too long."""


def short_schedule(seed: int, kills: int) -> tuple[Planned, ...]:
    """Return the events of two minutes: so many kills, each kind of stop, a full disk, each crash point."""
    random = Random(seed)
    members, pause_s = SLICE.members, SLICE.pause_s
    return (
        *schedule(random, kills, deck=KILLS, members=members, pause_s=pause_s),
        *schedule(random, len(STOPS), deck=STOPS, members=members, pause_s=pause_s),
        *schedule(random, len(DISKS), deck=DISKS, members=members, pause_s=pause_s),
        *schedule(random, len(CRASHES), deck=CRASHES, members=members, pause_s=CRASH_PAUSE_S),
    )


def round_strength(number: int) -> Strength:
    """Return how hard one round of an hour blows."""
    return HOUR if number % THREE_NODES_EVERY else HOUR._replace(nodes=NODES)


def round_schedule(seed: int, number: int) -> tuple[Planned, ...]:
    """Return the events of one round of an hour."""
    random = Random(f"{seed} {number}")
    decks = [round_deck(part, nodes=round_strength(number).nodes) for part in range(ROUND_PARTS)]
    return tuple(
        planned
        for deck in decks
        for planned in schedule(random, len(deck), deck=deck, members=HOUR.members, pause_s=HOUR.pause_s)
    )


async def storm(
    folder: Path,
    planned: Sequence[Planned],
    *,
    seed: int,
    strength: Strength,
    say: Callable[[str], None] = lambda _line: None,
) -> Outcome:
    """Run a storm in a new folder and judge what it left; `say` is told what happens.

    Raises TimeoutError, naming the log, if the federation does not come up in the first place.
    """
    began = time.monotonic()
    async with scene(folder, strength.members, nodes=strength.nodes, exposed=strength.exposed) as running:
        weather = _Weather(running, seed=seed, calls_per_s=strength.calls_per_s, say=say)
        await weather.blow(planned, hands=strength.hands)
    offers = weather.callers.offers
    shown = {member: follower.shown for member, follower in weather.followers.items()}
    befallen = weather.befallen()
    return Outcome(
        folder=folder,
        seconds=time.monotonic() - began,
        stores=running.stores,
        offers=offers,
        planned=planned,
        befallen=befallen,
        report=await asyncio.to_thread(judge, running.stores, offers, running.taken_back),
        faults=(
            *weather.faults,
            *running.faults(),
            *(f"{each.event}: no messages flowed after it" for each in befallen if each.recovered_s is None),
            *await asyncio.to_thread(misshown, running.stores, shown),
        ),
    )


class _Weather:
    """Load and events over a federation that runs."""

    def __init__(self, running: Scene, *, seed: int, calls_per_s: float, say: Callable[[str], None]) -> None:
        self._scene = running
        self._say = say
        self._done: list[tuple[Event, float, float]] = []
        self._victims: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.callers = Callers(seed, running.buses, calls_per_s=calls_per_s)
        self.followers = {member: Follower(bus) for member, bus in running.buses.items()}
        self.faults: list[str] = []
        running.on_taken_back = lambda member, position: self.followers[member].go_back(position)

    async def blow(self, planned: Iterable[Planned], *, hands: int) -> None:
        """Let the events happen under load; then end the load and wait until all have what they should."""
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(follower.run()) for follower in self.followers.values()]
            calling = tasks.create_task(self.callers.run())
            # One row of events, of which each hand takes the next when it is free.
            row = iter(planned)
            async with asyncio.TaskGroup() as striking:
                for _ in range(hands):
                    striking.create_task(self._strike(row))
            await self._until_all_flows()
            self.callers.finish()
            _, late = await asyncio.wait((calling,), timeout=ANSWERS_TIMEOUT_S)
            if late:
                self.faults.append(f"callers: some had no answer in {ANSWERS_TIMEOUT_S:.0f} s")
                calling.cancel()
            self.faults += await until_quiet(self._scene, self.followers)
            for task in following:
                task.cancel()
        self.faults += self.callers.faults

    async def _strike(self, row: Iterable[Planned]) -> None:
        for event, pause_s in row:
            async with self._victims[event.victim]:
                try:
                    await self._befall(event, pause_s)
                except TimeoutError:
                    self.faults.append(f"{event}: did not come about in {VICTIM_TIMEOUT_S:.0f} s")

    async def _befall(self, event: Event, pause_s: float) -> None:
        """Let it happen once the victim has been up for a while again since the last event."""
        async with asyncio.timeout(VICTIM_TIMEOUT_S):
            await event.up(self._scene)
        await asyncio.sleep(pause_s)
        at = time.monotonic()
        try:
            async with asyncio.timeout(VICTIM_TIMEOUT_S):
                await event.do(self._scene)
            self._say(str(event))
            await asyncio.sleep(event.lasts_s)
        finally:
            await event.undo(self._scene)
        self._done.append((event, at, time.monotonic()))

    async def _until_all_flows(self) -> None:
        """Wait for the proof that every event was overcome; `befallen` tells which was not in time."""
        until = time.monotonic() + FLOW_TIMEOUT_S
        while time.monotonic() < until:
            if all(each.recovered_s is not None for each in self.befallen()):
                return
            await asyncio.sleep(_POLL_S)

    def befallen(self) -> list[Befallen]:
        """Return what came about, with the time that each took until messages flowed again."""
        flow = Flow(self.callers.offers, {reader: each.first_at for reader, each in self.followers.items()})
        return [Befallen(event, at, flow.again(over, event.member)) for event, at, over in self._done]
