"""How do six administrations exchange alerts, and what becomes of a forgery and a replay?

    found -> broker -> admit -> nodes -> publish -> receipts -> intruder
          -> one is suspended -> the others publish on -> receipts -> nodes end -> audit

Nothing is made easier than in service: a real Kafka with access control, a process for each node,
every message through the SDK over its author's own socket. Interrupted at any step, it ends every
process that it started and leaves the folder as it is.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara import clock
from almenara.clock import to_micros
from almenara.demo.audit import audit
from almenara.demo.expected import expected
from almenara.demo.intruder import inject
from almenara.demo.processes import node_process
from almenara.demo.revocation import suspend
from almenara.demo.samples import AUDIENCES, SUSPENDED, read_samples
from almenara.demo.site import admit_members, found, make_audiences, synchronize
from almenara.demo.stage import broker_running, nodes_running, unconfirmed
from almenara.demo.timing import deliveries, spread
from almenara.model.codes import Kind
from almenara.model.ids import REGION, AudienceId, MemberId
from almenara.trust.directory import AudienceKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from almenara.client import Bus, Handle
    from almenara.demo.audit import Verdict
    from almenara.demo.expected import Injected
    from almenara.demo.samples import Sample
    from almenara.demo.screen import Screen
    from almenara.demo.site import Site
    from almenara.demo.timing import Spread

FEDERATION = "ams"

VICTIM = MemberId("PE")
"""In whose name the intruder tries to speak."""

OPERATION = AudienceId("op-condor")
"""Onto whose stream the replay is put."""

KINDS = {
    AudienceId("andean"): (AudienceKind.SUB_REGION, "Andean sub-region"),
    OPERATION: (AudienceKind.OPERATION, "Joint operation Condor"),
}

# In service a heartbeat comes every 30 s and a receipt at most every 5 s; who watches has less time.
ENVIRONMENT = {
    "ALMENARA_PUBLISHER_HEARTBEAT_INTERVAL_S": "2",
    "ALMENARA_PUBLISHER_RECEIPT_INTERVAL_S": "1",
    # Who was suspended has nobody to send the rest to when it ends.
    "ALMENARA_PUBLISHER_DRAIN_S": "2",
}

REMAINING = {
    audience: tuple(member for member in members if member != SUSPENDED)
    for audience, members in AUDIENCES.items()
}
"""The audiences once one member has lost its access."""

READY_TIMEOUT_S = 60.0
"""Six interpreters start on two cores in some 5 s; a busy machine takes longer."""

PACE_S = 0.04
"""Between two messages: a busy region. At full speed the six would wait for each other's processor."""

RECEIPTS_TIMEOUT_S = 60.0
REFUSALS_TIMEOUT_S = 30.0

_POLL_S = 0.05


class Outcome(NamedTuple):
    """What a demonstration came to: where it stands, what the audit found, how long things took."""

    site: Site
    verdict: Verdict
    injected: Sequence[Injected]
    example: str
    """The reference of the alert that the intruder would withdraw."""
    accepted: Spread
    """From the call of publish to its answer: signed and on disk."""
    delivered: Spread
    """From the call of publish to each inbox."""


class _Published(NamedTuple):
    handles: Sequence[Handle]
    called_at: Mapping[bytes, int]
    accepted_us: Sequence[int]


