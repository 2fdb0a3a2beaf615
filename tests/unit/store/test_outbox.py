"""Can two processes speak for one member, and does everything said reach the broker once marked?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from almenara.errors import Code, StatementRefused
from almenara.model.ids import AudienceId
from almenara.store import outbox
from almenara.store.database import Store
from almenara.store.tally import Tally, tallies
from unit.store.rows import REGION, outgoing, own_head, record, says

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from almenara.store.outbox import OwnHead
    from almenara.store.place import Place

CONDOR = AudienceId("op-condor")


def unsent(store: Store) -> list[tuple[int, int]]:
    return [(r.epoch, r.seq) for r in store.read_now(lambda c: outbox.unsent(c, REGION, limit=100))]


def test_a_head_moves_with_its_statement_and_messages(store: Store) -> None:
    first = says(store, None, own_head(0), 1, 2)
    second = says(store, first, own_head(1), 3)
    assert store.read_now(outbox.own_heads) == {REGION: second}
    assert unsent(store) == [(1, 0), (1, 1)]
    found = store.read_now(lambda c: outbox.outgoing_by_id(c, [n.to_bytes(16, "big") for n in range(5)]))
    assert sorted(found.values(), key=lambda m: m.message_id) == [
        outgoing(1, first),
        outgoing(2, first),
        outgoing(3, second),
    ]
    assert store.read_now(tallies)[Tally.PUBLISHED] == 3


@pytest.mark.parametrize(
    "change",
    [{"seq": 1}, {"epoch": 2}, {"hash": bytes(32)}, {"fresh_epoch": True}],
    ids=lambda change: next(iter(change)),
)
def test_a_writer_whose_head_is_not_the_stores_is_refused_and_nothing_of_it_kept(
    store: Store, change: dict[str, object]
) -> None:
    first = says(store, None, own_head(0), 1)
    with pytest.raises(StatementRefused) as refusal:
        says(store, replace(first, **change), own_head(2, made_by="a twin"), 9)
    assert refusal.value.code == Code.EQUIVOCATION
    assert store.read_now(outbox.own_heads) == {REGION: first}
    assert unsent(store) == [(1, 0)]
    assert store.read_now(lambda c: outbox.outgoing_by_id(c, [(9).to_bytes(16, "big")])) == {}
    assert store.read_now(tallies)[Tally.PUBLISHED] == 1


def test_of_two_first_statements_only_one_is_kept(store: Store) -> None:
    first = says(store, None, own_head(0), 1)
    with pytest.raises(StatementRefused) as refusal:
        says(store, None, own_head(0, epoch=2, made_by="a twin"), 2)
    assert refusal.value.code == Code.EQUIVOCATION
    assert store.read_now(outbox.own_heads) == {REGION: first}


def test_a_twin_over_its_own_connection_is_refused_whoever_comes_second(place: Place) -> None:
    one, twin = Store.create(place), Store.create(place)
    first = says(one, None, own_head(0), 1)
    says(twin, first, own_head(1, made_by="the twin"), 2)
    with pytest.raises(StatementRefused):
        says(one, first, own_head(1, made_by="the first"), 3)
    assert [r.hash for r in one.read_now(lambda c: outbox.unsent(c, REGION, limit=9))] == [
        first.hash,
        own_head(1, made_by="the twin").hash,
    ]
    one.close()
    twin.close()


def test_what_a_refused_stream_took_along_is_not_kept_either(store: Store) -> None:
    """One transaction carries several streams; a twin on one of them spoils it whole."""

    def work(connection: Connection) -> None:
        for audience, before in ((CONDOR, None), (REGION, own_head(7))):
            after = own_head(8, audience=audience)
            outbox.append(connection, before=before, after=after, records=[record(after)], messages=[])

    with pytest.raises(StatementRefused):
        store.write_now(work)
    assert store.read_now(outbox.own_heads) == {}


def test_a_message_id_stands_for_one_message_for_ever(store: Store) -> None:
    first = says(store, None, own_head(0), 1)
    with pytest.raises(IntegrityError):
        says(store, first, own_head(1), 1)
    assert store.read_now(outbox.own_heads) == {REGION: first}


def test_marks_cover_all_up_to_a_place_and_can_be_taken_back(store: Store) -> None:
    head: OwnHead | None = None
    for epoch, seq in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]:
        head = says(store, head, own_head(seq, epoch=epoch), 10 * epoch + seq)
    store.write_now(lambda c: outbox.mark_sent(c, [(REGION, 1, 1)]))
    assert unsent(store) == [(1, 2), (2, 0), (2, 1)]
    assert store.read_now(outbox.unsent_counts) == {REGION: 3}
    store.write_now(lambda c: outbox.mark_unsent(c, audience=REGION, after=(2, 0)))
    assert unsent(store) == [(2, 1)], "the broker holds all up to there"
    store.write_now(lambda c: outbox.mark_unsent(c, audience=REGION, after=(1, 0)))
    assert unsent(store) == [(1, 1), (1, 2), (2, 0), (2, 1)], "the broker is behind"


def test_a_mark_of_a_later_epoch_covers_what_was_sent_before_it(store: Store) -> None:
    """Both may be acknowledged between two marks, of which only the last is noted."""
    head = says(store, None, own_head(5))
    head = says(store, head, own_head(0, epoch=2))
    says(store, head, own_head(1, epoch=2))
    store.write_now(lambda c: outbox.mark_sent(c, [(REGION, 2, 0)]))
    assert unsent(store) == [(2, 1)]


def test_a_backlog_is_read_in_order_and_in_parts(store: Store) -> None:
    head: OwnHead | None = None
    for seq in range(5):
        head = says(store, head, own_head(seq))
    part = store.read_now(lambda c: outbox.unsent(c, REGION, limit=2))
    assert [r.record for r in part] == [b"record of 0", b"record of 1"]


def test_after_a_restore_every_stream_owes_a_new_epoch(store: Store) -> None:
    says(store, None, own_head(3))
    says(store, None, own_head(5, audience=CONDOR))
    assert store.write_now(outbox.require_fresh_epochs) == 2
    heads = store.read_now(outbox.own_heads)
    assert all(head.fresh_epoch for head in heads.values())
    with pytest.raises(StatementRefused):
        says(store, own_head(3), own_head(4))
    says(store, heads[REGION], own_head(0, epoch=2))
    assert not store.read_now(outbox.own_heads)[REGION].fresh_epoch


def test_readers_are_asked_to_confirm_what_is_no_receipt(store: Store) -> None:
    head = says(store, None, own_head(0), 1)
    says(store, head, own_head(1), 2, kind="RECEIPT")
    (asked,) = store.read_now(outbox.asked).values()
    assert (asked.epoch, asked.seq) == (1, 0)
    assert store.read_now(tallies)[Tally.PUBLISHED] == 1
