"""How do the administrations that a file of rows names share those rows?

    rows -> who occurs most -> federation -> nodes, many in a process -> import -> receipts -> audit

The members are the rows' own senders and addressees. Run again on the same folder it starts the same
federation and publishes nothing twice: what the rows become depends on the rows alone.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara import clock
from almenara.coordinator.federation import Federation
from almenara.coordinator.settings import SETTINGS_FILE
from almenara.demo.audit import audit
from almenara.demo.expected import expected
from almenara.demo.processes import shared_process
from almenara.demo.samples import Sample
from almenara.demo.site import Site, admit_members, federation_folder, found, synchronize
from almenara.demo.stage import broker_running, nodes_running
from almenara.errors import Code, Misconfigured, Unavailable
from almenara.imports.importing import addressed, import_file
from almenara.imports.outlet import open_outlet
from almenara.imports.rows import Mapped, open_rows
from almenara.model.ids import REGION
from almenara.wire.seal import WRAP_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from almenara.client import Bus
    from almenara.demo.audit import Verdict
    from almenara.demo.screen import Screen
    from almenara.imports.importing import Publish, Report
    from almenara.imports.mapping import Mapping as RowMapping
    from almenara.model.ids import MemberId

FEDERATION = "demo"

PROCESSES = 2
"""Nodes share so many processes: beside Kafka and the import they fill four cores."""

READY_S = 60.0
READY_EACH_S = 5.0
"""A node of a large federation verifies every member's file before it is ready: half a second each."""

TIME_LIMIT_S = 1800.0
"""The largest federation of the shipped rows, all their countries, is to be done in half an hour."""

ENVIRONMENT = {"ALMENARA_PUBLISHER_RECEIPT_INTERVAL_S": "2"}

_LOOK_S = 0.5


class Outcome(NamedTuple):
    """What a demonstration came to: where it stands, what the import counted, what the audit found."""

    site: Site
    report: Report
    verdict: Verdict


async def run(
    folder: Path, screen: Screen, *, rows: Path, mapping: RowMapping, members: int | None
) -> Outcome:
    """Share the rows among as many of their countries, those that occur most; None takes all.

    Raises Misconfigured for rows that cannot be read, or a folder made for other members.
    """
    until = time.monotonic() + TIME_LIMIT_S
    with screen.step("rows") as step:
        mapped = await asyncio.to_thread(lambda: list(_mapped(rows, mapping)))
        chosen = busiest(mapped, members)
        samples = list(_samples(mapped, chosen))
        step.result = f"{len(mapped)} rows can be shared; {_shown(chosen)} take part"
    with screen.step("federation") as step:
        if not _is_made(folder):
            _require_space(folder, samples, len(chosen))
        federation, is_new = await asyncio.to_thread(_open, folder)
        step.result = f"{federation.name} {'founded' if is_new else 'opened again'}"
    async with broker_running(federation.folder, screen):
        with screen.step("members") as step:
            site = await (admit_members if is_new else _admitted)(folder, federation, chosen)
            await asyncio.to_thread(federation.keep_signed, clock.now())
            version = await synchronize(federation)
            step.result = f"{len(chosen)} admitted, directory {version}"
        settings = list(site.members.values())
        parts = [settings[part::PROCESSES] for part in range(min(PROCESSES, len(settings)))]
        async with nodes_running(
            site,
            [shared_process(n + 1, part, folder / f"nodes-{n + 1}.log") for n, part in enumerate(parts)],
            environment=ENVIRONMENT,
            directory_version=version,
            timeout_s=READY_S + READY_EACH_S * len(settings),
            screen=screen,
        ) as buses:
            report = await _import(folder, rows, mapping, buses, until=until, screen=screen)
            faults = await _await_receipts(buses, until=until, screen=screen)
    with screen.step("audit") as step:
        region = {REGION: chosen}
        wanted = [expected(sample, region) for sample in samples]
        verdict = await asyncio.to_thread(audit, site.stores, wanted, (), region)
        step.result = "read from the stores' files, every hash and link computed anew"
    verdict = msgspec.structs.replace(verdict, discrepancies=(*faults, *verdict.discrepancies))
    return Outcome(site, report, verdict)


def busiest(mapped: Sequence[Mapped], number: int | None) -> tuple[MemberId, ...]:
    """Return the members that occur in most rows, as sender or addressee, sorted; None returns all."""
    occurs = Counter(
        member
        for row in mapped
        for member in {row.sender, *(to for m in row.messages for to in m.recipients)}
    )
    ranked = sorted(occurs, key=lambda member: (-occurs[member], member))
    return tuple(sorted(ranked[:number]))


