"""What is a storm? A federation under load, its processes killed one after another, then quiet.

    broker -> members -> nodes -> load + kills -> load ends -> quiet -> nodes and broker stop -> audit

Everything is real: the broker is `almenara broker run`, each node `almenara node run` with its two
children, and whoever publishes or reads does so with the SDK. What is wrong is collected, not raised, so
that the stores are judged in any case.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

from almenara.client import connect
from almenara.demo.processes import until_ready as node_answers
from almenara.errors import Unavailable
from almenara.model.ids import MemberId
from almenara.node.answers import StreamState
from almenara.store.views import InboxFilter
from chaos.auditor import judge
from chaos.load import Callers, Follower
from chaos.programs import BrokerProgram, NodeProgram, kept, until_ready
from chaos.schedule import Target, schedule
from federation_site import FederationSite

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from uuid import UUID

    from almenara.client import Bus
    from chaos.auditor import Report
    from chaos.load import Offer
    from chaos.programs import Program
    from chaos.schedule import Kill

MEMBERS = (MemberId("PE"), MemberId("AR"), MemberId("CL"))

INTERVALS = {
    "ALMENARA_PUBLISHER_HEARTBEAT_INTERVAL_S": "1",
    "ALMENARA_PUBLISHER_RECEIPT_INTERVAL_S": "0.5",
    "ALMENARA_PUBLISHER_RETRY_S": "0.2",
    "ALMENARA_PUBLISHER_DRAIN_S": "2",
    "ALMENARA_SUBSCRIBER_PROBE_INTERVAL_S": "1",
    "ALMENARA_SUBSCRIBER_RETRY_S": "0.2",
    "ALMENARA_SUBSCRIBER_GAP_WAIT_S": "10",
}
"""In service they are made for months of quiet; here as much as possible is to happen between two kills."""

READY_TIMEOUT_S = 60.0
VICTIM_TIMEOUT_S = 60.0
"""How long a kill waits for its victim to be back from an earlier one."""

FLOW_TIMEOUT_S = 60.0
"""How long load goes on at most after the last kill, until messages flow on every way again."""

ANSWERS_TIMEOUT_S = 60.0
QUIET_TIMEOUT_S = 60.0
_POLL_S = 0.1


class Killed(NamedTuple):
    """A kill that was done, and how long it took until messages flowed again, None if they did not."""

    kill: Kill
    at: float
    recovered_s: float | None


class Outcome(NamedTuple):
    """What a storm left behind."""

    folder: Path
    seconds: float
    stores: Mapping[MemberId, Path]
    offers: Sequence[Offer]
    shown: Mapping[MemberId, Mapping[tuple[MemberId, UUID], int]]
    """How often each member's follower was shown each message."""
    killed: Sequence[Killed]
    report: Report
    faults: Sequence[str]
    """What went wrong beside the stores: programs, callers, waits that took too long."""


class _Done(NamedTuple):
    kill: Kill
    at: float


async def storm(folder: Path, *, seed: int, kills: int) -> Outcome:
    """Run a storm in a new folder and judge what it left.

    Raises TimeoutError, naming the log, if the federation does not come up in the first place.
    """
    began = time.monotonic()
    site = FederationSite(folder)
    (folder / "broker").mkdir()
    broker = BrokerProgram(site.federation.folder, folder / "broker")
    programs: list[BrokerProgram | NodeProgram] = [broker]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(kept(broker))
        await until_ready(broker, timeout_s=READY_TIMEOUT_S)
        for member in MEMBERS:
            site.admit(site.enrol(member))
        version = (await site.sync()).version
        nodes = {member: NodeProgram(site.members[member], INTERVALS) for member in MEMBERS}
        programs += nodes.values()
        for node in nodes.values():
            await stack.enter_async_context(kept(node))
        until = time.monotonic() + READY_TIMEOUT_S
        for member, node in nodes.items():
            await until_ready(node, timeout_s=READY_TIMEOUT_S)
            settings = site.members[member]
            await node_answers(settings, directory_version=version, check=lambda: None, until=until)
        buses = {
            member: await stack.enter_async_context(connect(site.members[member].socket_path))
            for member in MEMBERS
        }
        weather = _Weather(buses, broker, nodes, seed=seed)
        await weather.blow(schedule(seed, kills, MEMBERS))
    stores = {member: site.members[member].store_path for member in MEMBERS}
    return Outcome(
        folder=folder,
        seconds=time.monotonic() - began,
        stores=stores,
        offers=weather.callers.offers,
        shown={member: follower.shown for member, follower in weather.followers.items()},
        killed=weather.killed(),
        report=await asyncio.to_thread(judge, stores, weather.callers.offers),
        faults=(
            *weather.faults,
            *(fault for program in programs for fault in program.faults),
            *(crash for node in nodes.values() for crash in node.crashes()),
        ),
    )


