"""Does the store give back what the subscriber put in, and refuse the same twice?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from almenara.model.ids import Stream
from almenara.store import inbox
from almenara.store.inbox import ChainRow, SenderKeyRow
from almenara.wire.chain import OpenGap
from unit.store.rows import AR, CL, PE, REGION, STREAM, a_hash, message_row, statement_row

if TYPE_CHECKING:
    from almenara.store.database import Store

OTHER = Stream(REGION, AR)
GAP = OpenGap(low_epoch=1, low_seq=2, low_hash=a_hash(1, 2), high_epoch=1, high_seq=5, high_prev=a_hash(1, 4))


def test_a_chain_is_kept_as_it_stands_last(store: Store) -> None:
    row = ChainRow(audience=REGION, publisher=PE, epoch=1, seq=4, hash=a_hash(4), next_offset=9, next_by=7)
    other = ChainRow(audience=REGION, publisher=AR)
    store.write_now(lambda c: inbox.save_chains(c, [row, other]))
    moved = replace(row, seq=5, hash=a_hash(5), wait_code="GAP", eliciting=3)
    store.write_now(lambda c: inbox.save_chains(c, [moved]))
    assert store.read_now(inbox.chains) == {STREAM: moved, OTHER: other}


def test_open_gaps_are_replaced_stream_by_stream_and_come_in_order(store: Store) -> None:
    higher = replace(GAP, low_seq=7, high_seq=9)
    store.write_now(lambda c: inbox.save_gaps(c, STREAM, [higher, GAP]))
    store.write_now(lambda c: inbox.save_gaps(c, OTHER, [GAP]))
    assert store.read_now(inbox.gaps) == {STREAM: (GAP, higher), OTHER: (GAP,)}
    store.write_now(lambda c: inbox.save_gaps(c, STREAM, []))
    assert store.read_now(inbox.gaps) == {OTHER: (GAP,)}


def test_a_place_of_a_chain_is_taken_once(store: Store) -> None:
    store.write_now(lambda c: inbox.insert_statements(c, [statement_row(1)]))
    with pytest.raises(IntegrityError):
        store.write_now(lambda c: inbox.insert_statements(c, [replace(statement_row(1), hash=a_hash("x"))]))


def test_a_message_is_delivered_once(store: Store) -> None:
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(1)]))
    with pytest.raises(IntegrityError):
        store.write_now(lambda c: inbox.insert_messages(c, [message_row(2), message_row(1)]))
    held = store.read_now(
        lambda c: inbox.contents(c, [(PE, message_row(n).message_id) for n in range(1, 1200)])
    )
    assert held == {(PE, message_row(1).message_id): message_row(1).content}


def test_the_same_id_of_two_members_is_two_messages(store: Store) -> None:
    mine, other = message_row(1), message_row(1, publisher=AR, content=a_hash("other"))
    store.write_now(lambda c: inbox.insert_messages(c, [mine, other]))
    ids = [(publisher, mine.message_id) for publisher in (PE, AR, CL)]
    assert store.read_now(lambda c: inbox.contents(c, ids)) == {ids[0]: mine.content, ids[1]: other.content}


def test_a_statement_is_found_by_place_and_by_hash_on_its_own_stream_alone(store: Store) -> None:
    rows = [statement_row(seq) for seq in range(4)] + [statement_row(0, epoch=2)]
    store.write_now(lambda c: inbox.insert_statements(c, rows))
    assert store.read_now(lambda c: inbox.hash_at(c, STREAM, 1, 2)) == a_hash(1, 2)
    assert store.read_now(lambda c: inbox.hash_at(c, OTHER, 1, 2)) is None
    assert store.read_now(lambda c: inbox.place_of(c, STREAM, a_hash(2, 0))) == (2, 0)
    assert store.read_now(lambda c: inbox.place_of(c, OTHER, a_hash(2, 0))) is None
    assert store.read_now(lambda c: inbox.record_at(c, STREAM, 1, 3)) == b"record 3"
    between = store.read_now(lambda c: inbox.statements_between(c, STREAM, (1, 1), (2, 0)))
    assert [(kept.epoch, kept.seq) for kept in between] == [(1, 2), (1, 3)]


def keyless(store: Store, *, after: tuple[int, int] = (0, -1), limit: int = 9) -> list[bytes]:
    found = store.read_now(lambda c: inbox.keyless_statements(c, STREAM, after=after, limit=limit))
    return [kept.record for kept in found]


def test_what_was_not_opened_is_listed_but_for_lists_of_others(store: Store) -> None:
    codes = ["", "KEY_MISSING", "NOT_FOR_ME", "CHECK_DIGIT", "KEY_MISSING"]
    rows = [statement_row(seq, code=code) for seq, code in enumerate(codes)]
    store.write_now(lambda c: inbox.insert_statements(c, rows))
    assert store.read_now(lambda c: inbox.unopened(c, STREAM, 1, limit=9)) == [
        (1, "KEY_MISSING"),
        (3, "CHECK_DIGIT"),
        (4, "KEY_MISSING"),
    ]
    assert store.read_now(lambda c: inbox.unopened(c, STREAM, 1, limit=1)) == [(4, "KEY_MISSING")]
    assert keyless(store) == [b"record 1", b"record 4"]
    assert keyless(store, limit=1) == [b"record 1"]
    assert keyless(store, after=(1, 1)) == [b"record 4"]
    store.write_now(lambda c: inbox.judge_statement_again(c, STREAM, 1, 1, code="", record=b"link"))
    assert keyless(store) == [b"record 4"]


def test_a_sender_key_stays_as_it_came_first(store: Store) -> None:
    key = SenderKeyRow(audience=REGION, publisher=PE, epoch=1, key_id=a_hash("id"), key=bytes(32), kept_at=5)
    not_mine = replace(key, key_id=a_hash("other"), key=None)
    store.write_now(lambda c: inbox.insert_sender_keys(c, [key, not_mine]))
    store.write_now(lambda c: inbox.insert_sender_keys(c, [replace(key, key=b"1" * 32)]))
    assert store.read_now(lambda c: inbox.sender_key_of(c, STREAM, 1, key.key_id)) == key
    assert store.read_now(lambda c: inbox.sender_key_of(c, STREAM, 1, not_mine.key_id)) == not_mine
    assert store.read_now(lambda c: inbox.sender_key_of(c, OTHER, 1, key.key_id)) is None
    assert store.read_now(lambda c: inbox.sender_key_of(c, STREAM, 2, key.key_id)) is None


def test_access_is_what_the_broker_said_last(store: Store) -> None:
    store.write_now(lambda c: inbox.save_access(c, [(STREAM, "READABLE"), (OTHER, "REFUSED")], at=1))
    store.write_now(lambda c: inbox.save_access(c, [(OTHER, "READABLE")], at=2))
    assert store.read_now(inbox.stream_access) == {OTHER: "READABLE"}
