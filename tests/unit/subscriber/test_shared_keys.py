"""Does a member without a sealing key get what was said while it had none, and nothing else?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code
from almenara.store import inbox
from almenara.store.quarantine import refusal_counts, refusals
from almenara.subscriber import late
from almenara.trust.targets import member_target
from almenara.wire.records import parse_record, parse_statement
from unit.subscriber.stream import GAP_WAIT, Author, ReaderSite, alert
from unit.trust.federation import (
    AR,
    CL,
    ENROLMENTS,
    NOW,
    PE,
    UY,
    directory,
    enrol,
    member_file,
    targets,
)

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.trust.directory import Directory

SECOND = timedelta(seconds=1)
AR_KEYLESS = directory(targets(ENROLMENTS[PE], enrol(AR, sealing=False), ENROLMENTS[CL]))
AR_KEYED = directory(version=2)


@pytest.fixture
def author() -> Author:
    return Author()


@pytest.fixture
def keyless(author: Author, tmp_path: Path) -> ReaderSite:
    """Return AR after PE spoke to all, to AR, to CL and to all again, before AR had a sealing key."""
    author.says(alert(1), known=AR_KEYLESS)
    author.says(alert(2), to=(AR,), known=AR_KEYLESS)
    author.says(alert(3), to=(CL,), known=AR_KEYLESS)
    author.says(alert(4), known=AR_KEYLESS)
    reader = ReaderSite(tmp_path)
    reader.reads(*author.records, known=AR_KEYLESS)
    assert reader.ids == []
    return reader


def codes(reader: ReaderSite) -> list[str]:
    return [refusal.code for refusal in reader.store.read_now(refusals)]


def polls_on(reader: ReaderSite, known: Directory) -> None:
    """Poll, with nothing new on the topic, until nothing waits to be opened."""
    while reader.absorber.late:
        reader.reads(known=known)


def test_what_was_said_before_the_key_opens_once_its_author_shares(
    author: Author, keyless: ReaderSite
) -> None:
    assert codes(keyless) == [Code.KEY_MISSING] * 4
    keyless.reads((4, author.shares(AR, known=AR_KEYED)), known=AR_KEYED)
    assert keyless.ids == [alert(n).message_id for n in (1, 2, 4)]
    assert {entry.row.flags for entry in keyless.inbox} == {"LATE_KEY"}
    assert codes(keyless) == []
    assert keyless.store.read_now(refusal_counts) == {}


def test_it_opens_after_a_restart_just_as_well_and_once(author: Author, keyless: ReaderSite) -> None:
    keyless.restarts()
    shared = author.shares(AR, known=AR_KEYED)
    assert keyless.reads((4, shared), known=AR_KEYED).delivered == 3
    keyless.restarts()
    again = author.shares(AR, known=AR_KEYED, at=NOW + SECOND)
    assert keyless.reads((4, shared), (5, again), known=AR_KEYED).delivered == 0


def test_what_fills_a_gap_after_its_key_was_shared_opens_at_once(author: Author, tmp_path: Path) -> None:
    first, *missing = (author.says(alert(number), known=AR_KEYLESS) for number in range(3))
    shared = author.shares(AR, known=AR_KEYED)
    reader = ReaderSite(tmp_path)
    reader.reads(first, known=AR_KEYLESS)
    reader.reads((3, shared), known=AR_KEYED)
    assert reader.reads((3, shared), known=AR_KEYED, at=NOW + GAP_WAIT).delivered == 1
    reader.restarts()
    assert reader.reads((4, missing[0]), (5, missing[1]), known=AR_KEYED).delivered == 2
    assert {entry.row.flags for entry in reader.inbox} == {"LATE_KEY", "FILL"}


def test_many_statements_are_opened_a_few_a_poll_and_across_a_restart(
    author: Author, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "LATE_MAX", 2)
    for number in range(7):
        author.says(alert(number), known=AR_KEYLESS)
    reader = ReaderSite(tmp_path)
    reader.reads(*author.records, known=AR_KEYLESS)
    polls_on(reader, AR_KEYLESS)
    assert reader.reads((7, author.shares(AR, known=AR_KEYED)), known=AR_KEYED).delivered == 2
    assert reader.reads(known=AR_KEYED).delivered == 2
    reader.restarts()
    reader.reads((7, author.records[-1]), known=AR_KEYED)
    polls_on(reader, AR_KEYED)
    assert reader.ids == [alert(number).message_id for number in range(7)]


def test_of_a_list_of_others_only_the_link_is_kept_once_the_noise_is_shared(
    author: Author, keyless: ReaderSite
) -> None:
    def content(seq: int) -> bytes:
        assert author.head is not None
        epoch = author.head.epoch
        record = keyless.store.read_now(lambda c: inbox.record_at(c, keyless.stream, epoch, seq))
        return parse_record(record or b"").content

    assert content(2)
    keyless.reads((4, author.shares(AR, known=AR_KEYED)), known=AR_KEYED)
    assert not content(2)
    assert content(0)


def test_one_that_joins_without_a_key_is_owed_nothing_from_before(author: Author) -> None:
    author.says(alert(1))
    with_uy = targets() | {member_target(UY): member_file(enrol(UY, sealing=False))}
    author.says(alert(2), known=directory(with_uy, version=2))
    (debt,) = author.debts
    assert debt.owed.member == UY
    assert debt.owed.key_id == sender_key_of(author.records[1])
    assert debt.owed.key_id != sender_key_of(author.records[0])


def sender_key_of(record: bytes) -> bytes:
    return parse_statement(parse_record(record).payload).head.sender_key
