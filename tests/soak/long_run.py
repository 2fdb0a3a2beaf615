"""What is a long run? A federation under a moderate load, and everything periodic happens dozens of times.

    scene -> load + samples + changes -> load ends -> quiet -> all stops -> audit and judgement

Nothing is killed; only the coordinator changes something now and again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import psutil

from almenara.errors import Unavailable
from almenara.model.ids import MemberId
from chaos.auditor import judge, misshown
from chaos.load import BURST, BURST_SHARE, CALLERS, Callers, Follower
from chaos.quiet import until_quiet
from chaos.scene import scene
from soak.changes import Changes
from soak.judgement import judgement
from soak.report import Outcome
from soak.sampling import Lag, Sample, processes, stores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chaos.scene import Scene
    from soak.sampling import Samples

MEMBERS = (MemberId("PE"), MemberId("AR"), MemberId("CL"))

INTERVALS = {
    "ALMENARA_RENEWAL_POLL_S": "5",
    "ALMENARA_HOUSEKEEPING_INTERVAL_S": "20",
    "ALMENARA_PUBLISHER_HEARTBEAT_INTERVAL_S": "3",
    "ALMENARA_PUBLISHER_RECEIPT_INTERVAL_S": "1",
    "ALMENARA_PUBLISHER_CHECKPOINT_INTERVAL_S": "30",
    "ALMENARA_SUBSCRIBER_PROBE_INTERVAL_S": "2",
}
"""So that in half an hour the rarest of it happens sixty times; in service it is once a day."""

SEED = 1

MESSAGES_A_CALL = 1 + (BURST - 1) * BURST_SHARE

SAMPLE_S = (0.5, 5.0)
"""Between samples at least and at most: a short run has as many as a long one can do with."""

SAMPLES_WANTED = 150

SAY_S = 10.0
ANSWERS_TIMEOUT_S = 120.0


class Plan(NamedTuple):
    """How long, how many messages a second, and where the samples go."""

    seconds: float
    rate: float
    samples: Samples

    @property
    def sample_s(self) -> float:
        """Return the seconds between samples."""
        least, most = SAMPLE_S
        return max(least, min(most, self.seconds / SAMPLES_WANTED))


async def soak(folder: Path, plan: Plan, *, ending: asyncio.Event, say: Callable[[str], None]) -> Outcome:
    """Run it in a new folder until the time is up or `ending` is set, and judge what it left.

    Raises TimeoutError, naming the log, if the federation does not come up in the first place.
    """
    async with scene(folder, MEMBERS, intervals=INTERVALS) as running:
        run = _Run(running, plan, say)
        await run.go(ending)
    offers = run.callers.offers
    shown = {member: follower.shown for member, follower in run.followers.items()}
    found = await asyncio.to_thread(judge, running.stores, offers)
    faults = (
        *run.faults,
        *running.faults(),
        *await asyncio.to_thread(misshown, running.stores, shown),
    )
    samples = plan.samples.taken
    return Outcome(
        seconds=run.seconds,
        wanted_s=plan.seconds,
        rate=samples[-1].accepted / samples[-1].at_s if samples else 0.0,
        machine_cpu=sum(each.machine_cpu for each in samples) / max(1, len(samples)),
        changes=run.changes.count,
        report=msgspec.structs.replace(found, faults=(*found.faults, *faults)),
        judgement=judgement(samples),
    )


class _Run:
    """Load, samples and changes over a federation that runs."""

    def __init__(self, running: Scene, plan: Plan, say: Callable[[str], None]) -> None:
        self._scene = running
        self._plan = plan
        self._say = say
        calls_per_s = plan.rate / MESSAGES_A_CALL / (CALLERS * len(MEMBERS))
        self.callers = Callers(SEED, running.buses, calls_per_s=calls_per_s)
        self.followers = {member: Follower(bus) for member, bus in running.buses.items()}
        self._lag = Lag(
            self.callers.offers, {member: each.first_at for member, each in self.followers.items()}
        )
        self.faults: list[str] = []
        self.changes = Changes(running)
        self.seconds = 0.0

    async def go(self, ending: asyncio.Event) -> None:
        """Let it run under load, then end the load and wait until all have what they should."""
        async with asyncio.TaskGroup() as tasks:
            following = [tasks.create_task(follower.run()) for follower in self.followers.values()]
            calling = tasks.create_task(self.callers.run())
            over = asyncio.Event()
            changing = tasks.create_task(self.changes.run(over))
            await self._watch(ending)
            over.set()
            self.callers.finish()
            _, late = await asyncio.wait((calling, changing), timeout=ANSWERS_TIMEOUT_S)
            if late:
                self.faults.append(f"callers or coordinator: not done after {ANSWERS_TIMEOUT_S:.0f} s")
                for task in late:
                    task.cancel()
            self.faults += await until_quiet(self._scene, self.followers)
            self.faults += await self.changes.not_taken_up()
            for task in following:
                task.cancel()
        self.faults += [*self.callers.faults, *self.changes.faults]

    async def _watch(self, ending: asyncio.Event) -> None:
        """Take a sample now and again until the time is up or `ending` is set."""
        began = said = time.monotonic()
        psutil.cpu_percent()
        while (at_s := time.monotonic() - began) < self._plan.seconds and not ending.is_set():
            try:
                await self._sample(began)
            except Unavailable as error:
                self.faults.append(f"after {at_s:.0f} s: {error}")
            if self._plan.samples.taken and time.monotonic() - said >= SAY_S:
                said = time.monotonic()
                self._say(await asyncio.to_thread(self._progress))
            await _unless(ending, min(self._plan.sample_s, self._plan.seconds - at_s))
        self.seconds = time.monotonic() - began

    async def _sample(self, began: float) -> None:
        held = await stores(self._scene)
        seen = await asyncio.to_thread(processes, self._scene)
        now = time.monotonic()
        readers = self._lag.readers(now)
        self._plan.samples.add(
            Sample(
                at_s=now - began,
                accepted=self._lag.accepted,
                machine_cpu=psutil.cpu_percent() / 100,
                processes=seen,
                stores=held,
                readers=readers,
            )
        )

    def _progress(self) -> str:
        samples = self._plan.samples.taken
        last = samples[-1]
        lag_s = max(reader.lag_s for reader in last.readers.values())
        growths = [(each.memory.grown, each.name) for each in judgement(samples).processes if each.memory]
        grown, name = max(growths, default=(0.0, ""))
        worst = f", most growth {grown:+.1f} MiB: {name}" if growths else ", still warming up"
        return (
            f"{max(0.0, self._plan.seconds - last.at_s):.0f} s left:"
            f" {last.accepted / last.at_s:.1f} messages a second, machine {last.machine_cpu:.0%} busy,"
            f" lag {lag_s:.2f} s{worst}"
        )


async def _unless(event: asyncio.Event, wait_s: float) -> None:
    """Wait so long, or until the event."""
    try:
        async with asyncio.timeout(wait_s):
            await event.wait()
    except TimeoutError:
        return


def save(outcome: Outcome, file: Path) -> None:
    """Write the outcome as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(outcome)) + b"\n")
