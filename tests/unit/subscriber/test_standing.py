"""Readers judge by dates and standing themselves: no rule of the broker is needed for that."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code
from almenara.store import inbox
from almenara.store.quarantine import refusals
from almenara.trust.directory import MemberStatus
from almenara.trust.targets import audience_target, member_target
from unit.model.drafts import RESULT
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import (
    AR,
    CONDOR,
    DAY,
    ENROLMENTS,
    NOW,
    PE,
    audience_file,
    directory,
    member_file,
    targets,
)

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.trust.directory import Directory

TOLERANCE = timedelta(minutes=5)
TICK = timedelta(microseconds=1)


def closing(at: datetime) -> Directory:
    """Return the directory in which op-condor closes at that time."""
    return directory({**targets(), audience_target(CONDOR): audience_file(PE, AR, closes_at=at)})


def refused(reader: ReaderSite) -> list[str]:
    return [refusal.code for refusal in reader.store.read_now(refusals)]


@pytest.mark.parametrize(
    ("closes_at", "codes"),
    [(NOW - TOLERANCE + TICK, []), (NOW - TOLERANCE, [Code.AUDIENCE_CLOSED])],
    ids=["within the tolerance", "too late"],
)
def test_an_alert_to_a_closed_operation_is_refused_and_a_result_is_not(
    tmp_path: Path, closes_at: datetime, codes: list[Code]
) -> None:
    author, reader = Author(PE, CONDOR), ReaderSite(tmp_path, AR, Author(PE, CONDOR).stream)
    # An author whose directory does not know of the close yet.
    author.says(alert(1))
    author.says(RESULT)
    reader.reads(*author.records, known=closing(closes_at))
    assert refused(reader) == codes
    assert reader.ids == ([] if codes else [alert(1).message_id]) + [RESULT.message_id]


def test_nothing_of_an_audience_that_is_over_is_delivered(tmp_path: Path) -> None:
    author, reader = Author(PE, CONDOR), ReaderSite(tmp_path, AR, Author(PE, CONDOR).stream)
    author.says(RESULT)
    reader.reads(*author.records, known=closing(NOW - 30 * DAY - TOLERANCE))
    assert refused(reader) == [Code.AUDIENCE_CLOSED]
    assert reader.ids == []


def test_a_departed_author_keeps_what_was_read_and_adds_nothing(tmp_path: Path) -> None:
    author, reader = Author(), ReaderSite(tmp_path)
    before, after = author.says(alert(1)), author.says(alert(2))
    gone = directory(
        {**targets(), member_target(PE): member_file(ENROLMENTS[PE], status=MemberStatus.LEFT)}, version=2
    )
    reader.reads(before)
    # The operator lets it write on; that it names the old directory and an old time helps nobody.
    reader.reads((1, after), known=gone)
    assert reader.ids == [alert(1).message_id]
    assert refused(reader) == [Code.NOT_IN_AUDIENCE]
    # Reinstated, it goes on with its chain.
    reader.reads((2, author.says(alert(3))))
    assert reader.ids == [alert(1).message_id, alert(3).message_id]
    assert reader.store.read_now(inbox.gaps) == {}
