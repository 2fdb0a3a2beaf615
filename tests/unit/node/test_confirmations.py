"""An author counts as received only what a reader holds of its own chain and has opened."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from almenara.clock import to_micros
from almenara.model.bodies import Excepted
from almenara.model.ids import REGION, MemberId
from almenara.node.answers import Confirmed
from almenara.node.confirmations import confirmations
from almenara.store.outbox import Outgoing
from almenara.store.witness import Claim, DecisionRow, Word

PE, AR, CL = (MemberId(member) for member in ("PE", "AR", "CL"))
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
OURS, OTHER = b"o" * 32, b"x" * 32
MESSAGE = Outgoing(
    message_id=UUID(int=1).bytes,
    content=b"",
    audience=REGION,
    epoch=7,
    seq=5,
    kind="RISK_ALERT",
    expected=(AR,),
    accepted_at=to_micros(AT),
)


def word(epoch: int, seq: int, *excepted: Excepted, known: bytes | None = OURS) -> Word:
    claim = Claim(
        audience=REGION,
        publisher=PE,
        witness=AR,
        epoch=epoch,
        seq=seq,
        hash=OURS,
        excepted=excepted,
        claimed_at=to_micros(AT),
    )
    return Word(claim=claim, known=known, unmet_since=0)


UNOPENED = Excepted(first_seq=4, last_seq=6, code="KEY_MISSING")
BEFORE = Excepted(first_seq=0, last_seq=4, code="BEFORE_ANCHOR")

CASES: dict[str, tuple[Confirmed, str, list[Word]]] = {
    "nothing from it": (Confirmed.WAITING, "", []),
    "below the message": (Confirmed.WAITING, "", [word(7, 4)]),
    "an earlier epoch": (Confirmed.WAITING, "", [word(6, 99)]),
    "up to the message": (Confirmed.RECEIVED, "", [word(7, 5)]),
    "beyond the message": (Confirmed.RECEIVED, "", [word(7, 9)]),
    "a later epoch": (Confirmed.RECEIVED, "", [word(8, 0)]),
    "not opened": (Confirmed.EXCEPTED, "KEY_MISSING", [word(7, 9, UNOPENED)]),
    "another one not opened": (Confirmed.RECEIVED, "", [word(7, 9, BEFORE)]),
    "not opened in a later epoch": (Confirmed.RECEIVED, "", [word(8, 9, UNOPENED)]),
    "of another chain": (Confirmed.WAITING, "", [word(7, 9, known=OTHER)]),
    "beyond what our store knows": (Confirmed.RECEIVED, "", [word(7, 9, known=None)]),
}


@pytest.mark.parametrize(("state", "code", "words"), CASES.values(), ids=CASES.keys())
def test_a_members_standing(state: Confirmed, code: str, words: list[Word]) -> None:
    found = confirmations(MESSAGE, words=words, decisions=[], keyless=frozenset())
    (member,) = found.members
    assert (member.member, member.state, member.code) == (AR, state, code)
    assert member.at == (AT if state in {Confirmed.RECEIVED, Confirmed.EXCEPTED} else None)
    assert found.complete is (state is Confirmed.RECEIVED)
    assert (found.waiting == (AR,)) is (state is Confirmed.WAITING)


def test_nobody_waits_for_a_member_that_nothing_can_be_sealed_to() -> None:
    found = confirmations(MESSAGE, words=[], decisions=[], keyless=frozenset({AR}))
    assert [each.state for each in found.members] == [Confirmed.KEYLESS]
    assert not found.waiting
    assert found.complete


def test_decisions_stand_beside_the_confirmations() -> None:
    row = DecisionRow(
        publisher=PE,
        message_id=MESSAGE.message_id,
        reader=CL,
        state="REJECTED",
        code="OTHER",
        at=to_micros(AT),
    )
    found = confirmations(MESSAGE, words=[], decisions=[row], keyless=frozenset())
    assert [(d.member, d.state, d.code, d.at) for d in found.decisions] == [(CL, "REJECTED", "OTHER", AT)]
