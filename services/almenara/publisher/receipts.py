"""What does this member confirm to an audience? Its RECEIVED vector, from what its store holds."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from almenara.model.bodies import Excepted, Receipt, Received
from almenara.model.codes import Tlp
from almenara.model.messages import Handling, Message
from almenara.model.uuid7 import uuid7
from almenara.model.values import Digest
from almenara.store import inbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.model.ids import AudienceId
    from almenara.store.inbox import ChainRow
    from almenara.wire.chain import OpenGap

EXCEPTED_MAX = 1000
"""Entries a stream; beyond it the oldest unopened statements are left out of the vector."""

VALIDITY = timedelta(days=1)


def vector(connection: Connection, audience: AudienceId) -> tuple[Received, ...]:
    """Return how far each stream of the audience was received, and what of it was not opened.

    A statement passed over by a gap, refused, or older than where this reader began is excepted:
    the author must never count it as received (THREATS 30).
    """
    gaps = inbox.gaps(connection)
    return tuple(
        Received(
            publisher=row.publisher,
            epoch=row.epoch,
            seq=row.seq,
            hash=Digest(row.hash),
            excepted=_excepted(
                row,
                gaps.get(row.stream, ()),
                inbox.unopened(connection, row.stream, row.epoch, limit=EXCEPTED_MAX),
            ),
        )
        for row in inbox.chains(connection).values()
        if row.audience == audience and row.seq >= 0
    )


def _excepted(
    row: ChainRow, gaps: Sequence[OpenGap], unopened: Sequence[tuple[int, str]]
) -> tuple[Excepted, ...]:
    found = [Excepted(first_seq=seq, last_seq=seq, code=code) for seq, code in unopened]
    for gap in gaps:
        missing = gap.missing(row.epoch)
        if missing is not None:
            found.append(Excepted(first_seq=missing[0], last_seq=missing[1], code="GAP"))
    if row.anchor_epoch == row.epoch and row.anchor_seq > 0:
        found.append(Excepted(first_seq=0, last_seq=row.anchor_seq - 1, code="BEFORE_ANCHOR"))
    return tuple(sorted(found, key=lambda excepted: excepted.first_seq))


def receipt_message(received: tuple[Received, ...], *, now: datetime) -> Message:
    """Return the receipt that carries the vector to its audience."""
    return Message(
        message_id=uuid7(now),
        issued_at=now,
        expires_at=now + VALIDITY,
        handling=Handling(tlp=Tlp.GREEN),
        body=Receipt(received=received),
    )