async def run(folder: Path, screen: Screen) -> Outcome:
    """Run the demonstration in a new folder and return what came of it.

    Raises Misconfigured if the folder is in use, Unavailable if a part does not come up.
    """
    with screen.step("federation") as step:
        federation = await asyncio.to_thread(found, folder, name=FEDERATION)
        step.result = f"{federation.name} founded, root {federation.fingerprint[:16]}"
    async with broker_running(federation.folder, screen) as broker:
        with screen.step("members") as step:
            site = await admit_members(folder, federation, AUDIENCES[REGION])
            make_audiences(federation, AUDIENCES, KINDS)
            version = await synchronize(federation)
            step.result = f"{' '.join(site.members)} admitted, to {', '.join(AUDIENCES)}"
        async with nodes_running(
            site,
            [node_process(settings) for settings in site.members.values()],
            environment=ENVIRONMENT,
            directory_version=version,
            timeout_s=READY_TIMEOUT_S,
            screen=screen,
        ) as buses:
            samples = read_samples(clock.now())
            first = [sample for sample in samples if not sample.later]
            later = [sample for sample in samples if sample.later]
            published = await _publish(first, buses, screen)
            faults = await unconfirmed(published.handles, timeout_s=RECEIPTS_TIMEOUT_S, screen=screen)
            injected = await _intrude(site, samples, buses, screen)
            await suspend(site, SUSPENDED, broker=broker, buses=buses, screen=screen)
            after = await _publish(later, buses, screen)
            faults += await unconfirmed(after.handles, timeout_s=RECEIPTS_TIMEOUT_S, screen=screen)
    with screen.step("audit") as step:
        wanted = [expected(sample, REMAINING if sample.later else AUDIENCES) for sample in samples]
        verdict = await asyncio.to_thread(audit, site.stores, wanted, injected, AUDIENCES)
        called_at = {**published.called_at, **after.called_at}
        delays = await asyncio.to_thread(lambda: list(deliveries(site.stores, called_at)))
        step.result = "read from the stores' files, every hash and link computed anew"
    return Outcome(
        site=site,
        verdict=msgspec.structs.replace(verdict, discrepancies=(*faults, *verdict.discrepancies)),
        injected=injected,
        example=_victim(samples).message.reference,
        accepted=spread([*published.accepted_us, *after.accepted_us]),
        delivered=spread(delays),
    )


async def _publish(samples: Sequence[Sample], buses: Mapping[MemberId, Bus], screen: Screen) -> _Published:
    """Publish the samples in their order, each through its author's node."""
    handles, called_at, accepted_us = [], {}, []
    with screen.step("messages") as step:
        for number, (sender, audience, message, _) in enumerate(samples):
            reach = ", ".join(message.recipients) or f"all of {audience}"
            title = message.texts[0].title if message.texts else message.kind
            step.note(f"{number + 1} of {len(samples)}, {sender} to {reach}: {title}")
            called_at[message.message_id.bytes] = to_micros(clock.now())
            began = time.perf_counter_ns()
            handles.append(await buses[sender].publish(message, audience=audience))
            accepted_us.append((time.perf_counter_ns() - began) // 1000)
            await asyncio.sleep(PACE_S)
        listed = sum(bool(sample.message.recipients) for sample in samples)
        step.result = f"{len(samples)} published, {listed} of them to a list of members"
    return _Published(handles, called_at, accepted_us)


async def _intrude(
    site: Site, samples: Sequence[Sample], buses: Mapping[MemberId, Bus], screen: Screen
) -> Sequence[Injected]:
    """Put a forgery and a replay into Kafka and wait until their readers have refused them."""
    with screen.step("intruder") as step:
        target = _victim(samples).message.message_id
        genuine = (await buses[VICTIM].node.export(target)).record
        injected = await inject(
            site.federation,
            genuine,
            target,
            publisher=VICTIM,
            other=OPERATION,
            audiences=AUDIENCES,
            key_file=site.folder / "intruder.json",
            now=clock.now(),
        )
        until = time.monotonic() + REFUSALS_TIMEOUT_S
        open_cases = {(each.record, reader) for each in injected for reader in each.readers}
        while open_cases and time.monotonic() < until:
            for member, bus in buses.items():
                refused = await bus.node.quarantine()
                open_cases -= {(kept.record, member) for kept in refused}
            await asyncio.sleep(_POLL_S)
        step.result = (
            f"a forgery and a replay put into Kafka; {len(open_cases)} readers have not refused them"
        )
        if not open_cases:
            step.result = "a forgery and a replay put into Kafka, refused by every reader"
    return injected


def _victim(samples: Sequence[Sample]) -> Sample:
    """Return the alert to the whole region that the intruder would withdraw."""
    return next(
        sample
        for sample in samples
        if (sample.sender, sample.audience, sample.message.kind) == (VICTIM, REGION, Kind.RISK_ALERT)
        and not sample.message.recipients
    )
