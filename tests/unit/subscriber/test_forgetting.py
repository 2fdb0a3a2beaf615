"""What was dropped once its retention was over is refused when it comes again, whoever sends it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from almenara.clock import to_micros
from almenara.store import inbox, quarantine, retention
from almenara.wire.records import without_content
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import AR, DAY, NOW, REGION

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

LATER = NOW + timedelta(hours=12)
"""When the first statements are old and the directory of these tests is still fresh."""


@pytest.fixture
def author() -> Author:
    return Author()


@pytest.fixture
def site(tmp_path: Path) -> ReaderSite:
    return ReaderSite(tmp_path, AR)


def forgets(site: ReaderSite, before: datetime, *, limit: int = 64) -> int:
    """Drop what came before then, as the housekeeping does, and forget what only memory holds."""
    gone, place = 0, retention.FIRST
    while True:
        work = partial(retention.drop_statements, stream=site.stream, before=to_micros(before))
        count, following = site.store.write_now(partial(work, after=place, limit=limit))
        gone += count
        if following is None:
            break
        place = following
    site.store.write_now(
        partial(retention.drop_messages, audience=REGION, before=to_micros(before), limit=1000)
    )
    site.store.write_now(
        partial(retention.drop_sender_keys, audience=REGION, before=to_micros(before - DAY), limit=9)
    )
    site.restarts()
    return gone


def kept(site: ReaderSite) -> list[int]:
    """Return the places of the statements that are still kept."""
    after = partial(inbox.statements_between, stream=site.stream, after=(-1, -1), before=(1 << 60, 0))
    return [each.seq for each in site.store.read_now(after)]


def test_a_replay_of_what_was_dropped_brings_nothing(author: Author, site: ReaderSite) -> None:
    old = [author.says(alert(number)) for number in range(4)]
    site.reads(*old)
    site.reads((4, author.says(alert(9), at=LATER)), at=LATER)
    assert forgets(site, LATER) == 4
    assert kept(site) == [4]
    delivered = site.ids
    site.reads(*((5 + at, record) for at, record in enumerate(old)), at=LATER)
    assert site.ids == delivered == [alert(9).message_id]
    assert site.store.read_now(quarantine.evidence_of) == []
    assert site.store.read_now(quarantine.refusals) == []
    site.reads((9, author.says(alert(10), at=LATER)), at=LATER)
    assert site.ids == [alert(9).message_id, alert(10).message_id], "and the stream goes on"


def test_a_replay_of_an_earlier_epoch_is_refused_by_name_and_proves_nothing(
    author: Author, site: ReaderSite
) -> None:
    old = [author.says(alert(number)) for number in range(3)]
    site.reads(*old)
    assert author.head is not None
    author.head = replace(author.head, fresh_epoch=True)
    site.reads((3, author.says(alert(9), at=LATER)), at=LATER)
    assert forgets(site, LATER) == 3
    site.reads(*((4 + at, record) for at, record in enumerate(old)), at=LATER)
    assert site.ids == [alert(9).message_id]
    assert site.store.read_now(quarantine.evidence_of) == []
    assert {row.code for row in site.store.read_now(quarantine.refusals)} == {"OLD_EPOCH"}


def test_the_head_of_a_quiet_stream_stays_and_the_next_statement_follows_it(
    author: Author, site: ReaderSite
) -> None:
    said = [author.says(alert(number)) for number in range(3)]
    site.reads(*said)
    assert forgets(site, LATER) == 2
    assert kept(site) == [2]
    assert site.ids == [], "its message is gone"
    site.reads((3, said[2]), (4, said[0]), at=LATER)
    assert site.ids == []
    site.reads((5, author.says(alert(5), at=LATER)), at=LATER)
    assert site.ids == [alert(5).message_id]


def test_a_new_epoch_stands_by_a_head_that_came_long_ago(author: Author, site: ReaderSite) -> None:
    site.reads(*(author.says(alert(number)) for number in range(3)))
    forgets(site, LATER)
    assert author.head is not None
    author.head = replace(author.head, fresh_epoch=True)
    absorbed = site.reads((3, author.says(alert(5), at=LATER)), at=LATER)
    assert absorbed.seeks == {}
    assert site.store.read_now(inbox.gaps) == {}
    assert site.ids == [alert(5).message_id]


@pytest.mark.parametrize("limit", [1, 2, 64])
def test_what_evidence_contradicts_stays_as_a_link(author: Author, site: ReaderSite, limit: int) -> None:
    said = [author.says(alert(number)) for number in range(5)]
    twin = Author()
    twin.says(alert(0))
    fork = twin.says(alert(77))
    site.reads(*said, fork)
    (evidence,) = site.store.read_now(quarantine.evidence_of)
    assert evidence.seq == 1
    forgets(site, LATER, limit=limit)
    forgets(site, LATER, limit=limit)
    assert kept(site) == [1, 2, 4], "it, what names its hash from above, and the head"
    record = partial(inbox.record_at, stream=site.stream, epoch=evidence.epoch, seq=1)
    assert site.store.read_now(record) == without_content(said[1])
    site.reads((9, fork), (10, said[1]), at=LATER)
    assert len(site.store.read_now(quarantine.evidence_of)) == 1


def test_a_young_statement_ends_the_search_though_old_ones_lie_above(
    author: Author, site: ReaderSite
) -> None:
    """A late fill keeps those above it a while longer: nothing is looked through for them."""
    first, second, third = (author.says(alert(number)) for number in range(3))
    fourth = author.says(alert(3))
    wait = timedelta(seconds=61)
    site.reads(first)
    site.reads((2, third))
    site.reads((2, third), (3, fourth), at=NOW + wait)
    site.reads((1, second), at=LATER)
    assert forgets(site, LATER) == 1
    assert kept(site) == [1, 2, 3]
