"""Real notifications shared among the administrations that they name, recounted from the file alone."""

from __future__ import annotations

import csv
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest

from almenara.wire.messages import decode_message
from demo_runs import Ran, processes_of, run_demo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

MEMBERS = 8

ROWS = (*range(5335, 5435), *range(5750, 5850))
"""Days in which most rows stand that come twice, and some with the addressee whose name has commas."""

BONAIRE = "Bonaire, Sint Eustatius and Saba"

# How RASFF names what country_codes.csv names otherwise. What is in neither is no member.
RASFF_NAMES = {
    BONAIRE: "BQ",
    "Congo (Brazzaville)": "CG",
    "Czech Republic": "CZ",
    "Côte d'Ivoire": "CI",
    "European Commission": "X-EC",
    "Faeroe Islands": "FO",
    "Kosovo": "XK",
    "Northern Ireland": "GB",
    "Republic of North Macedonia": "MK",
    "Saint Martin": "MF",
    "Serbia and Montenegro": "RS",
    "Swaziland": "SZ",
    "United Kingdom": "GB",
    "United Kingdom (Northern Ireland)": "GB",
    "United States": "US",
    "West Bank and Gaza Strip": "PS",
}

Held = tuple[str, str, str]
"""Sender, reference, kind."""


class Row(NamedTuple):
    """What one notification says of who tells whom."""

    reference: str
    sender: str
    addressees: frozenset[str]
    kinds: tuple[str, ...]


@pytest.fixture(scope="module")
def notifications(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a part of the notifications, as they stand."""
    part = tmp_path_factory.mktemp("rows") / "part.csv"
    source = shared_data / "rasff_notifications_2024-2025.csv"
    with source.open(encoding="utf-8-sig", newline="") as whole, part.open("w", encoding="utf-8") as file:
        header, *rows = csv.reader(whole)
        csv.writer(file).writerows([header, *(rows[number] for number in ROWS)])
    return part


@pytest.fixture(scope="module")
def rows(notifications: Path, shared_data: Path) -> list[Row]:
    """Return the notifications, the first of each reference, read without the mapping."""
    codes = dict(RASFF_NAMES)
    with (shared_data / "country_codes.csv").open(encoding="utf-8-sig", newline="") as file:
        for line in csv.DictReader(file):
            for column in ("CLDR display name", "UNTERM English Short", "official_name_en"):
                codes.setdefault(line[column], line["ISO3166-1-Alpha-2"])
    codes.pop("", None)
    found: dict[str, Row] = {}
    with notifications.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            sender = codes[line["notifying_country"].strip()]
            named = ",".join(line[column] for column in ("distribution", "forAttention", "forFollowUp"))
            names = [BONAIRE] if BONAIRE in named else []
            names += [" ".join(name.split()) for name in named.replace(BONAIRE, "").split(",")]
            addressees = {codes[name] for name in names if name in codes} - {sender}
            rejection = line["classification"] == "border rejection notification"
            kinds = ("RISK_ALERT", "CONTROL_RESULT") if rejection else ("RISK_ALERT",)
            found.setdefault(line["reference"], Row(line["reference"], sender, frozenset(addressees), kinds))
    return list(found.values())


@pytest.fixture(scope="module")
def members(rows: list[Row]) -> list[str]:
    """Return the countries that occur in most rows."""
    occurs = Counter(country for row in rows for country in {row.sender, *row.addressees})
    return sorted(sorted(occurs, key=lambda country: (-occurs[country], country))[:MEMBERS])


@pytest.fixture(scope="module")
def runs(notifications: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Ran]:
    """Run it twice on the same folder."""
    folder = tmp_path_factory.mktemp("rasff") / "S"
    arguments = ("--input", str(notifications), "--mapping", "rasff", "--members", str(MEMBERS))
    return [run_demo(folder, *arguments, timeout_s=280) for _ in range(2)]


def expected(rows: list[Row], members: list[str]) -> dict[str, Counter[Held]]:
    """Return what each member must hold."""
    held: dict[str, Counter[Held]] = {member: Counter() for member in members}
    for row in rows:
        if row.sender not in held:
            continue
        for reader in (row.addressees & held.keys()) or (held.keys() - {row.sender}):
            held[reader].update((row.sender, row.reference, kind) for kind in row.kinds)
    return held


def inbox(folder: Path, member: str) -> Iterator[Held]:
    """Yield what stands in a member's store."""
    store = folder / member / "state" / "almenara.db"
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        for publisher, kind, body in connection.execute("SELECT publisher, kind, body FROM message"):
            (reference,) = decode_message(body, ()).external_refs
            yield publisher, reference, kind


def test_the_members_are_those_that_occur_most(runs: list[Ran], members: list[str]) -> None:
    folders = {path.parent.name for path in runs[0].folder.glob("*/member.toml")}
    assert folders == set(members)


def test_every_addressee_holds_exactly_its_messages(
    runs: list[Ran], rows: list[Row], members: list[str]
) -> None:
    held = {member: Counter(inbox(runs[-1].folder, member)) for member in members}
    assert held == expected(rows, members)


def test_both_runs_end_with_the_same_audit(runs: list[Ran], rows: list[Row], members: list[str]) -> None:
    number = sum(len(row.kinds) for row in rows if row.sender in members)
    for ran in runs:
        assert ran.lines[-1] == f"demo: {number} published, {number} held once, 0 held elsewhere, 0 refused"
        assert ran.status == 0


def test_the_second_run_publishes_nothing(runs: list[Ran]) -> None:
    (said,) = [line for line in runs[1].lines if "] import: " in line]
    assert "import: 0 published, " in said


def test_rows_whose_senders_take_no_part_are_counted(
    runs: list[Ran], notifications: Path, rows: list[Row], members: list[str]
) -> None:
    sender = {row.reference: row.sender for row in rows}
    with notifications.open(encoding="utf-8", newline="") as file:
        outside = sum(sender[line["reference"]] not in members for line in csv.DictReader(file))
    assert outside > 0
    assert [line for line in runs[0].lines if f"of which {outside} fall outside" in line]


def test_nothing_is_left_running(runs: list[Ran]) -> None:
    assert processes_of(runs[0].folder) == []
