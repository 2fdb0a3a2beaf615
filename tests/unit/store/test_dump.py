"""What one store holds another comes to hold, whatever goes on in the first meanwhile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import Connection, select, text

from almenara.errors import Misconfigured
from almenara.store import dump, inbox, outbox, quarantine, tables, views
from almenara.store.database import Store
from almenara.store.inbox import ChainRow, SenderKeyRow
from almenara.store.wanted import InboxFilter
from unit.store.rows import AR, PE, REGION, a_hash, message_row, refusal, statement_row
from unit.store.spoken import spoken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.create(tmp_path / "almenara.db")
    yield store
    store.close()


@pytest.fixture
def full(store: Store) -> Store:
    """Return a store with rows in the tables that matter, positions missing among them."""
    spoken(store, statements=4, sent=3)
    key = SenderKeyRow(audience=REGION, publisher=AR, epoch=1, key_id=a_hash("k"), key=None, kept_at=1)
    store.write_now(lambda c: inbox.save_chains(c, [ChainRow(audience=REGION, publisher=PE, epoch=1, seq=9)]))
    store.write_now(lambda c: inbox.insert_sender_keys(c, [key]))
    store.write_now(lambda c: inbox.insert_statements(c, [statement_row(seq) for seq in range(ROWS)]))
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(number) for number in range(ROWS)]))
    store.write_now(lambda c: quarantine.keep(c, [refusal(n, proven=True) for n in range(3)]))
    store.write_now(lambda c: c.execute(text("DELETE FROM message WHERE position IN (1, 5)")))
    store.write_now(outbox.stand_by_broker)
    return store


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    store = Store.create(tmp_path / "other.db")
    yield store
    store.close()


def contents(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    def work(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in tables.metadata.sorted_tables
        }

    return store.read_now(work)


def copy(store: Store, other: Store) -> list[tuple[str, int]]:
    told: list[tuple[str, int]] = []
    pieces = store.read_now(lambda c: list(dump.dump(c, lambda table, done: told.append((table, done)))))
    for piece in pieces:
        other.write_now(partial(dump.load, piece=piece))
    return told


@pytest.mark.parametrize("size", [1, 100, dump.PIECE_SIZE])
def test_another_store_comes_to_hold_the_same(
    full: Store, other: Store, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump, "PIECE_SIZE", size)
    told = copy(full, other)
    assert contents(other) == contents(full)
    assert told[-1][1] == full.read_now(dump.count)


def test_an_empty_store_is_copied_too(store: Store, other: Store) -> None:
    assert copy(store, other)[-1][1] == store.read_now(dump.count) == 0
    assert contents(other) == contents(store)


def test_it_is_the_store_of_one_moment(full: Store, other: Store) -> None:
    before = contents(full)

    def work(connection: Connection) -> list[bytes]:
        pieces = dump.dump(connection, lambda *_: None)
        first = next(pieces)
        full.write_now(lambda c: inbox.insert_messages(c, [message_row(1000)]))
        full.write_now(lambda c: c.execute(text("DELETE FROM statement")))
        return [first, *pieces]

    for piece in full.read_now(work):
        other.write_now(partial(dump.load, piece=piece))
    assert contents(other) == before


def test_positions_go_on_far_above_those_of_both_stores(full: Store, other: Store) -> None:
    copy(full, other)
    last = other.read_now(views.last_position)
    assert last == ROWS
    other.write_now(lambda c: dump.skip_positions(c, above=last + 7))
    other.write_now(lambda c: inbox.insert_messages(c, [message_row(500), message_row(501)]))
    wanted = InboxFilter()
    entries = other.read_now(lambda c: views.entries_after(c, wanted, position=last, limit=9))
    start = last + 7 + dump.POSITIONS_SKIPPED
    assert [entry.position for entry in entries] == [start + 1, start + 2]


def test_positions_are_skipped_in_a_store_that_never_gave_one(other: Store) -> None:
    other.write_now(lambda c: dump.skip_positions(c, above=0))
    other.write_now(lambda c: inbox.insert_messages(c, [message_row(1)]))
    assert other.read_now(views.last_position) == dump.POSITIONS_SKIPPED + 1


@pytest.mark.parametrize(
    ("table", "columns"), [("lease", ["only"]), ("nonsense", []), ("meta", ["name"]), ("meta", ["name", "x"])]
)
def test_what_this_program_does_not_know_is_refused_by_name(
    other: Store, table: str, columns: list[str]
) -> None:
    piece = msgspec.msgpack.encode((table, columns, []))
    with pytest.raises(Misconfigured, match=f"its table {table}"):
        other.write_now(lambda c: dump.load(c, piece))
