"""The shipped mappings over real rows, judged by the rows alone: nothing here uses the mapping's code.

Names of countries, levels and sums are read again with the csv module and tables of this file.
"""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pycountry
import pytest

from almenara.imports.mapping import load_mapping
from almenara.imports.rows import Duplicate, Mapped, Rejected
from almenara.model.alert import RiskAlert
from almenara.model.bodies import ControlResult
from almenara.model.codes import Area, Kind, Level, Outcome, Requested, Urgency
from almenara.model.ids import REGION
from almenara.model.json import message_json
from almenara.model.rules import check, check_answer
from almenara.wire.messages import encode_message
from unit.imports.reading import read_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from almenara.imports.rows import Row
    from almenara.model.messages import Message

NOW = datetime(2026, 11, 24, tzinfo=UTC)
AGAIN = 1500
"""Rows that are read a second time."""

BORDER_REJECTION = "border rejection notification"


class File(NamedTuple):
    """One file read twice: plainly, and through its mapping."""

    plain: Sequence[dict[str, str]]
    rows: Sequence[Row]

    def mapped(self) -> list[tuple[dict[str, str], Mapped]]:
        return [
            (plain, row.outcome)
            for plain, row in zip(self.plain, self.rows, strict=True)
            if isinstance(row.outcome, Mapped)
        ]


def read(path: Path, mapping: str) -> File:
    with path.open(encoding="utf-8", newline="") as lines:
        plain = list(csv.DictReader(lines))
    return File(plain, list(read_rows(path, load_mapping(mapping), now=NOW)))


@pytest.fixture(scope="module")
def rasff(shared_data: Path) -> File:
    return read(shared_data / "rasff_notifications_2024-2025.csv", "rasff")


@pytest.fixture(scope="module")
def cbp(shared_data: Path) -> File:
    return read(shared_data / "cbp_drug_seizures_fy2023-fy2026dec.csv", "cbp")


# What pycountry does not know by the name that RASFF writes; None is no country.
OTHER_NAMES: dict[str, str | None] = {
    "Cape Verde": "CV",
    "Congo (Brazzaville)": "CG",
    "Democratic Republic of the Congo": "CD",
    "EFSA Member": None,
    "European Commission": "X-EC",
    "Faeroe Islands": "FO",
    "Falkland Islands": "FK",
    "INFOSAN": None,
    "Kosovo": "XK",
    "Northern Ireland": "GB",
    "Russia": "RU",
    "Saint Martin": "MF",
    "Serbia and Montenegro": "RS",
    "Sint Maarten": "SX",
    "Swaziland": "SZ",
    "São Tomé and Príncipe": "ST",
    "United Kingdom (Northern Ireland)": "GB",
    "Vatican City": "VA",
    "West Bank and Gaza Strip": "PS",
    "unknown origin": None,
}
WITH_COMMAS = "Bonaire, Sint Eustatius and Saba"


def code(name: str) -> str | None:
    return OTHER_NAMES[name] if name in OTHER_NAMES else pycountry.countries.lookup(name).alpha_2


def codes(cell: str) -> list[str]:
    names = [part.strip() for part in cell.replace(WITH_COMMAS, "Bonaire").split(",")]
    found = [code(WITH_COMMAS if name == "Bonaire" else name) for name in names if name]
    return [each for each in found if each is not None]


ADDRESSED = ("distribution", "forAttention", "forFollowUp")


def addressees(plain: dict[str, str]) -> set[str]:
    return {each for column in ADDRESSED for each in codes(plain[column])} - {
        code(plain["notifying_country"])
    }


def messages(file: File) -> list[Message]:
    return [message for _, mapped in file.mapped() for message in mapped.messages]


def test_every_notification_is_messages_or_has_its_reason(rasff: File) -> None:
    assert len(rasff.rows) == len(rasff.plain) == 8413
    kinds = Counter(type(row.outcome).__name__ for row in rasff.rows)
    assert kinds == {"Mapped": 8386, "Duplicate": 11, "Rejected": 16}
    for row in rasff.rows:
        if isinstance(row.outcome, Rejected):
            assert all(fault.path and fault.text for fault in row.outcome.faults)


