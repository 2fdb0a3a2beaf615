"""What an audience may become: who joins and leaves is named, and dates have an order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from almenara.coordinator.audiences import AudienceChange, amended, closing
from almenara.errors import Code, Refused
from almenara.model.ids import REGION, AudienceId, MemberId
from almenara.trust.directory import Audience, AudienceKind
from almenara.trust.targets import AudienceFile
from unit.trust.federation import directory

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
CONDOR = AudienceId("op-condor")
FILE = AudienceFile(kind=AudienceKind.OPERATION, title="Condor", members=("AR", "PE"), retention_days=30)


def test_members_join_and_leave_and_all_else_stays() -> None:
    change = AudienceChange(add=frozenset({"CL"}), remove=frozenset({"PE"}))
    assert amended(directory(), CONDOR, FILE, change) == msgspec.structs.replace(FILE, members=("AR", "CL"))


def test_dates_title_and_retention_are_changed_each_by_itself() -> None:
    changes: dict[str, Any] = {
        "title": "Cóndor",
        "opens_at": NOW,
        "closes_at": NOW,
        "retention_days": 7,
    }
    for name, value in changes.items():
        change = AudienceChange(**{name: value})
        assert amended(directory(), CONDOR, FILE, change) == msgspec.structs.replace(FILE, **{name: value})


@pytest.mark.parametrize(
    ("audience", "file", "change", "code", "named"),
    [
        (CONDOR, FILE, AudienceChange(add=frozenset({"PE"})), Code.CONFLICT, "PE is listed already"),
        (CONDOR, FILE, AudienceChange(remove=frozenset({"CL"})), Code.CONFLICT, "CL is not listed"),
        (CONDOR, FILE, AudienceChange(add=frozenset({"ZZ"})), Code.UNKNOWN_MEMBER, "no member ZZ"),
        (CONDOR, FILE, AudienceChange(remove=frozenset({"AR", "PE"})), Code.CONFLICT, "nobody in it"),
        (
            CONDOR,
            msgspec.structs.replace(FILE, kind=AudienceKind.PAIR),
            AudienceChange(add=frozenset({"CL"})),
            Code.CONFLICT,
            "a pair of 3",
        ),
        (
            CONDOR,
            msgspec.structs.replace(FILE, opens_at=NOW),
            AudienceChange(closes_at=NOW),
            Code.CONFLICT,
            "closes before it opens",
        ),
        (
            REGION,
            AudienceFile(kind=AudienceKind.REGION, title="All", retention_days=30),
            AudienceChange(closes_at=NOW),
            Code.CONFLICT,
            "neither beginning nor end",
        ),
    ],
    ids=["twice", "not there", "unknown", "nobody", "three are no pair", "dates", "the region has no end"],
)
def test_what_cannot_be_is_refused_with_its_reason(
    audience: AudienceId, file: AudienceFile, change: AudienceChange, code: Code, named: str
) -> None:
    with pytest.raises(Refused, match=named) as refusal:
        amended(directory(), audience, file, change)
    assert refusal.value.code is code


def audience(**dates: datetime) -> Audience:
    return Audience(
        id=CONDOR,
        kind=AudienceKind.OPERATION,
        title="Condor",
        members=frozenset({MemberId("AR")}),
        retention_days=30,
        **dates,
    )


def test_an_audience_closes_now_once_and_before_it_opened_too() -> None:
    assert closing(audience(), NOW) == AudienceChange(closes_at=NOW)
    assert closing(audience(opens_at=NOW - DAY, closes_at=NOW + DAY), NOW) == AudienceChange(closes_at=NOW)
    assert closing(audience(opens_at=NOW + DAY), NOW) == AudienceChange(closes_at=NOW, opens_at=None)
    with pytest.raises(Refused, match="closed 2026-11-24"):
        closing(audience(closes_at=NOW), NOW)
