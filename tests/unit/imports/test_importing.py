"""A file is published once and completely, however often and however badly it is tried."""

from __future__ import annotations

import asyncio
import csv
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from almenara.errors import Code, Fault, MessageRefused, Misconfigured, Unavailable
from almenara.imports import importing
from almenara.imports.importing import IN_FLIGHT, Report, addressed, import_file
from almenara.imports.rows import Mapped
from almenara.model.bodies import ControlResult
from almenara.model.ids import REGION, AudienceId, MemberId
from unit.imports.reading import read_rows
from unit.imports.seizures import HEADER, MAPPING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from uuid import UUID

    from almenara.model.messages import Message

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PE, CL = MemberId("PE"), MemberId("CL")
MEMBERS = frozenset({PE, CL})


class Outbox:
    """What a node promises of `publish`, in memory; it is away while `away` counts down."""

    def __init__(self) -> None:
        self.held: dict[UUID, Message] = {}
        self.audiences: set[AudienceId] = set()
        self.busy = self.busiest = self.away = 0
        self.code = Code.NODE_DOWN

    async def publish(self, message: Message, audience: AudienceId) -> bool:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        if self.away:
            self.away -= 1
            raise Unavailable(self.code, "node: away; send it again later", retry_after_s=0.0)
        if self.held.get(message.message_id, message) != message:
            raise MessageRefused([Fault(Code.MESSAGE_ID_REUSED, "$.message_id", "published before")])
        new = message.message_id not in self.held
        self.held[message.message_id] = message
        self.audiences.add(audience)
        return new


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    return path


def row(
    number: int, *, who: str = "Peru", whom: str = "Chile,Cuba", kg: str = "1.5", outcome: str = ""
) -> str:
    return f'{number},{who},2026-11-01 08:00:00,"{whom}",Bolivia,{kg},{outcome},=1+1'


async def run(
    path: Path,
    outbox: Outbox,
    members: frozenset[MemberId] = MEMBERS,
    more: Callable[[], Awaitable[bool]] | None = None,
    full: Callable[[str], None] = lambda _why: None,
) -> Report:
    return await import_file(
        path,
        MAPPING,
        publishers=lambda member: outbox.publish if member == PE else None,
        members=members,
        rejects=path.with_name("rejects.csv"),
        now=NOW,
        more=more,
        full=full,
    )


async def test_an_import_that_is_stopped_takes_the_rows_before_and_goes_on_with_the_others(
    tmp_path: Path,
) -> None:
    outbox = Outbox()
    path = write(tmp_path / "rows.csv", *(row(n, who="Cuba" if n < 3 else "Peru") for n in range(10)))
    asked = iter([True] * 4 + [False])

    async def more() -> bool:
        return next(asked)

    first = await run(path, outbox, more=more)
    assert first == Report(rows=7, published=4, not_ours=3, outside=4)
    assert next(asked, None) is None
    assert len(outbox.held) == 4
    assert await run(path, outbox) == Report(rows=10, published=3, already_there=4, not_ours=3, outside=7)


def rejects(path: Path) -> list[dict[str, str]]:
    with path.with_name("rejects.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


async def test_second_run_publishes_nothing(tmp_path: Path) -> None:
    outbox = Outbox()
    rows = [row(n, outcome="seized" if n % 2 else "") for n in range(600)]
    path = write(tmp_path / "rows.csv", *rows)
    assert await run(path, outbox) == Report(rows=600, published=900, outside=600)
    held = dict(outbox.held)
    assert await run(path, outbox) == Report(rows=600, already_there=900, outside=600)
    assert outbox.held == held
    assert outbox.audiences == {REGION}
    assert rejects(path) == []


async def test_a_node_that_is_full_is_waited_for_however_long_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "PATIENCE_S", 0.0)
    outbox = Outbox()
    outbox.away, outbox.code = 30, Code.OUTBOX_FULL
    told: list[str] = []
    path = write(tmp_path / "rows.csv", *(row(n) for n in range(3)))
    assert await run(path, outbox, full=told.append) == Report(rows=3, published=3, outside=3)
    assert told == ["node: away; send it again later"] * 30


async def test_rows_in_flight_are_many_and_bounded(tmp_path: Path) -> None:
    outbox = Outbox()
    await run(write(tmp_path / "rows.csv", *(row(n) for n in range(3 * IN_FLIGHT))), outbox)
    assert IN_FLIGHT // 2 < outbox.busiest <= IN_FLIGHT


async def test_answer_follows_what_it_answers(tmp_path: Path) -> None:
    outbox = Outbox()
    await run(write(tmp_path / "rows.csv", *(row(n, outcome="seized") for n in range(100))), outbox)
    published: set[UUID] = set()
    for message in outbox.held.values():
        if isinstance(message.body, ControlResult):
            assert message.body.alert_id in published
        published.add(message.message_id)
    assert len(published) == 200