def test_references_that_come_twice_are_published_once_and_the_first_counts(rasff: File) -> None:
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, plain in enumerate(rasff.plain):
        places[plain["reference"]].append(place)
    twice = [each for each in places.values() if len(each) > 1]
    assert len(twice) == 27
    assert len(places) == 8386
    for first, second in twice:
        assert isinstance(rasff.rows[first].outcome, Mapped)
        assert isinstance(rasff.rows[second].outcome, Duplicate | Rejected)
        a, b = (
            {name: " ".join(cell.split()) for name, cell in rasff.plain[place].items()}
            for place in (first, second)
        )
        if a == b:
            assert isinstance(rasff.rows[second].outcome, Duplicate)
        if isinstance(rasff.rows[second].outcome, Duplicate):
            # What may differ is no part of a message: the notifier among those it tells.
            assert addressees(a) == addressees(b)
            assert {k: v for k, v in a.items() if k not in ADDRESSED} == {
                k: v for k, v in b.items() if k not in ADDRESSED
            }


def test_notifier_sends_and_addressees_receive(rasff: File) -> None:
    lists = set()
    empty = 0
    for plain, mapped in rasff.mapped():
        assert mapped.sender == code(plain["notifying_country"])
        for message in mapped.messages:
            assert set(message.recipients) == addressees(plain)
            assert len(set(message.recipients)) == len(message.recipients)
        lists.add((mapped.sender, frozenset(mapped.messages[0].recipients)))
        empty += not mapped.messages[0].recipients
    senders = {sender for sender, _ in lists}
    receivers = {member for _, recipients in lists for member in recipients}
    assert (len(senders), len(receivers), len(senders | receivers)) == (31, 184, 185)
    assert (len(lists), empty) == (3075, 2015)


def test_follow_up_asks_to_act_and_attention_informs(rasff: File) -> None:
    for plain, mapped in rasff.mapped():
        sender = code(plain["notifying_country"])
        follow_up = set(codes(plain["forFollowUp"])) - {sender}
        attention = set(codes(plain["forAttention"])) - {sender}
        asked = Counter((action.member, action.requested) for action in mapped.messages[0].actions)
        assert asked == Counter(
            [(member, Requested.PHYSICAL_EXAM) for member in follow_up]
            + [(member, Requested.INFORM) for member in attention]
        )


LEVELS = {
    "serious": Level.HIGH,
    "potentially serious": Level.MEDIUM,
    "potential risk": Level.MEDIUM,
    "not serious": Level.LOW,
    "no risk": Level.LOW,
}


def test_alert_says_what_the_row_says(rasff: File) -> None:
    for plain, mapped in rasff.mapped():
        alert = mapped.messages[0]
        body = alert.body
        assert isinstance(body, RiskAlert)
        assert alert.external_refs == (plain["reference"],)
        assert body.level == LEVELS[plain["risk_decision"]]
        if plain["classification"] == "alert notification":
            assert body.urgency == Urgency.IMMEDIATE
        if plain["classification"].startswith("information notification"):
            assert body.urgency == Urgency.ROUTINE
        assert body.origin == next(iter(codes(plain["origin"])), "")
        assert body.goods
        written = datetime.fromisoformat(plain["date"]).replace(tzinfo=ZoneInfo("Europe/Brussels"))
        assert alert.issued_at == written.astimezone(UTC)
        assert alert.texts[0].title.split() == plain["subject"].replace("\u200b", "").split()
        told = " ".join(body.indicators).replace(",", " ").split()
        assert set(told) == set(plain["hazards"].replace("\u200b", "").replace(",", " ").split())


