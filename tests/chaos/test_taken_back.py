"""Of a store that became an earlier one the auditor excuses what must be, and nothing else."""

# ruff: noqa: S608 - the queries are this file's own
from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import pytest

from almenara.demo.chains import Place
from chaos.copied import AR, CL, PE
from chaos.taken_back import TakenBack

if TYPE_CHECKING:
    from almenara.model.ids import MemberId
    from chaos.auditor import Report
    from chaos.copied import Copy

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(1800)]


class Taken(NamedTuple):
    """The stores of a storm as if PE's had been put back to before the last statement that all hold."""

    copy: Copy
    back: TakenBack
    messages: tuple[bytes, ...]
    """What stood in that statement, and with which others stand after it."""
    first: Place
    """The first statement that PE's store does not know any more."""
    last: Place
    """The last that it knows."""

    def judged(self) -> Report:
        return self.copy.judged([self.back])


HELD = "SELECT epoch, seq FROM message WHERE publisher = 'PE' AND audience = 'region' AND kind <> 'RECEIPT'"

FROM = "publisher = 'PE' AND audience = 'region' AND (epoch, seq) >= (?, ?)"


@pytest.fixture
def taken(copy: Copy) -> Taken:
    """Return the stores; what was taken back had left, and its readers have seen PE's next epoch."""
    aside = copy.stores[PE].with_name("aside.db")
    shutil.copyfile(copy.stores[PE], aside)
    of_both = set.intersection(*(set(copy.rows(reader, HELD)) for reader in (AR, CL)))
    first = Place(*max(of_both))
    messages = tuple(
        row[0]
        for row in copy.rows(
            PE, "SELECT message_id FROM outgoing WHERE kind <> 'RECEIPT' AND (epoch, seq) >= (?, ?)", *first
        )
    )
    for table in ("outbox", "outgoing"):
        query = f"DELETE FROM {table} WHERE audience = 'region' AND (epoch, seq) >= (?, ?)"
        copy.change(PE, query, values=first)
    *last, digest = copy.rows(
        PE,
        "SELECT epoch, seq, hash FROM outbox WHERE audience = 'region' ORDER BY epoch DESC, seq DESC LIMIT 1",
    )[0]
    for reader in (AR, CL):
        copy.change(
            reader,
            "INSERT INTO evidence SELECT 'TRUNCATED', audience, publisher, epoch, seq, hash, hash,"
            f" received_at, record FROM statement WHERE {FROM}",
            values=first,
        )
    for member in copy.stores:
        query = "UPDATE claim SET epoch = ?, seq = ?, hash = ? WHERE publisher = 'PE' AND audience = 'region'"
        copy.change(member, query, values=(*last, digest))
    return Taken(copy, TakenBack(PE, aside), messages, first, Place(*last))


def test_what_left_before_is_held_once_by_all_but_its_author(taken: Taken) -> None:
    report, before = taken.judged(), taken.copy.before
    assert report.faults == ()
    assert report.accepted == before.accepted - len(taken.messages)
    assert (report.due, report.held, report.lost, report.elsewhere) == (before.due, before.held, 0, 0)


def test_without_the_store_that_was_put_aside_it_is_no_excuse(taken: Taken) -> None:
    assert named(taken.copy.judged(), "which PE never made")


def test_what_left_and_one_reader_does_not_hold_is_lost(taken: Taken) -> None:
    taken.copy.change(AR, "DELETE FROM message WHERE message_id = ?", values=(held_by(taken, AR),))
    report = taken.judged()
    assert report.lost == 1
    assert named(report, "whose store was taken back: not held by AR")


def test_what_never_left_is_nobodys(taken: Taken) -> None:
    forget(taken)
    with closing(sqlite3.connect(taken.back.aside)) as connection, connection:
        connection.execute("UPDATE outbox SET sent = 0 WHERE (epoch, seq) >= (?, ?)", taken.first)
    report = taken.judged()
    assert report.faults == ()
    assert report.lost == 0
    assert report.due < taken.copy.before.due


def test_what_the_broker_had_and_nobody_holds_is_lost(taken: Taken) -> None:
    with closing(sqlite3.connect(taken.back.aside)) as connection, connection:
        connection.execute("UPDATE outbox SET sent = 1 WHERE (epoch, seq) >= (?, ?)", taken.first)
    forget(taken)
    assert taken.judged().lost >= len(taken.messages)


def test_a_reader_that_does_not_show_what_was_left_out_is_named(taken: Taken) -> None:
    taken.copy.change(AR, "DELETE FROM evidence")
    assert named(taken.judged(), "held and not shown as evidence")


def test_other_content_than_was_accepted_is_named(taken: Taken) -> None:
    query = "UPDATE message SET body = x'00' WHERE message_id = ?"
    taken.copy.change(AR, query, values=(held_by(taken, AR),))
    assert named(taken.judged(), "its content at AR is not what was to be published")


def test_what_was_offered_again_since_stands_where_it_stands_now(taken: Taken) -> None:
    again = held_by(taken, AR)
    with closing(sqlite3.connect(taken.copy.stores[PE])) as connection, connection:
        connection.execute("ATTACH ? AS aside", (str(taken.back.aside),))
        connection.execute("INSERT INTO outgoing SELECT * FROM aside.outgoing WHERE message_id = ?", (again,))
        connection.execute(
            "UPDATE outgoing SET epoch = ?, seq = ? WHERE message_id = ?", (*opened(taken), again)
        )
    offers = tuple(
        offer._replace(told=opened(taken))
        if offer.told is not None and offer.message.message_id.bytes == again
        else offer
        for offer in taken.copy.offers
    )
    report = taken._replace(copy=taken.copy._replace(offers=offers)).judged()
    assert report.faults == ()
    assert (report.held, report.lost) == (report.due, 0)


def held_by(taken: Taken, reader: MemberId) -> bytes:
    """Return one of the messages that a reader holds."""
    return next(
        message_id
        for message_id in taken.messages
        if taken.copy.rows(reader, "SELECT 1 FROM message WHERE message_id = ?", message_id)
    )


def opened(taken: Taken) -> Place:
    """Return a statement of PE that was not taken back and that both others have opened."""
    query = "SELECT epoch, seq FROM statement WHERE publisher = 'PE' AND audience = 'region' AND code = ''"
    before = f"{query} AND (epoch, seq) <= (?, ?)"
    return Place(*max(set.intersection(*(set(taken.copy.rows(it, before, *taken.last)) for it in (AR, CL)))))


def forget(taken: Taken) -> None:
    """Let no reader have heard of what was taken back."""
    for reader in (AR, CL):
        for table in ("statement", "evidence", "message"):
            taken.copy.change(reader, f"DELETE FROM {table} WHERE {FROM}", values=taken.first)


def named(report: Report, words: str) -> bool:
    return any(words in fault for fault in report.faults)
