"""Who has confirmed a message of ours? Read from the receipts that others published."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from almenara.clock import from_micros
from almenara.node.answers import Confirmation, Confirmations, Confirmed, Decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from almenara.model.ids import MemberId
    from almenara.store.outbox import Outgoing
    from almenara.store.witness import DecisionRow, Word


def confirmations(
    message: Outgoing,
    *,
    words: Iterable[Word],
    decisions: Iterable[DecisionRow],
    keyless: AbstractSet[MemberId],
) -> Confirmations:
    """Return every expected member's standing.

    `words` are the latest receipts about our stream of the message's audience. One that names another
    statement than ours at its place confirms nothing: it is about some other chain.
    """
    latest = {word.claim.witness: word for word in words}
    return Confirmations(
        message_id=UUID(bytes=message.message_id),
        audience=message.audience,
        epoch=message.epoch,
        seq=message.seq,
        accepted_at=from_micros(message.accepted_at),
        members=tuple(_confirmation(message, member, latest, keyless) for member in message.expected),
        decisions=tuple(
            Decision(member=row.reader, state=row.state, code=row.code, at=from_micros(row.at))
            for row in decisions
        ),
    )


def _confirmation(
    message: Outgoing, member: MemberId, latest: Mapping[MemberId, Word], keyless: AbstractSet[MemberId]
) -> Confirmation:
    word = latest.get(member)
    if word is None or not covers(word, epoch=message.epoch, seq=message.seq):
        state = Confirmed.KEYLESS if member in keyless else Confirmed.WAITING
        return Confirmation(member=member, state=state)
    claim = word.claim
    at = from_micros(claim.claimed_at)
    if claim.epoch == message.epoch:
        for excepted in claim.excepted:
            if excepted.first_seq <= message.seq <= excepted.last_seq:
                return Confirmation(member=member, state=Confirmed.EXCEPTED, code=excepted.code, at=at)
    return Confirmation(member=member, state=Confirmed.RECEIVED, at=at)


def covers(word: Word, *, epoch: int, seq: int) -> bool:
    """Tell whether a receipt reaches the place, on our own chain as far as we know it."""
    claim = word.claim
    ours = word.known is None or word.known == claim.hash
    return ours and (claim.epoch, claim.seq) >= (epoch, seq)
