"""Readers judge by dates and standing themselves: no rule of the broker is needed for that."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from structlog.testing import capture_logs

from almenara.errors import Code
from almenara.node import watch
from almenara.node.answers import StreamState
from almenara.store import inbox
from almenara.store.quarantine import refusals
from almenara.trust.directory import MemberStatus, Removal
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


def test_an_author_that_still_seals_to_who_was_removed_is_told(tmp_path: Path) -> None:
    site, author = ReaderSite(tmp_path), Author()
    stream, removed_at = site.stream, NOW
    newest = msgspec.structs.replace(
        directory(version=2), removals=(Removal(audience=stream.audience, version=2, seen_at=removed_at),)
    )
    in_time = author.says(alert(1), at=removed_at + TOLERANCE)
    outdated = author.says(alert(2), at=removed_at + TOLERANCE + TICK)
    site.reads(in_time, known=newest, at=removed_at + DAY)
    assert site.store.read_now(inbox.outdated_streams) == frozenset()
    with capture_logs() as events:
        site.reads((1, outdated), known=newest, at=removed_at + DAY)
    assert [entry.row.flags for entry in site.inbox] == ["", inbox.PREDATES_REMOVAL]
    assert [(event["event"], event["log_level"]) for event in events] == [
        ("statement.predates_removal", "error")
    ]
    found = site.store.read_now(lambda c: watch.facts(c, AR, newest, now=NOW))
    views = watch.views(found, directory=newest, faults={}, now=NOW, withheld_after=DAY)
    (view,) = [view for view in views if (view.audience, view.publisher) == (stream.audience, PE)]
    assert view.state is StreamState.OUTDATED
    # Once it seals by the newer directory the alarm is over.
    site.reads((2, author.says(alert(3), known=newest, at=removed_at + 2 * TOLERANCE)), known=newest)
    assert site.store.read_now(inbox.outdated_streams) == frozenset()
