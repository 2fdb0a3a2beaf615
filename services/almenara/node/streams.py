"""How does each stream stand? Derived from what the store holds, the claims of others, and the time.

The most urgent word wins: what stops a stream, what proves a wrong, what is missing, what is late.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from almenara.clock import from_micros, to_micros
from almenara.errors import Code
from almenara.model.ids import MemberId
from almenara.node.answers import StreamState, StreamView
from almenara.node.backlog import described
from almenara.node.confirmations import covers
from almenara.store.inbox import ChainRow
from almenara.store.outbox import Asked, OwnHead
from almenara.store.quarantine import EvidenceCount
from almenara.store.unread import Unread
from almenara.store.witness import Word
from almenara.wire.chain import ChainState, Claim, OpenGap, compare_claim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from almenara.errors import AlmenaraError
    from almenara.model.ids import Stream
    from almenara.node.backlog import Backlog

ALARMS = frozenset(
    {
        StreamState.REFUSED,
        StreamState.STOPPED,
        StreamState.EQUIVOCATION,
        StreamState.GAP,
        StreamState.WITHHELD,
        StreamState.TRUNCATED,
        StreamState.OUTDATED,
        StreamState.STALE,
        StreamState.FULL,
        StreamState.UNCONFIRMED,
    }
)
"""States that a person must look at; the others are the daily life of a network."""

TRUNCATED_SHOWN = timedelta(days=1)
"""How long a stream shows that an epoch left something out; the evidence stays for ever."""

CATCHING_UP_FROM = 200
"""Records to come that are shown as a state of their own: more than one transaction takes."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What the store holds of a stream that another member writes; `ended` is why no more may come."""

    row: ChainRow | None = None
    gaps: tuple[OpenGap, ...] = ()
    access: str = ""
    words: tuple[Word, ...] = ()
    evidence: EvidenceCount = EvidenceCount()
    outdated: bool = False
    ended: str = ""
    unread: Unread = Unread()


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """What the store holds of a stream of ours; `words` are its readers' receipts, `ended` as above.

    `unsent_since` is when the oldest unsent statement was signed, in microseconds, 0 without one.
    """

    head: OwnHead | None = None
    asked: Asked | None = None
    unsent: int = 0
    unsent_since: int = 0
    words: tuple[Word, ...] = ()
    ended: str = ""


def heard_view(
    stream: Stream,
    heard: Heard,
    *,
    now: datetime,
    withheld_after: timedelta,
    backlog: Backlog | None = None,
    ready_s: float | None = None,
) -> StreamView:
    """Return how another member's stream stands.

    `backlog` is what is being read of it (backlog.py), `ready_s` when that of all streams will be.
    """
    row = heard.row or ChainRow(audience=stream.audience, publisher=stream.publisher)
    claims = [(word, _compared(heard, word)) for word in heard.words]
    state, detail = _heard_state(heard, row, claims, now=now, withheld_after=withheld_after)
    to_come = heard.unread.records if backlog is not None and backlog.is_met else 0
    late = to_come > 0 and state in {StreamState.WITHHELD, StreamState.STALE}
    many = to_come >= CATCHING_UP_FROM and state in {StreamState.OK, StreamState.EMPTY}
    if late or many:
        state, detail = StreamState.CATCHING_UP, described(to_come, ready_s)
    known = [w.claim.seq for w, compared in claims if compared is Claim.BEHIND and w.claim.epoch == row.epoch]
    last = max(row.heard_at, row.accepted_at)
    return StreamView(
        audience=stream.audience,
        publisher=stream.publisher,
        own=False,
        state=state,
        detail=detail,
        epoch=row.epoch,
        seq=row.seq,
        age_s=(to_micros(now) - last) / 1e6 if last else None,
        lag=max(0, max(known, default=row.seq) - row.seq),
        to_come=to_come,
        ready_s=ready_s if to_come else None,
        gaps=len(heard.gaps),
        evidence=heard.evidence.total,
        anchored=row.anchor_seq if row.anchor_seq > 0 else None,
        checkpoint_epoch=row.checkpoint_epoch,
        checkpoint_seq=row.checkpoint_seq,
    )


def forked(heard: Heard) -> list[Word]:
    """Return the receipts that name another statement at a place that is held: evidence to keep."""
    return [word for word in heard.words if _compared(heard, word) is Claim.FORKED]