def test_border_rejection_is_an_alert_and_its_result(rasff: File) -> None:
    assert sum(plain["classification"] == BORDER_REJECTION for plain in rasff.plain) == 2524
    first_ones = {plain["reference"]: plain for plain in reversed(rasff.plain)}
    rejections = sum(plain["classification"] == BORDER_REJECTION for plain in first_ones.values())
    results = 0
    for plain, mapped in rasff.mapped():
        kinds = [message.kind for message in mapped.messages]
        if plain["classification"] != BORDER_REJECTION:
            assert kinds == [Kind.RISK_ALERT]
            continue
        assert kinds == [Kind.RISK_ALERT, Kind.CONTROL_RESULT]
        alert, result = mapped.messages
        assert isinstance(result.body, ControlResult)
        assert result.body.outcome == Outcome.REFUSED_ENTRY
        assert (result.body.alert_publisher, result.body.alert_id) == (mapped.sender, alert.message_id)
        assert result.body.control_date == plain["date"][:10]
        check_answer(result, alert=alert)
        results += 1
    assert results == rejections == 2520


def test_monthly_totals_weigh_what_the_rows_weigh(cbp: File) -> None:
    assert len(cbp.plain) == len(cbp.mapped()) == 7895
    wanted: defaultdict[str, list[float]] = defaultdict(list)
    found: defaultdict[str, list[float]] = defaultdict(list)
    zeros = 0
    for plain, mapped in cbp.mapped():
        [message] = mapped.messages
        body = message.body
        assert isinstance(body, ControlResult)
        [finding] = body.findings
        assert (mapped.sender, body.outcome, finding.area) == ("US", Outcome.SEIZED, Area.DRUGS)
        assert (finding.unit, body.controlled_count) == ("KGM", int(plain["Count of Event"]))
        wanted[plain["Drug Type"]].append(float(plain["Sum Qty (lbs)"]) * 0.45359237)
        found[plain["Drug Type"]].append(finding.quantity)
        zeros += finding.quantity == 0.0
        assert message.recipients == ()
        assert plain["Drug Type"] in message.texts[0].title
    assert zeros == 45
    for drug, kilograms in wanted.items():
        assert math.isclose(math.fsum(kilograms), math.fsum(found[drug]), rel_tol=1e-12)


def test_months_from_october_belong_to_the_year_before(cbp: File) -> None:
    zone = ZoneInfo("America/New_York")
    for plain, mapped in cbp.mapped():
        [message] = mapped.messages
        assert isinstance(message.body, ControlResult)
        assert message.body.period_start is not None
        start = message.body.period_start.astimezone(zone)
        year = int(plain["FY"][:4]) - (plain["Month (abbv)"] in {"OCT", "NOV", "DEC"})
        assert (start.year, start.strftime("%b").upper(), start.day) == (year, plain["Month (abbv)"], 1)
        assert message.body.period_end == message.issued_at
        end = message.issued_at.astimezone(zone)
        assert (end.year, end.month) == (year + start.month // 12, start.month % 12 + 1)


@pytest.mark.parametrize("name", ["rasff", "cbp"])
def test_messages_break_no_rule_and_fit_the_wire(name: str, request: pytest.FixtureRequest) -> None:
    file: File = request.getfixturevalue(name)
    ids = set()
    for message in messages(file):
        check(message, now=message.issued_at, audience=REGION)
        encode_message(message)
        assert message.message_id.int >> 80 == int(message.issued_at.timestamp() * 1000)
        ids.add(message.message_id)
    assert len(ids) == len(messages(file))


@pytest.mark.parametrize("name", ["rasff", "cbp"])
def test_second_reading_gives_the_same_bytes(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Of the first rows alone: what comes later says nothing about what stands before it."""
    file: File = request.getfixturevalue(name)
    first = File(file.plain[:AGAIN], file.rows[:AGAIN])
    path = tmp_path / "first.csv"
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, file.plain[0])
        writer.writeheader()
        writer.writerows(first.plain)
    later = datetime(2031, 1, 1, tzinfo=UTC)
    again = File(first.plain, list(read_rows(path, load_mapping(name), now=later)))
    assert [row.outcome for row in again.rows] == [row.outcome for row in first.rows]
    for message, same in zip(messages(first), messages(again), strict=True):
        assert encode_message(message) == encode_message(same)
        assert msgspec.json.encode(message_json(message)) == msgspec.json.encode(message_json(same))
