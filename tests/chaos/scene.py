"""What runs while a storm blows, and what may be done to it? A federation of real processes.

    lines, if exposed -> broker -> members -> coordinator -> nodes -> callers' connections -> lent
           -> coordinator stops -> directory and cluster judged -> all stop, the broker last

The broker is `almenara broker run`, the coordinator `almenara coordinator run`, each node `almenara node
run` with its two children; whoever publishes or reads does so with the SDK.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from almenara import clock
from almenara.client import connect
from almenara.demo.processes import until_ready as node_answers
from almenara.model.ids import MemberId
from chaos.line import lines
from chaos.programs import BrokerProgram, CoordinatorProgram, NodeProgram, kept, until_ready
from chaos.store_files import put_aside, rows
from chaos.taken_back import TakenBack
from faked_clock import FakedClock, faketime_library
from federation_site import FederationSite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from almenara.client import Bus
    from almenara.node.settings import MemberSettings
    from chaos.line import Line
    from chaos.programs import Program

INTERVALS = {
    "ALMENARA_RENEWAL_POLL_S": "1",
    "ALMENARA_PUBLISHER_HEARTBEAT_INTERVAL_S": "1",
    "ALMENARA_PUBLISHER_RECEIPT_INTERVAL_S": "0.5",
    "ALMENARA_PUBLISHER_RETRY_S": "0.2",
    "ALMENARA_PUBLISHER_DRAIN_S": "2",
    "ALMENARA_SUBSCRIBER_PROBE_INTERVAL_S": "1",
    "ALMENARA_SUBSCRIBER_RETRY_S": "0.2",
    "ALMENARA_SUBSCRIBER_GAP_WAIT_S": "10",
}
"""In service they are made for months of quiet; here as much as possible is to happen between two kills."""

READY_TIMEOUT_S = 120.0

GUEST = MemberId("EC")
"""A member without a node, where the broker has several: with its certificates all are started anew."""


class Scene:
    """A federation that runs; `scene` makes one."""

    def __init__(
        self,
        site: FederationSite,
        *,
        broker: BrokerProgram,
        coordinator: CoordinatorProgram,
        nodes: Mapping[MemberId, NodeProgram],
        lines: Mapping[MemberId, Line],
        clocks: Mapping[MemberId, FakedClock],
        buses: Mapping[MemberId, Bus],
    ) -> None:
        self.site = site
        self.broker = broker
        self.coordinator = coordinator
        self.nodes = nodes
        self.lines = lines
        self.clocks = clocks
        self.buses = buses
        self.coordination: Sequence[str] = ()
        self.guest = GUEST
        self.taken_back: list[TakenBack] = []
        self.on_taken_back: Callable[[MemberId, int], None] = lambda _member, _position: None

    @property
    def members(self) -> Sequence[MemberId]:
        """Return the members that have a node."""
        return tuple(self.nodes)

    @property
    def stores(self) -> Mapping[MemberId, Path]:
        """Return the files of the members' stores."""
        return {member: self.settings(member).store_path for member in self.nodes}

    def settings(self, member: MemberId) -> MemberSettings:
        """Return the settings of a member's node."""
        return self.site.members[member]

    def take_back(self, member: MemberId, change: Callable[[], None]) -> None:
        """Have a member's store, which nobody uses now, become an earlier one; what it was is put aside.

        `on_taken_back` is told the member and the last position that its inbox has given then.
        """
        store = self.settings(member).store_path
        aside = store.with_name(f"taken-back-{len(self.taken_back)}.db")
        put_aside(store, aside)
        change()
        self.taken_back.append(TakenBack(member, aside))
        given = rows(store, "SELECT seq FROM sqlite_sequence WHERE name = 'message'")
        self.on_taken_back(member, given[0][0] if given else 0)

    def faults(self) -> list[str]:
        """Return what the programs did that they should not; complete once all were stopped."""
        programs: list[Program] = [self.broker, self.coordinator, *self.nodes.values()]
        return [
            *(fault for program in programs for fault in program.faults),
            *(crash for node in self.nodes.values() for crash in node.crashes()),
            *self.coordination,
        ]


@asynccontextmanager
async def scene(
    folder: Path,
    members: Sequence[MemberId],
    *,
    intervals: Mapping[str, str] = INTERVALS,
    nodes: int = 1,
    exposed: bool = False,
) -> AsyncIterator[Scene]:
    """Found a federation in a new folder, run it, and stop it in the end, whatever happened.

    `intervals` are settings of the members' nodes, as variables of their environment; the broker has so many
    `nodes`. If the federation is `exposed`, each member has a line and a clock, if there is libfaketime.
    Raises TimeoutError, naming the log, if it does not come up in the first place.
    """
    site = FederationSite(folder)
    for name in ("broker", "coordinator"):
        (folder / name).mkdir()
    ways = lines(members, nodes=nodes) if exposed else {}
    broker = BrokerProgram(
        site.federation.folder,
        folder / "broker",
        nodes=nodes,
        forwarded=[line.forwarded for line in ways.values()],
    )
    coordinator = CoordinatorProgram(site.federation.folder, folder / "coordinator")
    async with AsyncExitStack() as stack:
        for line in ways.values():
            await stack.enter_async_context(line)
        await stack.enter_async_context(kept(broker))
        await until_ready(broker, timeout_s=READY_TIMEOUT_S)
        for member in members if nodes == 1 else (*members, GUEST):
            site.admit(site.enrol(member))
        can_jump = members if exposed and faketime_library() else ()
        faked = {member: FakedClock(site.members[member].folder) for member in can_jump}
        version = (await site.sync()).version
        await stack.enter_async_context(kept(coordinator))
        running = {
            member: NodeProgram(
                site.members[member],
                {
                    **intervals,
                    **({"ALMENARA_BOOTSTRAP": ways[member].bootstrap} if member in ways else {}),
                    **(faked[member].environment if member in faked else {}),
                },
            )
            for member in members
        }
        for node in running.values():
            await stack.enter_async_context(kept(node))
        until = time.monotonic() + READY_TIMEOUT_S
        for member, node in running.items():
            await until_ready(node, timeout_s=READY_TIMEOUT_S)
            settings = site.members[member]
            await node_answers(settings, directory_version=version, check=lambda: None, until=until)
        buses = {
            member: await stack.enter_async_context(connect(site.members[member].socket_path))
            for member in members
        }
        lent = Scene(
            site,
            broker=broker,
            coordinator=coordinator,
            nodes=running,
            lines=ways,
            clocks=faked,
            buses=buses,
        )
        yield lent
        await coordinator.stop()
        lent.coordination = await _uncoordinated(site)


async def _uncoordinated(site: FederationSite) -> list[str]:
    """Return what is wrong with the directory, or with the cluster by it, now that no daemon runs.

    Raises what `published` raises if the directory's own signatures do not prove it.
    """
    before = site.federation.published(clock.now()).directory.version
    outcome = await site.sync()
    return [
        *([] if outcome.version == before else [f"directory: {outcome.version} after {before}"]),
        *([f"cluster: it did not hold what directory {before} says: {outcome}"] if outcome else []),
    ]