def _heard_state(
    heard: Heard,
    row: ChainRow,
    claims: Sequence[tuple[Word, Claim]],
    *,
    now: datetime,
    withheld_after: timedelta,
) -> tuple[StreamState, str]:
    micros = to_micros(now)
    if heard.access == StreamState.REFUSED and not heard.ended:
        return StreamState.REFUSED, "the broker refuses to show it; ask the coordinator"
    if heard.access == StreamState.MISSING and not heard.ended:
        return StreamState.MISSING, "no such topic yet; the coordinator must synchronize"
    liars = [word.claim.witness for word, compared in claims if compared is Claim.FORKED]
    if heard.evidence.forks or liars:
        witness = f"{liars[0]} holds another statement; " if liars else ""
        return StreamState.EQUIVOCATION, f"{witness}two statements stand for one place; see: evidence"
    if heard.ended:
        return StreamState.ENDED, heard.ended
    if row.wait_code == Code.KEY_NOT_VALID:
        return StreamState.HELD, "statements of a signing key that has ended wait for its successor's word"
    if row.wait_code and row.wait_code != StreamState.GAP:
        return StreamState.HELD, f"waits for a newer directory ({row.wait_code})"
    if heard.gaps or row.wait_code:
        return StreamState.GAP, "statements are missing below the head" if heard.gaps else "reads again"
    overdue = [
        word.claim
        for word, compared in claims
        if compared is Claim.BEHIND and _overdue(word, micros, withheld_after)
    ]
    if overdue:
        first = min(overdue, key=lambda claim: claim.witness)
        text = f"{first.witness} knows statement {first.epoch}/{first.seq}, the broker has not shown it"
        return StreamState.WITHHELD, text
    shown = micros - TRUNCATED_SHOWN // timedelta(microseconds=1)
    if heard.evidence.truncated and heard.evidence.latest_truncated > shown:
        text = f"{heard.evidence.truncated} statements were left out by its new epoch; see: evidence"
        return StreamState.TRUNCATED, text
    if heard.outdated:
        return StreamState.OUTDATED, "it still seals to a member that was removed; ask its publisher"
    if row.next_by and micros > row.next_by:
        return StreamState.STALE, f"its heartbeat is {(micros - row.next_by) / 1e6:.0f} s overdue"
    return (StreamState.EMPTY, "") if row.seq < 0 else (StreamState.OK, "")


def _overdue(word: Word, micros: int, withheld_after: timedelta) -> bool:
    # Of a word that came by a clock since set back nobody knows how old it is: it counts as old.
    late = timedelta(microseconds=abs(micros - word.unmet_since))
    return bool(word.unmet_since) and late > withheld_after


def _compared(heard: Heard, word: Word) -> Claim:
    row, claim = heard.row, word.claim
    chain = (
        None
        if row is None or row.seq < 0
        else ChainState(epoch=row.epoch, seq=row.seq, hash=row.hash, gaps=heard.gaps)
    )
    return compare_claim(chain, epoch=claim.epoch, seq=claim.seq, claimed_hash=claim.hash, known=word.known)


def own_view(
    stream: Stream,
    own: Own,
    *,
    readers: AbstractSet[MemberId],
    keyless: AbstractSet[MemberId],
    fault: AlmenaraError | None,
    now: datetime,
    late: AbstractSet[MemberId] = frozenset(),
    unsent_bytes: int = 0,
) -> StreamView:
    """Return how a stream of ours stands, and who of its readers has confirmed.

    `unsent_bytes` is what waits for the broker, by the publisher's own count. `late` are those who are alive
    and have confirmed nothing new for too long (lateness.py).
    """
    head, asked = own.head, own.asked
    confirmed = behind = frozenset[MemberId]()
    if asked is not None and asked.seq >= 0:
        reached = {word.claim.witness for word in own.words if covers(word, epoch=asked.epoch, seq=asked.seq)}
        confirmed = frozenset(readers & reached)
        behind = frozenset(readers - reached - keyless)
    unconfirmed = tuple(sorted(behind & late))
    state, detail = _own_state(own, fault)
    if unconfirmed and state is StreamState.OK:
        state = StreamState.UNCONFIRMED
        detail = f"{', '.join(unconfirmed)} confirms nothing more and is alive; ask why"
    return StreamView(
        audience=stream.audience,
        publisher=stream.publisher,
        own=True,
        state=state,
        detail=detail,
        epoch=head.epoch if head else 0,
        seq=head.seq if head else -1,
        age_s=(to_micros(now) - head.issued_at) / 1e6 if head else None,
        lag=own.unsent,
        unsent_bytes=unsent_bytes if own.unsent else 0,
        unsent_since=from_micros(own.unsent_since) if own.unsent_since else None,
        checkpoint_epoch=head.checkpoint_epoch if head else 0,
        checkpoint_seq=head.checkpoint_seq if head else -1,
        confirmed=tuple(sorted(confirmed)),
        behind=tuple(sorted(behind)),
        unconfirmed=unconfirmed,
    )


def _own_state(own: Own, fault: AlmenaraError | None) -> tuple[StreamState, str]:
    head = own.head
    if fault is not None and fault.code == Code.BROKER_REFUSES and not own.ended:
        return StreamState.REFUSED, fault.text
    if fault is not None and fault.code == Code.BROKER_AHEAD:
        return StreamState.STOPPED, fault.text
    for word in own.words:
        claim = word.claim
        if word.known is not None and word.known != claim.hash:
            text = f"{claim.witness} holds a statement {claim.epoch}/{claim.seq} that this store never made"
            return StreamState.EQUIVOCATION, text
        if head is None or (not head.fresh_epoch and (claim.epoch, claim.seq) > (head.epoch, head.seq)):
            text = (
                f"{claim.witness} holds statement {claim.epoch}/{claim.seq} of ours, this store ends before"
                " it; if it was restored, open a new epoch"
            )
            return StreamState.EQUIVOCATION, text
    if own.ended:
        return StreamState.ENDED, own.ended
    if fault is not None:
        return StreamState.FULL if fault.code == Code.OUTBOX_FULL else StreamState.UNSENT, fault.text
    return (StreamState.EMPTY, "") if head is None else (StreamState.OK, "")