class _Weather:
    """Load and kills over a federation that runs."""

    def __init__(
        self,
        buses: Mapping[MemberId, Bus],
        broker: BrokerProgram,
        nodes: Mapping[MemberId, NodeProgram],
        *,
        seed: int,
    ) -> None:
        self._buses = buses
        self._broker = broker
        self._nodes = nodes
        self._done: list[_Done] = []
        self.callers = Callers(seed, buses)
        self.followers = {member: Follower(bus) for member, bus in buses.items()}
        self.faults: list[str] = []

    async def blow(self, kills: Iterable[Kill]) -> None:
        """Kill under load; then end the load and wait until all have what they should."""
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(follower.run()) for follower in self.followers.values()]
            calling = tasks.create_task(self.callers.run())
            for kill in kills:
                await self._strike(kill)
            await self._until_all_flows()
            self.callers.finish()
            _, late = await asyncio.wait((calling,), timeout=ANSWERS_TIMEOUT_S)
            if late:
                self.faults.append(f"callers: some had no answer in {ANSWERS_TIMEOUT_S:.0f} s")
                calling.cancel()
            await self._quiet()
            for task in following:
                task.cancel()
        self.faults += self.callers.faults

    async def _strike(self, kill: Kill) -> None:
        """Kill once the victim has been up for a while again since its last kill."""
        program: Program = self._broker if kill.member is None else self._nodes[kill.member]
        try:
            await until_ready(program, timeout_s=VICTIM_TIMEOUT_S)
            await asyncio.sleep(kill.pause_s)
            async with asyncio.timeout(VICTIM_TIMEOUT_S):
                if kill.member is None or kill.target is Target.NODE:
                    await program.kill()
                else:
                    await self._nodes[kill.member].kill_child(kill.target)
        except TimeoutError:
            self.faults.append(f"{kill}: not up again in {VICTIM_TIMEOUT_S:.0f} s, so it was not killed")
        else:
            self._done.append(_Done(kill, time.monotonic()))

    async def _until_all_flows(self) -> None:
        """Wait for the proof that every kill was overcome; `killed` tells which was not in time."""
        until = time.monotonic() + FLOW_TIMEOUT_S
        while time.monotonic() < until:
            if all(each.recovered_s is not None for each in self.killed()):
                return
            await asyncio.sleep(_POLL_S)

    async def _quiet(self) -> None:
        """Wait until nothing is under way any more; what still is when the time is up is a fault."""
        until = time.monotonic() + QUIET_TIMEOUT_S
        while unrest := [line for member in self._buses for line in await self._unrest(member)]:
            if time.monotonic() > until:
                self.faults += [f"not quiet after {QUIET_TIMEOUT_S:.0f} s: {line}" for line in unrest]
                return
            await asyncio.sleep(_POLL_S)

    async def _unrest(self, member: MemberId) -> list[str]:
        """Return what a member still waits for, by its own node."""
        bus = self._buses[member]
        try:
            streams = await bus.node.streams()
            position = (await bus.node.inbox(InboxFilter(), limit=0)).position
        except Unavailable as error:
            return [f"{member}: {error}"]
        found = [
            f"{member}: {view.publisher}: {view.state}, lag {view.lag}, behind {view.behind}"
            for view in streams
            if view.lag or view.behind or view.state not in {StreamState.OK, StreamState.EMPTY}
        ]
        if self.followers[member].position != position:
            found.append(f"{member}: its follower is at {self.followers[member].position} of {position}")
        return found

    def killed(self) -> list[Killed]:
        """Return the kills with the time that each took to recover."""
        offered_at = {
            (offer.publisher, offer.message.message_id): offer.offered_at for offer in self.callers.offers
        }
        flows: dict[tuple[MemberId, MemberId], list[tuple[float, float]]] = {}
        for reader, follower in self.followers.items():
            for identity, seen_at in follower.first_at.items():
                if identity in offered_at:  # its caller may not have been answered yet
                    flows.setdefault((identity[0], reader), []).append((offered_at[identity], seen_at))
        return [Killed(kill, at, _recovered(kill, at, flows)) for kill, at in self._done]


def _recovered(
    kill: Kill, at: float, flows: Mapping[tuple[MemberId, MemberId], Sequence[tuple[float, float]]]
) -> float | None:
    """Return how long it took until a message offered after the kill had come on every way that it hit.

    A way leads from one member's caller to another's follower; the broker's end hits them all.
    """
    arrivals = []
    for author in MEMBERS:
        for reader in MEMBERS:
            if author != reader and (kill.member is None or kill.member in {author, reader}):
                ways = flows.get((author, reader), ())
                arrivals.append(min((seen for offered, seen in ways if offered >= at), default=None))
    times = [arrival for arrival in arrivals if arrival is not None]
    return max(times) - at if len(times) == len(arrivals) else None
