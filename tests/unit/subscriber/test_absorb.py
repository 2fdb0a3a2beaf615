"""Is each message delivered exactly once, and nothing withheld, forged or doubled unseen?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from almenara.bus.received import Received
from almenara.clock import to_micros
from almenara.errors import Code
from almenara.model.codes import Tlp
from almenara.store import inbox, quarantine, witness
from almenara.store.quarantine import evidence_of, refusals
from unit.subscriber.stream import GAP_WAIT, HEARTBEAT_EVERY, Author, ReaderSite, alert
from unit.trust.federation import AR, CL, NOW, PE, directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from almenara.store.place import Place

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def author() -> Author:
    return Author()


@pytest.fixture
def reader(tmp_path: Path, place: Place) -> Iterator[ReaderSite]:
    made = ReaderSite(tmp_path, place=place)
    yield made
    made.store.close()


def test_messages_arrive_once_and_in_order(author: Author, reader: ReaderSite) -> None:
    messages = [alert(n) for n in range(5)]
    for message in messages:
        author.says(message)
    assert reader.reads(*author.records).delivered == 5
    assert reader.ids == [message.message_id for message in messages]


def test_a_replay_is_never_delivered_again_not_even_after_a_restart(
    author: Author, reader: ReaderSite
) -> None:
    author.says(alert(1))
    author.says(alert(2))
    reader.reads(*author.records)
    assert reader.reads(*author.records).delivered == 0
    reader.restarts()
    assert reader.reads((7, author.records[0]), (8, author.records[1])).delivered == 0
    assert len(reader.ids) == 2


def test_a_list_reaches_its_members_alone(author: Author, tmp_path: Path) -> None:
    author.says(alert(1), to=(AR,))
    author.says(alert(2))
    named, other = ReaderSite(tmp_path, AR), ReaderSite(tmp_path, CL)
    named.reads(*author.records)
    other.reads(*author.records)
    assert named.ids == [alert(1).message_id, alert(2).message_id]
    assert other.ids == [alert(2).message_id]
    assert other.store.read_now(refusals) == []


def test_the_second_statement_to_a_list_needs_no_announcement(author: Author, tmp_path: Path) -> None:
    first, second = author.says(alert(1), to=(AR,)), author.says(alert(2), to=(AR,))
    assert len(second) < len(first)
    named, other = ReaderSite(tmp_path, AR), ReaderSite(tmp_path, CL)
    for site in (named, other):
        site.reads(first)
        site.restarts()
        site.reads((1, second))
    assert len(named.ids) == 2
    assert other.ids == []


def test_a_gap_is_read_again_and_then_passed_over_marked(author: Author, reader: ReaderSite) -> None:
    a, _lost, c = (author.says(alert(n)) for n in range(3))
    reader.reads(a)
    seek = reader.reads((2, c)).seeks[reader.stream]
    assert seek.offset is None, "read again from the start"
    again = reader.reads((0, a), (2, c), at=NOW + SECOND).seeks[reader.stream]
    assert (again.offset, again.at) == (2, NOW + GAP_WAIT), "then stand still until the wait is over"
    assert reader.reads((2, c), at=NOW + GAP_WAIT).delivered == 1
    assert [entry.row.flags for entry in reader.inbox] == ["", "AFTER_GAP"]


def test_a_clock_that_is_set_back_begins_the_wait_for_a_gap_again_and_no_more(
    author: Author, reader: ReaderSite
) -> None:
    a, _lost, c, _also, e = (author.says(alert(n)) for n in range(5))
    two_days_ahead = NOW + 2 * DAY
    reader.reads(a, at=two_days_ahead)
    reader.reads((2, c), at=two_days_ahead)
    again = reader.reads((2, c), at=NOW + DAY).seeks[reader.stream]
    assert (again.offset, again.at) == (2, NOW + DAY + GAP_WAIT)
    assert reader.reads((2, c), at=NOW + DAY + GAP_WAIT).delivered == 1
    again = reader.reads((4, e), at=NOW).seeks[reader.stream]
    assert again.offset is None, "the wait that is over was over in another time: this gap has its own"


def test_a_heartbeat_from_a_day_ahead_bars_no_later_word_and_hides_no_silence(
    author: Author, reader: ReaderSite
) -> None:
    author.says(alert(1))
    reader.reads((1, author.beats(NOW + DAY)))
    row = reader.store.read_now(inbox.chains)[reader.stream]
    assert row.next_by == to_micros(NOW + 5 * MINUTE + HEARTBEAT_EVERY), (
        "by our clock, give or take 5 minutes"
    )
    set_right = NOW + 6 * MINUTE
    reader.reads((2, author.beats(set_right)), at=set_right)
    row = reader.store.read_now(inbox.chains)[reader.stream]
    assert (row.heard_at, row.next_by) == (to_micros(set_right), to_micros(set_right + HEARTBEAT_EVERY))


def test_a_gap_filled_in_time_leaves_no_mark(author: Author, reader: ReaderSite) -> None:
    a, b, c = (author.says(alert(n)) for n in range(3))
    reader.reads(a)
    reader.reads((2, c))
    reader.reads((0, a), (1, b), (2, c), at=NOW + SECOND)
    assert [entry.row.flags for entry in reader.inbox] == ["", "", ""]


def test_a_late_fill_is_delivered_and_closes_the_gap(author: Author, reader: ReaderSite) -> None:
    a, b, c = (author.says(alert(n)) for n in range(3))
    reader.reads(a)
    reader.reads((2, c))
    reader.reads((2, c), at=NOW + GAP_WAIT)
    assert reader.store.read_now(inbox.gaps)
    reader.reads((3, b), at=NOW + 2 * GAP_WAIT)
    assert reader.store.read_now(inbox.gaps) == {}
    assert [entry.row.flags for entry in reader.inbox] == ["", "AFTER_GAP", "FILL"]


def test_a_statement_whose_key_came_late_is_opened_then(author: Author, reader: ReaderSite) -> None:
    announcement, b, c = (author.says(alert(n)) for n in range(3))
    other = Author()
    other.says(alert(9))
    reader.reads((1, b))  # anchors here; the announcement lies before and never counts
    assert [r.code for r in reader.store.read_now(refusals)] == [Code.KEY_MISSING]
    assert reader.ids == []
    reader.reads((0, announcement), (2, c))
    assert reader.ids == [], "what lies before the anchor is not believed, so its key is not either"


def test_a_key_announced_in_a_gap_opens_what_followed(author: Author, reader: ReaderSite) -> None:
    a = author.says(alert(1))
    announcement = author.says(alert(2), to=(AR,))
    c = author.says(alert(3), to=(AR,))
    reader.reads(a)
    reader.reads((2, c))
    reader.reads((2, c), at=NOW + GAP_WAIT)
    assert reader.ids == [alert(1).message_id]
    reader.reads((3, announcement), at=NOW + 2 * GAP_WAIT)
    assert set(reader.ids) == {alert(n).message_id for n in (1, 2, 3)}


def test_two_statements_at_one_place_are_kept_as_evidence(author: Author, reader: ReaderSite) -> None:
    author.says(alert(1))
    twin = Author()
    twin.head = author.head
    one, two = author.says(alert(2)), twin.says(alert(3))
    reader.reads(author.records[0], one, two)
    kept = reader.store.read_now(evidence_of)
    assert [(e.kind, e.seq) for e in kept] == [("EQUIVOCATION", 1)]
    assert reader.ids == [alert(1).message_id, alert(2).message_id]


def test_a_new_epoch_gives_up_what_lay_beyond_its_start(author: Author, reader: ReaderSite) -> None:
    author.says(alert(1))
    kept_head = author.head
    author.says(alert(2))
    reader.reads(*author.records)
    assert kept_head is not None
    author.head = replace(kept_head, fresh_epoch=True)
    opened = author.says(alert(3), at=NOW + SECOND)
    reader.reads((2, opened), at=NOW + SECOND)
    assert [(e.kind, e.seq) for e in reader.store.read_now(evidence_of)] == [("TRUNCATED", 1)]
    assert reader.ids[-1] == alert(3).message_id


def test_an_epoch_that_goes_on_from_before_the_anchor_is_proven_by_looking_back(
    author: Author, reader: ReaderSite
) -> None:
    a = author.says(alert(1))
    before = author.head
    assert before is not None
    b = author.says(alert(2))
    author.head = replace(before, fresh_epoch=True)
    c = author.says(alert(3), at=NOW + SECOND)
    reader.reads((1, b))
    reader.reads((2, c), at=NOW + SECOND)
    reader.reads((0, a), (1, b), (2, c), at=NOW + SECOND)
    passed = reader.reads((2, c), at=NOW + SECOND + GAP_WAIT)
    assert reader.store.read_now(inbox.gaps)
    assert passed.seeks[reader.stream].offset is None, "what lay before the anchor may fill the gap"
    reader.reads((0, a), (1, b), (2, c), at=NOW + SECOND + GAP_WAIT)
    assert reader.store.read_now(inbox.gaps) == {}
    assert reader.store.read_now(inbox.chains)[reader.stream].next_offset == 3


def test_one_bad_message_does_not_hold_back_its_neighbours(author: Author, reader: ReaderSite) -> None:
    author.says(alert(1))
    record = author.says(alert(1), alert(2), alert(3))
    reader.reads(author.records[0], record)
    assert set(reader.ids) == {alert(n).message_id for n in (1, 2, 3)}


def test_an_id_used_again_with_other_content_is_quarantined(author: Author, reader: ReaderSite) -> None:
    author.says(alert(1))
    author.says(alert(1, reference="PE-2026-999999"), alert(2))
    reader.reads(*author.records)
    assert reader.ids == [alert(1).message_id, alert(2).message_id]
    assert [r.code for r in reader.store.read_now(refusals)] == [Code.MESSAGE_ID_REUSED]


def test_two_members_may_use_the_same_id(author: Author, reader: ReaderSite) -> None:
    author.says(alert(1))
    reader.reads(*author.records)
    other = Author(CL)
    site = reader
    site.stream = other.stream
    other.says(alert(1))
    site.reads(*other.records)
    assert [entry.row.publisher for entry in site.inbox] == [PE, CL]


def test_a_statement_of_another_member_on_this_topic_is_refused(author: Author, reader: ReaderSite) -> None:
    other = Author(CL)
    reader.reads(other.says(alert(1)), author.says(alert(2)))
    assert [(r.code, r.proven) for r in reader.store.read_now(refusals)] == [(Code.STREAM_OWNER, True)]
    assert reader.ids == [alert(2).message_id]


def test_forged_records_are_counted_kept_in_bounds_and_touch_no_chain(
    author: Author, reader: ReaderSite
) -> None:
    record = author.says(alert(1))
    forged = [record[:-1] + bytes([record[-1] ^ 1]) for _ in range(quarantine.UNPROVEN_KEPT + 20)]
    reader.reads(*enumerate(forged), (500, record))
    kept = reader.store.read_now(refusals)
    assert len(kept) == quarantine.UNPROVEN_KEPT
    assert sum(reader.store.read_now(quarantine.refusal_counts).values()) == len(forged)
    assert reader.ids == [alert(1).message_id]


def test_a_newer_directory_is_waited_for(author: Author, reader: ReaderSite) -> None:
    record = author.says(alert(1), known=directory(version=2))
    seek = reader.reads(record).seeks[reader.stream]
    assert seek.offset == 0
    assert reader.ids == []
    reader.reads(record, known=directory(version=2))
    assert reader.ids == [alert(1).message_id]


def test_an_author_never_goes_back_to_an_older_directory(author: Author, reader: ReaderSite) -> None:
    newer = directory(version=2)
    records = [author.says(alert(1), known=newer)]
    assert author.head is not None
    author.head = replace(author.head, directory_version=1)
    records.append(author.says(alert(2), known=directory(version=1)))
    author.head = replace(author.head, directory_version=2)
    records.append(author.says(alert(3), known=newer))
    reader.reads(*records, known=newer)
    assert reader.ids == [alert(1).message_id, alert(3).message_id]
    assert [r.code for r in reader.store.read_now(refusals)] == [Code.DIRECTORY_FELL]


def test_a_heartbeat_claims_the_head_and_an_older_one_changes_nothing(
    author: Author, reader: ReaderSite
) -> None:
    author.says(alert(1))
    first, later = author.beats(), author.beats(NOW + SECOND)
    reader.reads((1, first), (2, later))
    before = reader.store.read_now(inbox.chains)[reader.stream]
    reader.reads((3, first), at=NOW + 2 * SECOND)
    after = reader.store.read_now(inbox.chains)[reader.stream]
    assert after == replace(before, next_offset=4), "nobody is heard from because an old word is shown again"
    (claim,) = reader.store.read_now(witness.claims)
    assert (claim.seq, claim.witness) == (0, PE)
    row = reader.store.read_now(inbox.chains)[reader.stream]
    assert row.seq == -1, "a heartbeat is no part of the chain"


def test_a_failed_transaction_leaves_nothing_in_memory(author: Author, reader: ReaderSite) -> None:
    records = [author.says(alert(n)) for n in range(2)]
    reader.reads(records[0])

    def fail() -> None:
        with pytest.raises(ZeroDivisionError):
            reader.store.write_now(
                lambda c: (
                    reader.absorber.absorb(
                        c,
                        [(reader.stream, Received("topic", 1, records[1], 0))],
                        directory=directory(),
                        now=NOW,
                    ),
                    1 / 0,
                )
            )
        reader.absorber.rolled_back()

    fail()
    assert reader.reads((1, records[1])).delivered == 1


def test_red_messages_get_statements_of_their_own(author: Author, reader: ReaderSite) -> None:
    red = alert(2, handling=replace(alert(2).handling, tlp=Tlp.RED))
    author.says(alert(1), to=(AR,))
    author.says(alert(3), red, alert(4), to=(AR,))
    assert author.head is not None
    assert author.head.seq == 3, "three statements: before, the red one, after"
    reader.reads(*author.records)
    assert len(reader.ids) == 4
