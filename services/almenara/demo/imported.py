"""How do the administrations that a file of rows names share those rows?

    rows -> who occurs most -> federation -> nodes, many in a process -> import -> receipts -> audit

The members are the rows' own senders and addressees. Run again on the same folder it starts the same
federation and publishes nothing twice: what the rows become depends on the rows alone. Rows are taken in
their order, no more of them than can be read, confirmed and audited in half an hour; the next run goes on
where one stopped, and the audit covers what was taken.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara import clock
from almenara.coordinator.federation import Federation
from almenara.coordinator.settings import SETTINGS_FILE
from almenara.coordinator.upkeep import keep_signed
from almenara.demo.audit import audit
from almenara.demo.expected import expected
from almenara.demo.ledger import open_ledger
from almenara.demo.needs import require_space
from almenara.demo.pace import Pace, counted, environment
from almenara.demo.processes import shared_process
from almenara.demo.samples import Sample
from almenara.demo.site import Site, admit_members, federation_folder, found, synchronize
from almenara.demo.stage import broker_running, nodes_running
from almenara.errors import Code, MessageRefused, Misconfigured, Unavailable
from almenara.imports.importing import addressed, import_file
from almenara.imports.outlet import open_outlet
from almenara.imports.rows import Mapped, open_rows
from almenara.model.ids import REGION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from almenara.client import Bus
    from almenara.demo.audit import Verdict
    from almenara.demo.screen import Screen
    from almenara.imports.importing import Publish, Report
    from almenara.imports.mapping import Mapping as RowMapping
    from almenara.model.ids import AudienceId, MemberId
    from almenara.model.messages import Message

FEDERATION = "demo"

PROCESSES = 2
"""Nodes share so many processes: beside Kafka and the import they fill four cores."""

READY_S = 60.0
READY_EACH_S = 5.0
"""A node of a large federation verifies every member's file before it is ready: half a second each."""

TIME_LIMIT_S = 1800.0
"""The largest federation of the shipped rows, all their countries, is to be done in half an hour."""

_LOOK_S = 0.5
_LOOK_REST = 3
"""A look at who has confirmed takes its time of the nodes; so many times as long they are left alone."""


class Outcome(NamedTuple):
    """What a demonstration came to: where it stands, what the import counted, what the audit found."""

    site: Site
    report: Report
    rows: int
    """Rows of the file; `report.rows` of them were taken."""
    verdict: Verdict


class _Row(NamedTuple):
    """A row that can be shared: how many rows of the file stand before it, and what it becomes."""

    before: int
    mapped: Mapped


async def run(
    folder: Path, screen: Screen, *, rows: Path, mapping: RowMapping, members: int | None
) -> Outcome:
    """Share the rows among as many of their countries, those that occur most; None takes all.

    Raises Misconfigured for rows that cannot be read, or a folder made for other members.
    """
    until = time.monotonic() + TIME_LIMIT_S
    with screen.step("rows") as step:
        shareable, total = await asyncio.to_thread(_read, rows, mapping)
        chosen = busiest([row.mapped for row in shareable], members)
        step.result = f"{len(shareable)} rows can be shared; {_shown(chosen)} take part"
    with screen.step("federation") as step:
        if not _is_made(folder):
            need = require_space(folder, list(_samples(shareable, chosen)), len(chosen))
            screen.line(need)
        federation, is_new = await asyncio.to_thread(_open, folder)
        step.result = f"{federation.name} {'founded' if is_new else 'opened again'}"
    async with broker_running(federation.folder, screen):
        with screen.step("members") as step:
            site = await (admit_members if is_new else _admitted)(folder, federation, chosen)
            await asyncio.to_thread(keep_signed, federation, clock.now())
            version = await synchronize(federation)
            step.result = f"{len(chosen)} admitted, directory {version}"
        settings = list(site.members.values())
        parts = [settings[part::PROCESSES] for part in range(min(PROCESSES, len(settings)))]
        async with nodes_running(
            site,
            [shared_process(n + 1, part, folder / f"nodes-{n + 1}.log") for n, part in enumerate(parts)],
            environment=environment(len(settings)),
            directory_version=version,
            timeout_s=READY_S + READY_EACH_S * len(settings),
            screen=screen,
        ) as buses:
            pace = Pace(partial(counted, site.stores), members=len(buses), end=until)
            senders = {sample.sender for sample in _samples(shareable, chosen)}
            report = await _import(folder, rows, mapping, buses, senders, pace=pace, screen=screen)
            await _until_read(pace, until=until, screen=screen)
            faults = await _await_receipts(buses, senders, until=until, screen=screen)
    with screen.step("audit") as step:
        region = {REGION: chosen}
        taken = await asyncio.to_thread(_taken, shareable, report.rows, site)
        wanted = [expected(sample, region) for sample in taken]
        verdict = await asyncio.to_thread(audit, site.stores, wanted, (), region)
        step.result = "read from the stores' files, every hash and link computed anew"
    verdict = msgspec.structs.replace(verdict, discrepancies=(*faults, *verdict.discrepancies))
    return Outcome(site, report, total, verdict)


