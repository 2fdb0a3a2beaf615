"""What has outlived its retention goes, oldest first and in slices, and nothing that is needed for ever."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from almenara.clock import to_micros
from almenara.model.ids import AudienceId
from almenara.store import compaction, inbox, outbox, owed, quarantine, retention, tables, witness
from almenara.store.database import Store
from almenara.store.inbox import ChainRow, SenderKeyRow
from almenara.store.owed import OwedKey
from almenara.store.witness import DecisionRow
from unit.store.plans import plans_of
from unit.store.rows import (
    AR,
    CL,
    PE,
    REGION,
    STREAM,
    a_hash,
    message_row,
    outgoing,
    own_head,
    refusal,
    says,
    statement_row,
)
from unit.store.spoken import HOUR, spoken
from unit.trust.federation import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Table

OTHER = AudienceId("op-condor")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.create(tmp_path / "almenara.db")
    yield store
    store.close()


def count(store: Store, table: Table) -> int:
    return store.read_now(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


def slices(store: Store, work: Callable[..., int], *, limit: int) -> list[int]:
    """Return how much each slice took, until one takes nothing."""
    taken = [-1]
    while taken[-1]:
        taken.append(store.write_now(partial(work, limit=limit)))
    return taken[1:]


def test_the_oldest_messages_of_one_audience_go_in_slices(store: Store) -> None:
    ours = [message_row(number, received_at=number) for number in range(7)]
    others = [message_row(number, received_at=number, audience=OTHER) for number in range(10, 13)]
    store.write_now(lambda c: inbox.insert_messages(c, [*ours, *others]))
    work = partial(retention.drop_messages, audience=REGION, before=5)
    assert slices(store, work, limit=2) == [2, 2, 1, 0]
    left = store.read_now(lambda c: c.execute(select(tables.message.c.received_at)).scalars().all())
    assert sorted(left) == [5, 6, 10, 11, 12]


def test_a_position_is_not_given_again_after_all_messages_have_gone(store: Store) -> None:
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(1), message_row(2)]))
    store.write_now(lambda c: retention.drop_messages(c, REGION, before=2001, limit=9))
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(3)]))
    assert store.read_now(lambda c: c.execute(select(tables.message.c.position)).scalar_one()) == 3


def test_sender_keys_go_by_when_they_came_and_the_key_of_another_audience_stays(store: Store) -> None:
    rows = [
        SenderKeyRow(audience=audience, publisher=PE, epoch=1, key_id=a_hash(at), key=bytes(32), kept_at=at)
        for audience, at in ((REGION, 1), (REGION, 2), (REGION, 3), (OTHER, 1))
    ]
    store.write_now(lambda c: inbox.insert_sender_keys(c, rows))
    debts = [
        OwedKey(member=CL, audience=row.audience, epoch=1, key_id=row.key_id, entitled=True) for row in rows
    ]
    store.write_now(lambda c: owed.note(c, debts))
    work = partial(retention.drop_sender_keys, audience=REGION, before=3)
    assert slices(store, work, limit=1) == [1, 1, 0]
    columns = (tables.sender_key.c.audience, tables.sender_key.c.kept_at)
    left = store.read_now(lambda c: c.execute(select(*columns)).all())
    assert sorted(map(tuple, left)) == [(OTHER, 1), (REGION, 3)]
    left = store.read_now(lambda c: c.execute(select(tables.owed.c.audience, tables.owed.c.key_id)).all())
    assert sorted(map(tuple, left)) == [(OTHER, a_hash(1)), (REGION, a_hash(3))]


def own_places(store: Store) -> list[int]:
    """Return the seqs of the signed bytes that are still kept, by place."""
    return list(
        store.read_now(lambda c: c.execute(select(tables.outbox.c.seq).order_by("epoch", "seq")).scalars())
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 64])
def test_signed_bytes_go_by_the_time_at_which_they_were_signed(store: Store, limit: int) -> None:
    spoken(store, statements=8, sent=8)
    work = partial(retention.drop_own_statements, audience=REGION, before=to_micros(NOW + 5 * HOUR))
    assert sum(slices(store, work, limit=limit)) == 4
    assert own_places(store) == [0, 5, 6, 7], "the epoch's opener stays"


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        pytest.param(6, [0, 5], id="all sent: the last stays"),
        pytest.param(4, [0, 3, 4, 5], id="two not sent: they stay, and the last that was"),
        pytest.param(0, [0, 1, 2, 3, 4, 5], id="none sent"),
    ],
)
def test_what_a_restart_compares_with_the_broker_stays_however_old(
    store: Store, sent: int, left: list[int]
) -> None:
    spoken(store, statements=6, sent=sent)
    work = partial(retention.drop_own_statements, audience=REGION, before=to_micros(NOW + 99 * HOUR))
    slices(store, work, limit=64)
    assert own_places(store) == left


def test_only_the_opener_of_the_present_epoch_stays(store: Store) -> None:
    spoken(store, statements=6, sent=6, opens=3)
    assert own_places(store) == [0, 1, 2, 0, 1, 2]
    work = partial(retention.drop_own_statements, audience=REGION, before=to_micros(NOW + 99 * HOUR))
    slices(store, work, limit=64)
    assert own_places(store) == [0, 2]


def test_signed_bytes_of_an_audience_without_any_are_no_fault(store: Store) -> None:
    assert store.write_now(lambda c: retention.drop_own_statements(c, OTHER, before=1, limit=9)) == 0


def test_the_id_of_an_own_message_goes_with_what_its_readers_did(store: Store) -> None:
    head = says(store, None, own_head(0), 1, 2)
    later = replace(outgoing(3, head), accepted_at=5000)
    store.write_now(lambda c: outbox.append(c, before=head, after=own_head(1), records=[], messages=[later]))
    decisions = [
        DecisionRow(
            publisher=publisher,
            message_id=number.to_bytes(16, "big"),
            reader=CL,
            state="ACCEPTED",
            code="",
            at=9,
        )
        for publisher, number in ((PE, 1), (PE, 3), (AR, 1))
    ]
    store.write_now(lambda c: witness.save_decisions(c, decisions))
    work = partial(retention.drop_identities, audience=REGION, member=PE, before=5000)
    assert slices(store, work, limit=1) == [1, 1, 0]
    assert list(
        store.read_now(lambda c: outbox.outgoing_by_id(c, [n.to_bytes(16, "big") for n in (1, 2, 3)]))
    ) == [later.message_id]
    left = store.read_now(lambda c: c.execute(select(tables.decision.c.publisher)).scalars().all())
    assert sorted(left) == [AR, PE]


def test_refusals_go_by_age_proven_or_not(store: Store) -> None:
    rows = [refusal(offset, proven=proven) for offset in range(5) for proven in (False, True)]
    store.write_now(lambda c: quarantine.keep(c, rows))
    store.write_now(lambda c: quarantine.keep(c, [refusal(0, publisher=AR)]))
    work = partial(retention.drop_refusals, stream=STREAM, before=1003)
    assert slices(store, work, limit=2) == [4, 2, 0]
    left = store.read_now(quarantine.refusals)
    assert sorted((row.publisher, row.offset) for row in left) == [(AR, 0), *[(PE, n) for n in (3, 3, 4, 4)]]


def test_of_the_refusals_of_proven_authors_the_newest_thousand_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PROVEN_KEPT", 3)
    store.write_now(lambda c: quarantine.keep(c, [refusal(offset, proven=True) for offset in range(8)]))
    work = partial(retention.drop_refusals, stream=STREAM, before=0)
    assert slices(store, work, limit=2) == [2, 2, 1, 0]
    assert [row.offset for row in store.read_now(quarantine.refusals)] == [7, 6, 5]
    assert store.read_now(quarantine.refusal_counts) == {"STREAM_OWNER": 8}, "what was seen is not forgotten"


def test_the_disk_gets_back_what_was_dropped_but_for_some_spare_pages(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "SPARE_PAGES", 10)
    rows = [message_row(number, body=bytes(4000)) for number in range(300)]
    store.write_now(lambda c: inbox.insert_messages(c, rows))
    store.write_now(lambda c: retention.drop_messages(c, REGION, before=2001, limit=1000))
    before, free = _pages(store), store.read_now(compaction.free_pages)
    assert free > 200
    given = slices(store, compaction.give_back, limit=64)
    assert given[:2] == [64, 64]
    assert sum(given) == free - 10
    assert store.read_now(compaction.free_pages) == 10
    assert _pages(store) <= before - sum(given)


def _pages(store: Store) -> int:
    return store.read_now(lambda c: int(c.exec_driver_sql("PRAGMA page_count").scalar_one()))


def test_every_slice_finds_the_oldest_by_an_index(store: Store) -> None:
    """Else each one would read all of a store of millions."""
    seen = {"before": 5, "limit": 9}
    work: list[Callable[[Connection], object]] = [
        retention.streams,
        lambda c: inbox.save_chains(c, [ChainRow(audience=REGION, publisher=PE, epoch=1, seq=99)]),
        lambda c: inbox.insert_statements(c, [statement_row(0)]),
        lambda c: retention.drop_statements(c, STREAM, before=5000, after=retention.FIRST, limit=9),
        lambda c: retention.drop_messages(c, REGION, **seen),
        lambda c: retention.drop_sender_keys(c, REGION, **seen),
        lambda c: retention.drop_own_statements(c, REGION, **seen),
        lambda c: retention.drop_identities(c, REGION, member=PE, **seen),
        lambda c: retention.drop_refusals(c, STREAM, **seen),
    ]
    says(store, None, own_head(0, issued_at=1), 1)
    plans = plans_of(store, work)
    assert len(plans) > 10
    assert [plan for plan in plans if plan.reads_all or plan.sorts] == []
