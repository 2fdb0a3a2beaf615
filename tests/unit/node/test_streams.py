"""A stream's state is what the store, the claims of others and the time say; the most urgent word wins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from almenara.clock import to_micros
from almenara.errors import AlmenaraError, Code, Refused, Unavailable
from almenara.model.ids import REGION, MemberId, Stream
from almenara.node.answers import StreamState
from almenara.node.streams import Heard, Own, forked, heard_view, own_view
from almenara.store.inbox import ChainRow
from almenara.store.outbox import Asked, OwnHead
from almenara.store.quarantine import EvidenceCount
from almenara.store.witness import Claim, Word
from almenara.wire.chain import OpenGap

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PE, AR, CL, BO = (MemberId(member) for member in ("PE", "AR", "CL", "BO"))
STREAM = Stream(REGION, PE)
WITHHELD_AFTER = timedelta(seconds=30)
OURS, OTHER = b"o" * 32, b"x" * 32


def at(moment: datetime) -> int:
    return to_micros(moment)


ROW = ChainRow(
    audience=REGION,
    publisher=PE,
    epoch=7,
    seq=5,
    hash=OURS,
    accepted_at=at(NOW - 600 * SECOND),
    heard_at=at(NOW - 10 * SECOND),
    next_by=at(NOW + 20 * SECOND),
)
GAP = OpenGap(low_epoch=7, low_seq=1, low_hash=OURS, high_epoch=7, high_seq=4, high_prev=OURS)


def word(
    seq: int,
    *,
    witness: MemberId = AR,
    epoch: int = 7,
    claimed: bytes = OURS,
    known: bytes | None = None,
    unmet_for: timedelta | None = None,
) -> Word:
    claim = Claim(
        audience=REGION,
        publisher=PE,
        witness=witness,
        epoch=epoch,
        seq=seq,
        hash=claimed,
        claimed_at=at(NOW - SECOND),
    )
    return Word(claim=claim, known=known, unmet_since=at(NOW - unmet_for) if unmet_for else 0)


LONG = 31 * SECOND

HEARD: dict[str, tuple[StreamState, dict[str, Any]]] = {
    "fine": (StreamState.OK, {}),
    "nothing heard": (StreamState.EMPTY, {"row": None}),
    "nothing said": (StreamState.EMPTY, {"row": replace(ROW, seq=-1, epoch=0)}),
    "heartbeat overdue": (StreamState.STALE, {"row": replace(ROW, next_by=at(NOW - SECOND))}),
    "nothing said, heartbeat overdue": (
        StreamState.STALE,
        {"row": replace(ROW, seq=-1, next_by=at(NOW - SECOND))},
    ),
    "refused": (StreamState.REFUSED, {"access": "REFUSED", "gaps": (GAP,)}),
    "missing": (StreamState.MISSING, {"access": "MISSING", "row": None}),
    "gap": (StreamState.GAP, {"gaps": (GAP,), "access": "READABLE"}),
    "reading again": (StreamState.GAP, {"row": replace(ROW, wait_code="GAP")}),
    "a key has ended": (StreamState.HELD, {"row": replace(ROW, wait_code="KEY_NOT_VALID")}),
    "held": (StreamState.HELD, {"row": replace(ROW, wait_code="DIRECTORY_BEHIND"), "gaps": (GAP,)}),
    "a reader knows more, for long": (StreamState.WITHHELD, {"words": (word(8, unmet_for=LONG),)}),
    "a reader knows more, since just now": (StreamState.OK, {"words": (word(8, unmet_for=29 * SECOND),)}),
    "a reader knows more, since a time to come": (
        StreamState.WITHHELD,
        {"words": (word(8, unmet_for=-LONG),)},
    ),
    "a reader knew more, and it came": (StreamState.OK, {"words": (word(8),)}),
    "a reader knows of a first statement": (
        StreamState.WITHHELD,
        {"row": replace(ROW, seq=-1, accepted_at=0), "words": (word(0, unmet_for=LONG),)},
    ),
    "a reader knows less": (StreamState.OK, {"words": (word(3, known=OURS),)}),
    "a reader holds another head": (StreamState.EQUIVOCATION, {"words": (word(5, claimed=OTHER),)}),
    "a reader holds another statement": (
        StreamState.EQUIVOCATION,
        {"words": (word(3, claimed=OTHER, known=OURS),)},
    ),
    "evidence of two": (StreamState.EQUIVOCATION, {"evidence": EvidenceCount(forks=1), "gaps": (GAP,)}),
    "truncated today": (
        StreamState.TRUNCATED,
        {"evidence": EvidenceCount(truncated=2, latest_truncated=at(NOW - 3600 * SECOND))},
    ),
    "truncated last week": (
        StreamState.OK,
        {"evidence": EvidenceCount(truncated=2, latest_truncated=at(NOW - timedelta(days=7)))},
    ),
    "withheld and stale": (
        StreamState.WITHHELD,
        {"row": replace(ROW, next_by=at(NOW - SECOND)), "words": (word(8, unmet_for=LONG),)},
    ),
}


@pytest.mark.parametrize(("state", "facts"), HEARD.values(), ids=HEARD.keys())
def test_another_members_stream(state: StreamState, facts: dict[str, Any]) -> None:
    view = heard_view(STREAM, Heard(**{"row": ROW, **facts}), now=NOW, withheld_after=WITHHELD_AFTER)
    assert view.state is state
    assert (view.audience, view.publisher, view.own) == (REGION, PE, False)


def test_a_view_tells_how_far_behind_it_is() -> None:
    heard = Heard(row=replace(ROW, anchor_seq=2), gaps=(GAP,), words=(word(8), word(7, witness=CL)))
    view = heard_view(STREAM, heard, now=NOW, withheld_after=WITHHELD_AFTER)
    assert (view.seq, view.lag, view.gaps, view.anchored, view.age_s) == (5, 3, 1, 2, 10.0)


def test_a_contradicting_receipt_is_evidence_and_an_older_one_is_not() -> None:
    contradicting = word(5, claimed=OTHER)
    heard = Heard(row=ROW, words=(contradicting, word(3, known=OURS, witness=CL), word(9, witness=BO)))
    assert forked(heard) == [contradicting]


HEAD = OwnHead(
    audience=REGION,
    epoch=7,
    seq=5,
    hash=OURS,
    key_id=OURS,
    issued_at=at(NOW - SECOND),
    directory_version=1,
    fresh_epoch=False,
)
AWAY = Unavailable(Code.BROKER_DOWN, "broker: away; wait")
FULL = Unavailable(Code.OUTBOX_FULL, "outbox: 1024.0 MiB wait; wait")

OWN: dict[str, tuple[StreamState, Own, AlmenaraError | None]] = {
    "fine": (StreamState.OK, Own(head=HEAD), None),
    "nothing said": (StreamState.EMPTY, Own(), None),
    "sending": (StreamState.OK, Own(head=HEAD, unsent=3), None),
    "broker away": (StreamState.UNSENT, Own(head=HEAD, unsent=3), AWAY),
    "full": (StreamState.FULL, Own(head=HEAD, unsent=3), FULL),
    "not allowed": (StreamState.REFUSED, Own(head=HEAD), Refused(Code.BROKER_REFUSES, "topic: no")),
    "restored": (StreamState.STOPPED, Own(head=HEAD), Refused(Code.BROKER_AHEAD, "stream: more")),
    "a reader is up to date": (StreamState.OK, Own(head=HEAD, words=(word(5, known=OURS),)), None),
    "a reader has another one of ours": (
        StreamState.EQUIVOCATION,
        Own(head=HEAD, words=(word(5, claimed=OTHER, known=OURS),)),
        None,
    ),
    "a reader has more of ours than we": (StreamState.EQUIVOCATION, Own(head=HEAD, words=(word(6),)), None),
    "a reader has more, and we are about to open an epoch": (
        StreamState.OK,
        Own(head=replace(HEAD, fresh_epoch=True), words=(word(6),)),
        None,
    ),
    "a reader has more of an epoch that we gave up": (
        StreamState.OK,
        Own(head=HEAD, words=(word(9, epoch=6),)),
        None,
    ),
}


@pytest.mark.parametrize(("state", "own", "fault"), OWN.values(), ids=OWN.keys())
def test_our_own_stream(state: StreamState, own: Own, fault: AlmenaraError | None) -> None:
    view = own_view(STREAM, own, readers=frozenset({AR}), keyless=frozenset(), fault=fault, now=NOW)
    assert view.state is state
    assert view.own


def test_who_has_confirmed_all_that_asks_for_it_and_who_is_behind() -> None:
    own = Own(
        head=HEAD,  # its last statement is a receipt, which nobody confirms
        asked=Asked(epoch=7, seq=4),
        words=(word(4, known=OURS), word(3, witness=CL, known=OURS)),
    )
    view = own_view(
        STREAM, own, readers=frozenset({AR, CL, BO}), keyless=frozenset({BO}), fault=None, now=NOW
    )
    assert (view.confirmed, view.behind) == ((AR,), (CL,))


def test_a_receipt_about_another_chain_confirms_nothing() -> None:
    own = Own(head=HEAD, asked=Asked(epoch=7, seq=4), words=(word(4, claimed=OTHER, known=OURS),))
    view = own_view(STREAM, own, readers=frozenset({AR}), keyless=frozenset(), fault=None, now=NOW)
    assert (view.confirmed, view.behind) == ((), (AR,))
