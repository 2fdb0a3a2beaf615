"""Does a receipt say what the store holds, and except all that it does not?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from almenara.model.bodies import Receipt
from almenara.model.ids import AudienceId, MemberId
from almenara.model.rules import check
from almenara.publisher.receipts import EXCEPTED_MAX, receipt_message, vector
from almenara.store import inbox, witness
from almenara.store.inbox import ChainRow
from almenara.wire.chain import OpenGap
from almenara.wire.messages import MESSAGE_MAX, decode_message, encode_message
from unit.store.rows import AR, CL, PE, REGION, STREAM, a_hash, statement_row
from unit.trust.federation import NOW

if TYPE_CHECKING:
    from almenara.store.database import Store

CONDOR = AudienceId("op-condor")


def chain_row(seq: int = 9, **changes: object) -> ChainRow:
    fields = {"audience": REGION, "publisher": PE, "epoch": 2, "seq": seq, "hash": a_hash(seq)}
    return ChainRow(**{**fields, **changes})  # type: ignore[arg-type]


def excepted(store: Store) -> list[tuple[int, int, str]]:
    (received,) = store.read_now(lambda c: vector(c, REGION))
    return [(each.first_seq, each.last_seq, each.code) for each in received.excepted]


def test_it_names_the_head_of_every_stream_of_the_audience_heard_so_far(store: Store) -> None:
    rows = [
        chain_row(),
        chain_row(4, publisher=AR),
        chain_row(-1, publisher=CL),
        chain_row(7, audience=CONDOR),
    ]
    store.write_now(lambda c: inbox.save_chains(c, rows))
    found = store.read_now(lambda c: vector(c, REGION))
    assert {(r.publisher, r.epoch, r.seq, bytes(r.hash)) for r in found} == {
        (PE, 2, 9, a_hash(9)),
        (AR, 2, 4, a_hash(4)),
    }


def test_it_excepts_what_was_not_opened_a_gap_and_what_lay_before_the_anchor(store: Store) -> None:
    gap = OpenGap(low_epoch=2, low_seq=5, low_hash=b"", high_epoch=2, high_seq=8, high_prev=b"")

    codes = {2: "", 3: "KEY_MISSING", 4: "NOT_FOR_ME", 5: "", 8: "CHECK_DIGIT", 9: ""}
    rows = [statement_row(seq, epoch=2, code=code) for seq, code in codes.items()]
    rows.append(statement_row(1, epoch=1, code="KEY_MISSING"))
    store.write_now(lambda c: inbox.save_chains(c, [chain_row(anchor_epoch=2, anchor_seq=2)]))
    store.write_now(lambda c: inbox.save_gaps(c, STREAM, [gap]))
    store.write_now(lambda c: inbox.insert_statements(c, rows))
    assert excepted(store) == [
        (0, 1, "BEFORE_ANCHOR"),
        (3, 3, "KEY_MISSING"),
        (6, 7, "GAP"),
        (8, 8, "CHECK_DIGIT"),
    ]


def test_a_gap_below_the_epoch_excepts_its_beginning(store: Store) -> None:
    gap = OpenGap(low_epoch=1, low_seq=5, low_hash=b"", high_epoch=2, high_seq=3, high_prev=b"")
    store.write_now(lambda c: inbox.save_chains(c, [chain_row()]))
    store.write_now(lambda c: inbox.save_gaps(c, STREAM, [gap]))
    assert excepted(store) == [(0, 2, "GAP")]


def test_a_receipt_keeps_every_rule_and_survives_the_wire(store: Store) -> None:
    store.write_now(lambda c: inbox.save_chains(c, [chain_row()]))
    found = store.read_now(lambda c: vector(c, REGION))
    receipt = receipt_message(found, now=NOW)
    check(receipt, now=NOW, audience=REGION)
    again = decode_message(encode_message(receipt), ())
    assert isinstance(again.body, Receipt)
    assert again.body.received == found


CODES = ("KEY_MISSING", "CHECK_DIGIT")


@pytest.mark.parametrize(
    ("count", "codes", "ranges"),
    [(3, ("KEY_MISSING",), 1), (90, CODES, 90), (3000, ("KEY_MISSING",), 2), (3000, CODES, EXCEPTED_MAX + 1)],
    ids=["few alike", "few that differ", "many alike", "many that differ"],
)
@pytest.mark.parametrize("anchor", [0, 10])
def test_a_reader_that_opened_nothing_never_seems_to_have_received(
    store: Store, count: int, codes: tuple[str, ...], ranges: int, anchor: int
) -> None:
    """What is not excepted counts as received, whatever a receipt has room for."""
    places = range(anchor, anchor + count)
    rows = [statement_row(seq, epoch=2, code=codes[seq % len(codes)]) for seq in places]
    head = chain_row(places[-1], anchor_epoch=2, anchor_seq=anchor)
    store.write_now(lambda c: inbox.insert_statements(c, rows))
    store.write_now(lambda c: inbox.save_chains(c, [head]))
    covered = {seq for first, last, _ in excepted(store) for seq in range(first, last + 1)}
    assert covered == set(range(anchor + count))
    assert len(excepted(store)) <= ranges + (anchor > 0)


def test_many_unopened_statements_do_not_spoil_what_came_after(store: Store) -> None:
    rows = [statement_row(seq, epoch=2, code=CODES[seq % 2] if seq < 2000 else "") for seq in range(2100)]
    store.write_now(lambda c: inbox.insert_statements(c, rows))
    store.write_now(lambda c: inbox.save_chains(c, [chain_row(2099)]))
    assert excepted(store)[-1][:2] == (1999, 1999)
    assert len(excepted(store)) == EXCEPTED_MAX + 1


def test_a_receipt_of_many_streams_fits_a_message_whatever_was_not_opened(store: Store) -> None:
    publishers = [MemberId(f"X-RILO{number:03}") for number in range(200)]
    rows = [
        replace(statement_row(seq, epoch=2, code=CODES[seq % 2]), publisher=publisher)
        for publisher in publishers
        for seq in range(40)
    ]
    heads = [chain_row(39, publisher=publisher) for publisher in publishers]
    store.write_now(lambda c: inbox.insert_statements(c, rows))
    store.write_now(lambda c: inbox.save_chains(c, heads))
    found = store.read_now(lambda c: vector(c, REGION))
    assert len(encode_message(receipt_message(found, now=NOW))) <= MESSAGE_MAX
    first = {(each.excepted[0].first_seq, each.excepted[0].last_seq) for each in found}
    assert first == {(0, 34)}, "what there is no room for is excepted too"


def test_a_receipt_is_due_until_it_was_accepted_and_again_when_more_came(store: Store) -> None:
    def due() -> dict[AudienceId, int]:
        return store.read_now(witness.receipts_due)

    store.write_now(lambda c: inbox.save_chains(c, [chain_row(eliciting=0)]))
    assert due() == {}, "what asks for nothing is not answered"
    store.write_now(
        lambda c: inbox.save_chains(c, [chain_row(eliciting=2), chain_row(publisher=AR, eliciting=1)])
    )
    assert due() == {REGION: 3}
    store.write_now(lambda c: witness.note_receipt(c, REGION, mark=3, at=1))
    assert due() == {}
    store.write_now(lambda c: inbox.save_chains(c, [chain_row(eliciting=3)]))
    assert due() == {REGION: 4}