def busiest(mapped: Sequence[Mapped], number: int | None) -> tuple[MemberId, ...]:
    """Return the members that occur in most rows, as sender or addressee, sorted; None returns all."""
    occurs = Counter(
        member
        for row in mapped
        for member in {row.sender, *(to for m in row.messages for to in m.recipients)}
    )
    ranked = sorted(occurs, key=lambda member: (-occurs[member], member))
    return tuple(sorted(ranked[:number]))


def _read(rows: Path, mapping: RowMapping) -> tuple[list[_Row], int]:
    """Return the rows that can be shared, and how many rows the file has."""
    shareable, total = [], 0
    with open_rows(rows, mapping) as file:
        for row in file.rows(now=clock.now()):
            if isinstance(row.outcome, Mapped):
                shareable.append(_Row(total, row.outcome))
            total += 1
    return shareable, total


def _samples(rows: Iterable[_Row], members: Sequence[MemberId]) -> Iterator[Sample]:
    """Yield what the members will publish: their rows' messages, to the members among the addressees."""
    there = frozenset(members)
    for row in rows:
        if row.mapped.sender in there:
            for message in row.mapped.messages:
                yield Sample(row.mapped.sender, REGION, addressed(message, there)[0])


def _taken(rows: Sequence[_Row], number: int, site: Site) -> list[Sample]:
    """Return what the first `number` rows of the file became, and what an earlier run took of the others."""
    members = tuple(site.members)
    published: set[bytes] = set()
    for member, path in site.stores.items():
        with open_ledger(member, path) as ledger:
            published |= ledger.outgoing().keys()
    now = list(_samples((row for row in rows if row.before < number), members))
    earlier = _samples((row for row in rows if row.before >= number), members)
    return now + [sample for sample in earlier if sample.message.message_id.bytes in published]


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
    senders: Collection[MemberId],
    *,
    pace: Pace,
    screen: Screen,
) -> Report:
    """Publish the rows, each through its sender's node, for as long as the pace allows.

    Raises Unavailable TIMED_OUT if that is not even for one.
    """
    with screen.step("import") as step:
        outlets = {member: await open_outlet(buses[member], mapping.audience) for member in senders}

        def publisher(member: MemberId) -> Publish | None:
            if member not in outlets:
                return None

            async def publish(message: Message, audience: AudienceId) -> bool:
                try:
                    is_new = await outlets[member].publish(message, audience)
                except MessageRefused:
                    pace.published()
                    raise
                pace.published()
                return is_new

            return publish

        report = await import_file(
            rows,
            mapping,
            publishers=publisher,
            members=frozenset(buses),
            rejects=folder / "rejects.csv",
            now=clock.now(),
            progress=lambda counts, share: step.note(
                f"{share:.0%} of the file, {counts.published} published, "
                f"{counts.already_there} there already; {pace}"
            ),
            more=pace.more,
        )
        stopped = "; the time for more is used up" if pace.stopped else ""
        step.result = f"{report.published} published, {report.already_there} there already{stopped}"
        if pace.stopped and not report.published + report.already_there:
            raise Unavailable(
                Code.TIMED_OUT,
                f"{rows}: of {TIME_LIMIT_S / 60:.0f} minutes the start of nodes left none; run it again "
                f"with --state {folder} on a less busy machine, or with fewer --members",
            )
    return report


async def _until_read(pace: Pace, *, until: float, screen: Screen) -> None:
    """Wait until every reader has read all that was published, or the time is up."""
    with screen.step("reading") as step:
        await pace.look()
        while pace.unread and time.monotonic() < until:
            step.note(str(pace))
            await asyncio.sleep(pace.interval_s)
            await pace.look()
        step.result = f"{pace}" if pace.unread else "every reader has read every statement"


async def _await_receipts(
    buses: Mapping[MemberId, Bus], senders: Collection[MemberId], *, until: float, screen: Screen
) -> list[str]:
    """Wait until every stream is confirmed by all its readers; return which are not when the time is up."""
    with screen.step("receipts") as step:
        behind = dict.fromkeys(sorted(senders), "")
        while True:
            began = time.monotonic()
            for member in list(behind):
                try:
                    streams = await buses[member].node.streams()
                except Unavailable as error:  # so busy that it does not answer in time
                    behind[member] = error.text
                    continue
                late = [view for view in streams if view.own and view.behind]
                if late:
                    behind[member] = "; ".join(
                        f"stream {view.audience}/{member}: not confirmed by {' '.join(view.behind)}"
                        for view in late
                    )
                else:
                    del behind[member]
            if not behind:
                step.result = "every stream is confirmed by all its readers"
                return []
            if time.monotonic() > until:
                step.result = f"{len(behind)} streams are not confirmed by all their readers"
                return list(behind.values())
            done = len(senders) - len(behind)
            step.note(f"{done} of {len(senders)} streams confirmed by all their readers")
            await asyncio.sleep(_LOOK_S + _LOOK_REST * (time.monotonic() - began))


def _shown(members: Sequence[MemberId]) -> str:
    return f"{len(members)} members" if len(members) > 20 else " ".join(members)