async def test_every_row_is_counted_and_what_is_bad_is_kept(tmp_path: Path) -> None:
    outbox = Outbox()
    path = write(
        tmp_path / "rows.csv",
        row(1),
        row(1),
        row(2, who="Chile"),
        row(3, kg="-1", outcome="seized"),
        "4,too,few",
        row(5, who="Narnia"),
        row(6, whom="Cuba,Bolivia"),
    )
    assert await run(path, outbox) == Report(
        rows=7, published=2, duplicates=1, rejected=3, not_ours=1, outside=3
    )
    kept = rejects(path)
    assert [(each["row"], each["field"]) for each in kept] == [("5", "kg"), ("6", "row"), ("7", "who")]
    assert "not below 0" in kept[0]["reason"]
    assert {each["id"] for each in kept} == {"3", "4", "5"}
    assert kept[0]["remarks"] == "'=1+1"
    assert kept[0]["kg"] == "'-1"


async def test_corrected_rejects_can_be_imported(tmp_path: Path) -> None:
    outbox = Outbox()
    path = write(tmp_path / "rows.csv", row(1), row(2, who="Narnia"))
    await run(path, outbox)
    again = tmp_path / "again"
    again.mkdir()
    corrected = again / "rows.csv"
    corrected.write_text((tmp_path / "rejects.csv").read_text().replace(",Narnia,", ",Peru,"))
    assert await run(corrected, outbox) == Report(rows=1, published=1, outside=1)


async def test_message_that_the_node_refuses_is_kept_with_its_row(tmp_path: Path) -> None:
    outbox = Outbox()
    path = write(tmp_path / "rows.csv", row(1), row(2))
    await run(path, outbox)
    # Cuba has joined since: what was published to fewer cannot be published again to more.
    joined = await run(path, outbox, MEMBERS | {MemberId("CU")})
    assert joined == Report(rows=2, rejected=2)
    assert [(each["row"], each["field"]) for each in rejects(path)] == [
        ("2", "$.message_id"),
        ("3", "$.message_id"),
    ]


async def test_node_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    outbox = Outbox()
    outbox.away = 5
    path = write(tmp_path / "rows.csv", *(row(n) for n in range(10)))
    assert await run(path, outbox) == Report(rows=10, published=10, outside=10)


async def test_node_that_stays_away_ends_the_run_and_the_next_one_completes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox()
    path = write(tmp_path / "rows.csv", *(row(n) for n in range(600)))
    write(tmp_path / "rejects.csv", "of an earlier run")
    monkeypatch.setattr("almenara.imports.importing.PATIENCE_S", 0.0)

    async def publish(message: Message, audience: AudienceId) -> bool:
        if len(outbox.held) == 300:
            outbox.away = 1
        return await outbox.publish(message, audience)

    with pytest.raises(Unavailable, match="node: away"):
        await import_file(
            path,
            MAPPING,
            publishers=lambda member: publish if member == PE else None,
            members=MEMBERS,
            rejects=tmp_path / "rejects.csv",
            now=NOW,
        )
    assert len(outbox.held) == 300
    assert "of an earlier run" in (tmp_path / "rejects.csv").read_text()
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
    outbox.away = 0
    assert await run(path, outbox) == Report(rows=600, published=300, already_there=300, outside=600)


async def test_progress_tells_counts_and_share(tmp_path: Path) -> None:
    outbox = Outbox()
    path = write(tmp_path / "rows.csv", *(row(n) for n in range(1000)))
    told: list[tuple[int, float]] = []
    await import_file(
        path,
        MAPPING,
        publishers=lambda _member: outbox.publish,
        members=MEMBERS,
        rejects=tmp_path / "rejects.csv",
        now=NOW,
        progress=lambda report, share: told.append((report.rows, share)),
    )
    assert told == sorted(told)
    assert told[-1] == (1000, 1.0)
    assert all(share < 1.0 for _, share in told[:-1])
    assert len(told) > 500


async def test_rejects_that_cannot_be_written_are_known_before_anything_is_published(tmp_path: Path) -> None:
    outbox = Outbox()
    path = write(tmp_path / "rows.csv", row(1))
    for bad in (tmp_path / "none" / "rejects.csv", path):
        with pytest.raises(Misconfigured, match=bad.name):
            await import_file(
                path,
                MAPPING,
                publishers=lambda _member: outbox.publish,
                members=MEMBERS,
                rejects=bad,
                now=NOW,
            )
    assert outbox.held == {}
    assert path.read_text().startswith(HEADER)


def test_message_is_addressed_to_the_members_that_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", row(1, whom="Chile,Cuba,Brazil"))
    [outcome] = [each.outcome for each in read_rows(path, MAPPING, now=NOW)]
    assert isinstance(outcome, Mapped)
    [message] = outcome.messages
    narrowed, outside = addressed(message, MEMBERS)
    assert (narrowed.recipients, outside) == ((CL,), 2)
    assert [action.member for action in narrowed.actions] == [CL]
    everyone, outside = addressed(message, {PE})
    assert (everyone.recipients, everyone.actions, outside) == ((), (), 3)
    assert msgspec.structs.replace(narrowed, recipients=(), actions=()) == everyone