def _mapped(rows: Path, mapping: RowMapping) -> Iterator[Mapped]:
    with open_rows(rows, mapping) as file:
        for row in file.rows(now=clock.now()):
            if isinstance(row.outcome, Mapped):
                yield row.outcome


def _samples(mapped: Sequence[Mapped], members: Sequence[MemberId]) -> Iterator[Sample]:
    """Yield what the members will publish: their rows' messages, to the members among the addressees."""
    there = frozenset(members)
    for row in mapped:
        if row.sender in there:
            for message in row.messages:
                yield Sample(row.sender, REGION, addressed(message, there)[0])


def _require_space(folder: Path, samples: Sequence[Sample], members: int) -> None:
    """Raise Misconfigured if what the rows become will not fit the disk.

    Every list's key is announced once to all members, with a slot for each, and each keeps what it read.
    """
    lists = {(sample.sender, sample.message.recipients) for sample in samples}
    need = len(lists) * members * members * WRAP_BYTES
    free = shutil.disk_usage(next(parent for parent in folder.parents if parent.exists())).free
    if need > free:
        raise Misconfigured(
            Code.STORE_FULL,
            f"{folder}: {members} members will keep {need / 1e9:.0f} GB of announced keys, "
            f"{free / 1e9:.0f} GB are free; name a folder on a larger disk with --state, or fewer --members",
        )


def _open(folder: Path) -> tuple[Federation, bool]:
    """Return the federation of the folder and whether it is new."""
    if _is_made(folder):
        return Federation.open(federation_folder(folder)), False
    return found(folder, name=FEDERATION), True


def _is_made(folder: Path) -> bool:
    return (federation_folder(folder) / SETTINGS_FILE).exists()


async def _admitted(folder: Path, federation: Federation, members: Sequence[MemberId]) -> Site:
    """Return the site as it was made; raise Misconfigured CONFIGURATION if it has other members."""
    directory = (await asyncio.to_thread(federation.published, clock.now())).directory
    if directory.members.keys() != set(members):
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{folder}: made for {len(directory.members)} members, not for these {len(members)}; "
            "name another folder with --state, or the same rows and --members",
        )
    return Site(folder, federation, members)


async def _import(
    folder: Path,
    rows: Path,
    mapping: RowMapping,
    buses: Mapping[MemberId, Bus],
    *,
    until: float,
    screen: Screen,
) -> Report:
    """Publish the rows, each through its sender's node; raise Unavailable TIMED_OUT if it takes too long."""
    with screen.step("import") as step:
        outlets = {member: await open_outlet(bus, mapping.audience) for member, bus in buses.items()}

        def publisher(member: MemberId) -> Publish | None:
            return outlets[member].publish if member in outlets else None

        try:
            async with asyncio.timeout(until - time.monotonic()):
                report = await import_file(
                    rows,
                    mapping,
                    publishers=publisher,
                    members=frozenset(outlets),
                    rejects=folder / "rejects.csv",
                    now=clock.now(),
                    progress=lambda counts, share: step.note(
                        f"{share:.0%} of the file, {counts.published} published, "
                        f"{counts.already_there} there already"
                    ),
                )
        except TimeoutError as exc:
            raise Unavailable(
                Code.TIMED_OUT,
                f"{rows}: not published within {TIME_LIMIT_S / 60:.0f} minutes; run it again with --state "
                f"{folder}, it goes on from there; or with fewer --members",
            ) from exc
        step.result = f"{report.published} published, {report.already_there} there already"
    return report


async def _await_receipts(buses: Mapping[MemberId, Bus], *, until: float, screen: Screen) -> list[str]:
    """Wait until every stream is confirmed by all its readers; return which are not when the time is up."""
    with screen.step("receipts") as step:
        while True:
            behind = []
            for member, bus in buses.items():
                behind += [
                    f"stream {view.audience}/{member}: not confirmed by {' '.join(view.behind)}"
                    for view in await bus.node.streams()
                    if view.own and view.behind
                ]
            if not behind:
                step.result = "every stream is confirmed by all its readers"
                return []
            if time.monotonic() > until:
                step.result = f"{len(behind)} streams are not confirmed by all their readers"
                return behind
            step.note(f"{len(buses) - len(behind)} of {len(buses)} streams confirmed by all their readers")
            await asyncio.sleep(_LOOK_S)


def _shown(members: Sequence[MemberId]) -> str:
    return f"{len(members)} members" if len(members) > 20 else " ".join(members)
