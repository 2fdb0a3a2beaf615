"""What do others say about streams: heartbeats, RECEIVED vectors, decisions; and what did we answer?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import BigInteger, Connection, case, cast, exists, func, literal, or_, select, tuple_

from almenara.model.bodies import Excepted
from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.store.tables import chain, claim, decision, outbox, receipt_sent, statement
from almenara.store.upserts import insert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from almenara.store.upserts import Insert


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
    told_epoch: int = 0
    told_seq: int = -1
    """Where on its own stream the witness said it; -1: in a heartbeat."""

    @property
    def stream(self) -> Stream:
        """Return which stream the claim is about."""
        return Stream(self.audience, self.publisher)


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that does not simply repeat what is held: `known` is the hash held at its place, if any.

    `unmet_since` is when the oldest word of the witness came that the chain does not reach yet, 0 if
    it reaches them all.
    """

    claim: Claim
    known: bytes | None
    unmet_since: int


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
_UNMET = ("unmet_epoch", "unmet_seq", "unmet_since")
_CHAIN = (chain.c.audience == claim.c.audience) & (chain.c.publisher == claim.c.publisher)
# The oldest word stays until the chain has reached it: a newer one must not start its time anew.
_MET = exists().where(
    _CHAIN, tuple_(chain.c.epoch, chain.c.seq) >= tuple_(claim.c.unmet_epoch, claim.c.unmet_seq)
)
_COLUMNS = [c for c in claim.columns if c.name not in _UNMET]


def save_claims(connection: Connection, rows: Sequence[Claim], *, now: int) -> None:
    """Keep the latest word of each witness on each stream; the chains must be saved before."""
    if rows:
        connection.execute(
            _upsert_claim(connection),
            [
                msgspec.structs.asdict(row)
                | {
                    "excepted": _ENCODE.encode(row.excepted),
                    "unmet_epoch": row.epoch,
                    "unmet_seq": row.seq,
                    "unmet_since": now,
                }
                for row in rows
            ],
        )


def _upsert_claim(connection: Connection) -> Insert:
    query = insert(connection, claim)
    said = query.excluded
    return query.on_conflict_do_update(
        index_elements=["audience", "publisher", "witness"],
        set_={
            c.name: case((_MET, said[c.name]), else_=c) if c.name in _UNMET else said[c.name]
            for c in claim.columns
            if not c.primary_key
        },
        # A receipt that fills a gap late must not take back what a newer one has said.
        where=tuple_(said.told_epoch, said.told_seq) >= tuple_(claim.c.told_epoch, claim.c.told_seq),
    )


def claims(connection: Connection, *, publisher: MemberId | None = None) -> list[Claim]:
    """Return the latest claims, about one publisher's streams or all."""
    query = select(*_COLUMNS)
    if publisher is not None:
        query = query.where(claim.c.publisher == publisher)
    return [_claim(row._asdict()) for row in connection.execute(query)]


def differing_words(connection: Connection, member: MemberId) -> list[Word]:
    """Return the claims about the streams of others than `member` that differ from what is held here.

    Almost every claim names the hash that is held at its place, and those are left out in the store.
    """
    held = (
        (statement.c.audience == claim.c.audience)
        & (statement.c.publisher == claim.c.publisher)
        & (statement.c.epoch == claim.c.epoch)
        & (statement.c.seq == claim.c.seq)
    )
    rows = connection.execute(
        select(
            *_COLUMNS,
            statement.c.hash.label("known"),
            case((_MET, 0), else_=claim.c.unmet_since).label("unmet_since"),
        )
        .select_from(claim.outerjoin(statement, held))
        .where(
            claim.c.publisher != member,
            claim.c.seq >= 0,
            or_(statement.c.hash.is_(None), statement.c.hash != claim.c.hash),
        )
    )
    return [_word(row._asdict()) for row in rows]


def words_on_own(
    connection: Connection, member: MemberId, *, audience: AudienceId | None = None
) -> list[Word]:
    """Return what readers say of the streams of `member`, whose own statements tell what is known."""
    said = (
        (outbox.c.audience == claim.c.audience)
        & (outbox.c.epoch == claim.c.epoch)
        & (outbox.c.seq == claim.c.seq)
    )
    query = (
        select(*_COLUMNS, outbox.c.hash.label("known"), literal(0).label("unmet_since"))
        .select_from(claim.outerjoin(outbox, said))
        .where(claim.c.publisher == member, claim.c.seq >= 0)
    )
    if audience is not None:
        query = query.where(claim.c.audience == audience)
    return [_word(row._asdict()) for row in connection.execute(query)]


def _word(fields: dict[str, Any]) -> Word:
    known, since = fields.pop("known"), fields.pop("unmet_since")
    return Word(claim=_claim(fields), known=known, unmet_since=since)


def _claim(fields: dict[str, Any]) -> Claim:
    return Claim(**fields | {"excepted": _DECODE.decode(fields["excepted"])})


def save_decisions(connection: Connection, rows: Sequence[DecisionRow]) -> None:
    """Keep what readers did with our messages; the first word on each state stands."""
    if rows:
        query = insert(connection, decision).on_conflict_do_nothing()
        connection.execute(query, [msgspec.structs.asdict(row) for row in rows])


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
    mark = cast(func.sum(chain.c.eliciting), BigInteger).label("mark")
    wanted = connection.execute(select(chain.c.audience, mark).group_by(chain.c.audience))
    answered = {r.audience: r.eliciting for r in connection.execute(select(receipt_sent))}
    return {AudienceId(r.audience): r.mark for r in wanted if r.mark > answered.get(r.audience, 0)}


def note_receipt(connection: Connection, audience: AudienceId, *, mark: int, at: int) -> None:
    """Note that a RECEIVED vector up to `mark` was accepted for sending."""
    query = insert(connection, receipt_sent).values(audience=audience, eliciting=mark, at=at)
    connection.execute(
        query.on_conflict_do_update(index_elements=["audience"], set_={"eliciting": mark, "at": at})
    )
