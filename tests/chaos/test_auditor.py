"""The auditor itself: whatever is changed in a copy of a storm's stores, it counts and names."""

# ruff: noqa: S608 - the queries are this file's own
from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from alerts import new_alert
from almenara.demo.chains import Place
from almenara.model.ids import MemberId
from chaos.auditor import Report, judge, misshown
from chaos.copied import AR, CL, PE
from chaos.load import Offer

if TYPE_CHECKING:
    from chaos.copied import Copy

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(1800)]

TO_ALL = "publisher = 'PE' AND recipients = '' ORDER BY position LIMIT 1"
"""A message of PE that AR and CL hold."""


def told_to_all(copy: Copy) -> Offer:
    """Return an offer of PE to the whole region whose caller was told."""
    return next(
        offer
        for offer in copy.offers
        if offer.publisher == PE and offer.told is not None and not offer.message.recipients
    )


def named(report: Report, words: str) -> bool:
    return any(words in fault for fault in report.faults)


def test_a_copy_is_as_good_as_the_stores(copy: Copy) -> None:
    assert copy.judged() == copy.before


def test_a_removed_message_is_lost(copy: Copy) -> None:
    copy.change(AR, f"DELETE FROM message WHERE position = (SELECT position FROM message WHERE {TO_ALL})")
    report = copy.judged()
    assert (report.held, report.lost, report.doubled, report.elsewhere) == (copy.before.held - 1, 1, 0, 0)
    assert named(report, "held 0 times by AR, want once")


def test_the_same_content_in_a_second_row_is_doubled(copy: Copy) -> None:
    """The schema lets no identity stand twice, so the second row has another."""
    copy.change(
        AR,
        f"CREATE TEMP TABLE again AS SELECT * FROM message WHERE {TO_ALL}",
        "UPDATE again SET position = NULL, message_id = randomblob(16)",
        "INSERT INTO message SELECT * FROM again",
    )
    report = copy.judged()
    assert (report.held, report.lost, report.doubled, report.elsewhere) == (copy.before.held, 0, 1, 0)
    assert named(report, "store of AR: the same bytes stand in 2 of its rows")


def test_a_message_to_a_list_is_elsewhere_with_another_member(copy: Copy) -> None:
    store = copy.stores[AR]
    copy.change(
        CL,
        f"ATTACH '{store}' AS ar",
        "CREATE TEMP TABLE taken AS SELECT * FROM ar.message"
        " WHERE publisher = 'PE' AND recipients = 'AR' LIMIT 1",
        "UPDATE taken SET position = NULL",
        "INSERT INTO message SELECT * FROM taken",
    )
    report = copy.judged()
    assert (report.held, report.lost, report.doubled, report.elsewhere) == (copy.before.held, 0, 0, 1)
    assert named(report, "held by CL, for whom it is not")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE statement SET hash = zeroblob(32)", "has another hash than its signed bytes"),
        ("UPDATE statement SET record = zeroblob(300)", "cannot be read"),
        ("UPDATE statement SET code = 'KEY_MISSING'", "no statement at AR carried it"),
        ("DELETE FROM statement", "does not follow"),
    ],
)
def test_a_chain_that_was_altered_is_not_whole(copy: Copy, change: str, words: str) -> None:
    query = "SELECT statement.rowid FROM statement JOIN message USING (audience, publisher, epoch, seq)"
    ((row,),) = copy.rows(AR, f"{query} WHERE publisher = 'PE' ORDER BY seq LIMIT 1")
    copy.change(AR, f"{change} WHERE rowid = ?", values=(row,))
    assert named(copy.judged(), words)


def test_a_statement_that_its_author_does_not_know_is_named(copy: Copy) -> None:
    copy.change(PE, "DELETE FROM outbox WHERE seq = 0")
    assert named(copy.judged(), "which PE never made")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE claim SET hash = zeroblob(32)", "AR names another statement at"),
        ("UPDATE claim SET excepted = '[{}]'", "AR excepts statements of PE"),
        ("DELETE FROM claim", "AR has confirmed None, want"),
    ],
)
def test_a_receipt_that_does_not_agree_is_named(copy: Copy, change: str, words: str) -> None:
    copy.change(PE, f"{change} WHERE publisher = 'PE' AND witness = 'AR'")
    assert named(copy.judged(), words)


def test_a_receipt_that_nobody_gave_is_named(copy: Copy) -> None:
    """Forged to the letter: of a statement that CL is to have said and that it never made."""
    copy.change(
        PE,
        "UPDATE claim SET witness = 'CL', publisher = 'AR', seq = seq + 1000, hash = randomblob(32)"
        " WHERE publisher = 'AR' AND witness = 'CL'",
    )
    assert named(copy.judged(), "store of PE: CL names another statement at")


def test_a_follower_that_was_shown_a_message_twice_or_never_is_named(copy: Copy) -> None:
    offer = told_to_all(copy)
    identity = (PE, offer.message.message_id)
    held = {
        member: dict.fromkeys(
            ((MemberId(publisher), UUID(bytes=key)) for publisher, key in copy.held(member)), 1
        )
        for member in copy.stores
    }
    assert misshown(copy.stores, held) == []
    held[AR][identity] = 2
    del held[CL][identity]
    assert misshown(copy.stores, held) == [
        f"follower of AR: was shown {identity[1]} of PE 2 times, want 1",
        f"follower of CL: was shown {identity[1]} of PE 0 times, want 1",
    ]


def test_a_gap_that_is_open_is_named(copy: Copy) -> None:
    copy.change(AR, "INSERT INTO gap VALUES ('region', 'PE', 1, 1, x'00', 1, 3, x'00')")
    assert named(copy.judged(), "AR: 1 gaps are open")


def test_an_accepted_message_that_its_author_forgot_is_lost(copy: Copy) -> None:
    offer = next(offer for offer in copy.offers if offer.publisher == PE and offer.told is not None)
    copy.change(PE, "DELETE FROM outgoing WHERE message_id = ?", values=(offer.message.message_id.bytes,))
    report = copy.judged()
    assert named(report, "not published")
    assert named(report, f"its caller was told {offer.told}, it stands at None")


def test_a_caller_who_was_told_another_place_is_named(copy: Copy) -> None:
    offers = [
        offer if offer.told is None else offer._replace(told=Place(offer.told.epoch, offer.told.seq + 1))
        for offer in copy.offers
    ]
    assert named(judge(copy.stores, offers), "its caller was told")


def test_a_message_without_an_answer_is_held_by_all_or_by_none(copy: Copy) -> None:
    offer = told_to_all(copy)
    silent = copy._replace(offers=tuple(o._replace(told=None) if o is offer else o for o in copy.offers))
    assert silent.judged().faults == ()
    silent.change(AR, "DELETE FROM message WHERE message_id = ?", values=(offer.message.message_id.bytes,))
    report = silent.judged()
    assert report.lost == 1
    assert named(report, "held 0 times by AR, want once")


def test_a_message_that_was_never_accepted_and_is_nowhere_is_no_fault(copy: Copy) -> None:
    never = Offer(publisher=PE, message=new_alert(), offered_at=0.0, told=None)
    assert judge(copy.stores, [*copy.offers, never]) == copy.before


def test_a_message_that_nobody_offered_is_elsewhere(copy: Copy) -> None:
    offer = told_to_all(copy)
    report = copy._replace(offers=tuple(o for o in copy.offers if o is not offer)).judged()
    assert report.elsewhere == 2
    assert named(report, "published, and not asked for")
