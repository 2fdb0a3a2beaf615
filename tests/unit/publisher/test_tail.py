"""Does the broker hold what the store says we said? The store decides, and stops where it cannot know."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from almenara.bus.received import Received
from almenara.errors import Code, Refused
from almenara.model.ids import Stream
from almenara.publisher.tail import held_up_to, judged
from almenara.store.outbox import OutboxRecord, OwnHead
from almenara.trust.admit import VerifiedStatement, admit
from unit.trust.federation import NOW, PE, REGION, directory
from unit.trust.statements import statement

SIGNED = statement()


def on_the_broker() -> VerifiedStatement:
    found = admit(SIGNED.record, stream=Stream(REGION, PE), directory=directory(), now=NOW)
    assert isinstance(found, VerifiedStatement)
    return found


LAST = on_the_broker()
EPOCH, SEQ = LAST.head.epoch, LAST.head.seq
OURS = OutboxRecord(audience=REGION, epoch=EPOCH, seq=SEQ, hash=LAST.statement_hash, record=SIGNED.record)
HEAD = OwnHead(
    audience=REGION,
    epoch=EPOCH,
    seq=SEQ + 3,
    hash=bytes(32),
    key_id=LAST.key_id,
    issued_at=0,
    directory_version=1,
    fresh_epoch=False,
)


def test_a_broker_that_is_behind_is_sent_the_rest() -> None:
    assert held_up_to(LAST, ours=OURS, head=HEAD, opened=None) == (EPOCH, SEQ)
    assert held_up_to(LAST, ours=OURS, head=replace(HEAD, fresh_epoch=True), opened=None) == (EPOCH, SEQ)


@pytest.mark.parametrize("ours", [None, replace(OURS, hash=bytes(32))], ids=["ahead", "different"])
def test_a_broker_that_holds_what_the_store_never_made_stops_the_stream(ours: OutboxRecord | None) -> None:
    with pytest.raises(Refused, match="almenara epoch open") as refusal:
        held_up_to(LAST, ours=ours, head=HEAD, opened=None)
    assert refusal.value.code == Code.BROKER_AHEAD


def test_a_store_that_owes_a_new_epoch_goes_on_from_its_head() -> None:
    head = replace(HEAD, fresh_epoch=True)
    assert held_up_to(LAST, ours=None, head=head, opened=None) == (EPOCH, SEQ + 3)


def test_an_epoch_opened_and_not_sent_before_a_crash_is_sent_now() -> None:
    head = replace(HEAD, epoch=EPOCH + 9, seq=2)
    assert held_up_to(LAST, ours=None, head=head, opened=None) == (EPOCH + 9, -1)


def test_an_epoch_that_stands_by_nothing_does_not_give_up_what_the_broker_holds() -> None:
    """Said by an empty store while the broker was away: sent, it would take all before it back."""
    head = replace(HEAD, epoch=EPOCH + 9, seq=2)
    opened = replace(OURS, record=statement(seq=0).record)
    with pytest.raises(Refused) as refusal:
        held_up_to(LAST, ours=None, head=head, opened=opened)
    assert refusal.value.code == Code.BROKER_AHEAD
    later = replace(OURS, record=statement(seq=0, prev=bytes([7]) * 32).record)
    assert held_up_to(LAST, ours=None, head=head, opened=later) == (EPOCH + 9, -1)


def test_what_was_said_last_is_looked_at_without_its_bytes() -> None:
    """A window of statements of 512 KiB would else be 32 MiB and more, each time a node starts."""
    record = Received("ams.region.pe", 7, SIGNED.record, 0, None)
    word = judged(record, stream=Stream(REGION, PE), directory=directory(), now=NOW)
    assert isinstance(word, VerifiedStatement)
    assert word == replace(LAST, record=b"", content=b"")
    assert held_up_to(word, ours=OURS, head=HEAD, opened=None) == (EPOCH, SEQ)
    strange = record._replace(value=b"not ours")
    assert judged(strange, stream=Stream(REGION, PE), directory=directory(), now=NOW) is None
