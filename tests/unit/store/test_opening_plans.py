"""What a node asks of its store when it starts, and what a person asks, reads no table from end to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.node import health, watch
from almenara.store import directory as directory_row
from almenara.store import inbox, outbox, quarantine, retention, views, witness
from almenara.store.database import Store
from almenara.store.inbox import ChainRow
from almenara.store.wanted import InboxFilter
from unit.store.plans import plans_of
from unit.store.rows import AR, PE, REGION, STREAM, a_hash, message_row, refusal, statement_row
from unit.store.spoken import spoken
from unit.trust.federation import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    Work = Callable[[Connection], object]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store with rows in every table that grows, counted as SQLite's planner knows them."""
    store = Store.create(tmp_path / "almenara.db")
    spoken(store, statements=3, sent=2)
    chain = ChainRow(audience=REGION, publisher=AR, epoch=1, seq=2, hash=a_hash(1, 2))
    store.write_now(lambda c: inbox.save_chains(c, [chain]))
    store.write_now(lambda c: inbox.insert_statements(c, [statement_row(seq) for seq in range(3)]))
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(number) for number in range(9)]))
    store.write_now(lambda c: quarantine.keep(c, [refusal(1, proven=True)]))
    yield store
    store.close()


STARTS: dict[str, Work] = {
    "publisher: heads": outbox.own_heads,
    "publisher: directory": directory_row.load,
    "publisher: when it was verified": directory_row.verified_at,
    "publisher: stands by the broker": outbox.stands_by_broker,
    "publisher: what the broker holds": lambda c: outbox.statement_at(c, REGION, 1, 1),
    "publisher: sent up to there": lambda c: outbox.mark_unsent(c, audience=REGION, after=(1, 1)),
    "publisher: the backlog": lambda c: outbox.unsent(c, REGION, limit=16),
    "publisher: receipts due": witness.receipts_due,
    "subscriber: chains": inbox.chains,
    "subscriber: gaps": inbox.gaps,
    "subscriber: what was passed over": lambda c: quarantine.release(c, STREAM, "UNKNOWN_KEY"),
    "subscriber: access": lambda c: inbox.save_access(c, [(STREAM, "READABLE")], at=1),
    "node: every stream": lambda c: watch.facts(c, PE, None, now=NOW),
    "node: counts": health.counts,
    "node: changes kept back": lambda c: health.kept_back(c, NOW - NOW),
    "housekeeping: streams": retention.streams,
}
"""All that is done before a node is ready, and the first round of what it does again and again."""

ASKED: dict[str, Work] = {
    "inbox list": lambda c: views.newest_entries(c, InboxFilter(), limit=100),
    "inbox list --area": lambda c: views.newest_entries(c, InboxFilter(areas=("DRUGS",)), limit=100),
    "inbox follow": lambda c: views.entries_after(c, InboxFilter(), position=5, limit=100),
    "inbox show": lambda c: views.entries_of(c, bytes(16)),
    "its last position": views.last_position,
    "an id by its first digits": lambda c: views.ids_named(c, "0000"),
    "an id by its reference": lambda c: views.ids_named(c, "PE-2026-000123"),
    "quarantine list": lambda c: quarantine.newest_refusals(c, limit=100),
    "a statement": lambda c: inbox.record_at(c, STREAM, 1, 1),
    "the place of a hash": lambda c: inbox.place_of(c, STREAM, a_hash(1, 1)),
    "the statement after": lambda c: inbox.statement_after(c, STREAM, (1, 0)),
    "what was not opened": lambda c: inbox.unopened(c, STREAM, 1, limit=100),
    "doctor: the oldest message": lambda c: retention.oldest_message(c, REGION),
    "decisions": lambda c: witness.decisions(c, PE, bytes(16)),
}


@pytest.mark.parametrize("work", STARTS.values(), ids=STARTS)
def test_a_node_starts_without_reading_all_that_was_ever_said(store: Store, work: Work) -> None:
    plans = plans_of(store, [work])
    assert plans
    assert [plan for plan in plans if plan.reads_all] == []


@pytest.mark.parametrize("work", ASKED.values(), ids=ASKED)
def test_a_question_is_answered_without_reading_all_that_was_ever_said(store: Store, work: Work) -> None:
    plans = plans_of(store, [work])
    assert plans
    # From the newest position on, until the page is full.
    by_position = (("SCAN message",), ("SCAN quarantine",))
    whole = [plan for plan in plans if plan.reads_all]
    assert [plan for plan in whole if plan.steps not in by_position or "LIMIT" not in plan.statement] == []


def test_reading_all_shows(store: Store) -> None:
    """Else the two above could not fail."""
    (plan,) = plans_of(store, [lambda c: c.exec_driver_sql("SELECT * FROM message WHERE area = 'X'")])
    assert plan.reads_all
    (plan,) = plans_of(store, [lambda c: c.exec_driver_sql("SELECT * FROM message ORDER BY kind LIMIT 1")])
    assert plan.sorts
