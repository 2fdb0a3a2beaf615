"""What do others say about streams: heartbeats, RECEIVED vectors, decisions; and what did we answer?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.sqlite import insert

from almenara.model.bodies import Excepted
from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.store.tables import chain, claim, decision, receipt_sent

if TYPE_CHECKING:
    from collections.abc import Sequence


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a witness says of a stream: it stands, or was received, up to (epoch, seq) with `hash`."""

    audience: AudienceId
    publisher: MemberId
    witness: MemberId
    epoch: int
    seq: int
    hash: bytes
    excepted: tuple[Excepted, ...] = ()
    claimed_at: int

    @property
    def stream(self) -> Stream:
        """Return which stream the claim is about."""
        return Stream(self.audience, self.publisher)


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader did with one message, and when."""

    publisher: MemberId
    message_id: bytes
    reader: MemberId
    state: str
    code: str
    at: int


_ENCODE = msgspec.json.Encoder()
_DECODE = msgspec.json.Decoder(tuple[Excepted, ...])
_UPSERT_CLAIM = insert(claim)
_UPSERT_CLAIM = _UPSERT_CLAIM.on_conflict_do_update(
    index_elements=["audience", "publisher", "witness"],
    set_={c.name: _UPSERT_CLAIM.excluded[c.name] for c in claim.columns if not c.primary_key},
)
_INSERT_DECISION = insert(decision).on_conflict_do_nothing()


def save_claims(connection: Connection, rows: Sequence[Claim]) -> None:
    """Keep the latest word of each witness on each stream."""
    if rows:
        connection.execute(
            _UPSERT_CLAIM,
            [msgspec.structs.asdict(row) | {"excepted": _ENCODE.encode(row.excepted)} for row in rows],
        )


def claims(connection: Connection, *, publisher: MemberId | None = None) -> list[Claim]:
    """Return the latest claims, about one publisher's streams or all."""
    query = select(claim)
    if publisher is not None:
        query = query.where(claim.c.publisher == publisher)
    return [
        Claim(**row._asdict() | {"excepted": _DECODE.decode(row.excepted)})
        for row in connection.execute(query)
    ]


def save_decisions(connection: Connection, rows: Sequence[DecisionRow]) -> None:
    """Keep what readers did with our messages; the first word on each state stands."""
    if rows:
        connection.execute(_INSERT_DECISION, [msgspec.structs.asdict(row) for row in rows])


def decisions(connection: Connection, publisher: MemberId, message_id: bytes) -> list[DecisionRow]:
    """Return what readers did with one message."""
    rows = connection.execute(
        select(decision)
        .where(decision.c.publisher == publisher, decision.c.message_id == message_id)
        .order_by(decision.c.at)
    )
    return [DecisionRow(**row._asdict()) for row in rows]


def receipts_due(connection: Connection) -> dict[AudienceId, int]:
    """Return the audiences that hold statements not yet answered, with the mark to answer up to."""
    wanted = connection.execute(
        select(chain.c.audience, func.sum(chain.c.eliciting).label("mark")).group_by(chain.c.audience)
    )
    answered = {r.audience: r.eliciting for r in connection.execute(select(receipt_sent))}
    return {AudienceId(r.audience): r.mark for r in wanted if r.mark > answered.get(r.audience, 0)}


def note_receipt(connection: Connection, audience: AudienceId, *, mark: int, at: int) -> None:
    """Note that a RECEIVED vector up to `mark` was accepted for sending."""
    query = insert(receipt_sent).values(audience=audience, eliciting=mark, at=at)
    connection.execute(
        query.on_conflict_do_update(index_elements=["audience"], set_={"eliciting": mark, "at": at})
    )
