"""What is kept of a record that was refused, or that contradicts another?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.errors import Code, RecordRefused, StatementRefused
from almenara.store.quarantine import EQUIVOCATION, Evidence, Refusal

if TYPE_CHECKING:
    from almenara.bus.received import Received
    from almenara.errors import Refused
    from almenara.model.ids import Stream
    from almenara.store.inbox import Kept
    from almenara.trust.admit import VerifiedStatement


def refused_record(stream: Stream, received: Received, refusal: Refused, *, at: int) -> Refusal:
    """Return what quarantine keeps of a record; its author is proven if a statement was refused."""
    return Refusal(
        audience=stream.audience,
        publisher=stream.publisher,
        offset=received.offset,
        proven=isinstance(refusal, StatementRefused),
        code=refusal.code,
        detail=refusal.text,
        kept_at=at,
        record=received.value,
    )


def equivocation(verified: VerifiedStatement, expected: bytes, *, at: int) -> Evidence:
    """Return the evidence that an author signed this statement against what it had said before."""
    return Evidence(
        kind=EQUIVOCATION,
        audience=verified.stream.audience,
        publisher=verified.stream.publisher,
        epoch=verified.head.epoch,
        seq=verified.head.seq,
        hash=verified.statement_hash,
        known_hash=expected,
        kept_at=at,
        record=verified.record,
    )


def truncated(stream: Stream, kept: Kept, *, at: int) -> Evidence:
    """Return the evidence that an author's new epoch leaves out a statement that it had signed."""
    return Evidence(
        kind="TRUNCATED",
        audience=stream.audience,
        publisher=stream.publisher,
        epoch=kept.epoch,
        seq=kept.seq,
        hash=kept.hash,
        known_hash=kept.hash,
        kept_at=at,
        record=kept.record,
    )


def too_late(verified: VerifiedStatement) -> RecordRefused | StatementRefused:
    """Return why a statement of an ended epoch or key is refused: no later one goes on from it."""
    place = f"statement {verified.stream} {verified.head.epoch}/{verified.head.seq}"
    if verified.ended:
        # Of an unproven author: whoever stole the key could write as many as he likes.
        return RecordRefused(
            Code.KEY_NOT_VALID,
            f"{place}: its key has ended, and its successor does not go on from it; ask "
            f"{verified.stream.publisher}",
        )
    return StatementRefused(Code.OLD_EPOCH, f"{place}: its epoch has ended")
