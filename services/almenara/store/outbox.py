"""What has this member said, and what of it must still reach the broker?

Every function works inside the caller's transaction. `append` is the only way a chain head
moves, and it compares before it swaps: of two processes that think they hold the lease, one fails.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003  msgspec reads the annotations
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, bindparam, func, select, true, tuple_, update

from almenara.errors import Code, StatementRefused
from almenara.model.codes import Kind
from almenara.model.ids import AudienceId, MemberId
from almenara.store import tally
from almenara.store.rows import insert_rows
from almenara.store.tables import NOT_SENT, meta, outbox, outgoing, own_stream
from almenara.store.tally import Tally
from almenara.store.upserts import insert_new

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_STANDS_BY_BROKER = "stands_by_broker"

LOOKUP_CHUNK = 500
"""Ids a query; SQLite allows 32,766 parameters, and a plan for 500 stays in the statement cache."""


class OwnHead(msgspec.Struct, frozen=True, kw_only=True):
    """The last statement committed on one of this member's streams; seq -1 before the first."""

    audience: AudienceId
    epoch: int
    seq: int
    hash: bytes
    key_id: bytes
    issued_at: int
    directory_version: int
    fresh_epoch: bool
    checkpoint_epoch: int = 0
    checkpoint_seq: int = -1
    """The last checkpoint; seq -1 before the first."""
    uncovered_since: int = 0
    """When the oldest statement that no checkpoint covers was sealed, in microseconds; 0 if none."""


class OutboxRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One signed statement as it is sent."""

    audience: AudienceId
    epoch: int
    seq: int
    hash: bytes
    record: bytes


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """Where one message of ours stands, and who is expected to confirm it."""

    message_id: bytes
    content: bytes
    audience: AudienceId
    epoch: int
    seq: int
    kind: str
    expected: tuple[MemberId, ...]
    accepted_at: int
    reference: str = ""


_MARK_SENT = (
    update(outbox)
    .where(
        outbox.c.audience == bindparam("a"),
        tuple_(outbox.c.epoch, outbox.c.seq) <= tuple_(bindparam("e"), bindparam("s")),
        NOT_SENT,
    )
    .values(sent=1)
)


def own_heads(connection: Connection) -> dict[AudienceId, OwnHead]:
    """Return the head of every stream of ours."""
    return {
        AudienceId(row.audience): OwnHead(
            audience=AudienceId(row.audience),
            epoch=row.epoch,
            seq=row.seq,
            hash=row.hash,
            key_id=row.key_id,
            issued_at=row.issued_at,
            directory_version=row.directory_version,
            fresh_epoch=bool(row.fresh_epoch),
            checkpoint_epoch=row.checkpoint_epoch,
            checkpoint_seq=row.checkpoint_seq,
            uncovered_since=row.uncovered_since,
        )
        for row in connection.execute(select(own_stream))
    }


def append(
    connection: Connection,
    *,
    before: OwnHead | None,
    after: OwnHead,
    records: Sequence[OutboxRecord],
    messages: Sequence[Outgoing],
) -> None:
    """Commit new statements and their messages; move the head from `before` to `after`.

    Raises StatementRefused EQUIVOCATION when the head is no longer `before`: another process
    has spoken for this member, and what was signed here must never leave.
    """
    row = msgspec.structs.asdict(after) | {"fresh_epoch": int(after.fresh_epoch)}
    asking = [message for message in messages if message.kind != Kind.RECEIPT]
    if asking:
        row |= {"eliciting_epoch": asking[-1].epoch, "eliciting_seq": asking[-1].seq}
    if before is None:
        moved = int(insert_new(connection, own_stream, row))
    else:
        moved = connection.execute(
            update(own_stream)
            .where(
                own_stream.c.audience == before.audience,
                own_stream.c.epoch == before.epoch,
                own_stream.c.seq == before.seq,
                own_stream.c.hash == before.hash,
                own_stream.c.fresh_epoch == int(before.fresh_epoch),
            )
            .values(row)
        ).rowcount
    if moved != 1:
        raise StatementRefused(
            Code.EQUIVOCATION,
            f"stream {after.audience}: its head moved under us; another node of this member is at work,"
            " end it and start this one again",
        )
    insert_rows(connection, outbox, [(*msgspec.structs.astuple(record), 0) for record in records])
    insert_rows(
        connection,
        outgoing,
        [
            (
                m.message_id,
                m.content,
                m.audience,
                m.epoch,
                m.seq,
                m.kind,
                " ".join(m.expected),
                m.accepted_at,
                m.reference,
            )
            for m in messages
        ],
    )
    tally.add(connection, {Tally.PUBLISHED: len(asking)})


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The last statement of a stream of ours that asks its readers to confirm; seq -1: none yet."""

    epoch: int
    seq: int


def asked(connection: Connection) -> dict[AudienceId, Asked]:
    """Return up to where the readers of each stream of ours are asked to confirm."""
    columns = (own_stream.c.audience, own_stream.c.eliciting_epoch, own_stream.c.eliciting_seq)
    return {
        AudienceId(audience): Asked(epoch=epoch, seq=seq)
        for audience, epoch, seq in connection.execute(select(*columns))
    }


def unsent_counts(connection: Connection) -> dict[AudienceId, int]:
    """Return how many statements of each stream the broker is not known to hold, where there are any."""
    rows = connection.execute(
        select(outbox.c.audience, func.count().label("n")).where(NOT_SENT).group_by(outbox.c.audience)
    )
    return {AudienceId(row.audience): row.n for row in rows}


def unsent_bytes(connection: Connection) -> dict[AudienceId, int]:
    """Return how many bytes of each stream the broker is not known to hold, where there are any.

    It looks at each such statement: to be asked seldom.
    """
    size = func.sum(func.length(outbox.c.record)).label("size")
    rows = connection.execute(select(outbox.c.audience, size).where(NOT_SENT).group_by(outbox.c.audience))
    return {AudienceId(row.audience): row.size for row in rows}


def oldest_unsent(connection: Connection, audience: AudienceId) -> OutboxRecord | None:
    """Return the first statement of a stream that the broker is not known to hold, None if it has all."""
    return next(iter(unsent(connection, audience, limit=1)), None)


def outgoing_by_id(connection: Connection, ids: Sequence[bytes]) -> dict[bytes, Outgoing]:
    """Return those of the messages that were accepted before."""
    found: dict[bytes, Outgoing] = {}
    for start in range(0, len(ids), LOOKUP_CHUNK):
        chunk = ids[start : start + LOOKUP_CHUNK]
        for row in connection.execute(select(outgoing).where(outgoing.c.message_id.in_(chunk))):
            found[row.message_id] = Outgoing(
                message_id=row.message_id,
                content=row.content,
                audience=AudienceId(row.audience),
                epoch=row.epoch,
                seq=row.seq,
                kind=row.kind,
                expected=tuple(MemberId(m) for m in row.expected.split()),
                accepted_at=row.accepted_at,
                reference=row.reference,
            )
    return found


def mark_sent(connection: Connection, heads: Iterable[tuple[AudienceId, int, int]]) -> None:
    """Note that the broker holds each stream up to (audience, epoch, seq), of earlier epochs all."""
    rows = [{"a": audience, "e": epoch, "s": seq} for audience, epoch, seq in heads]
    if rows:
        connection.execute(_MARK_SENT, rows)


def mark_unsent(connection: Connection, *, audience: AudienceId, after: tuple[int, int]) -> None:
    """Send everything after (epoch, seq) again, and nothing before: so far the broker holds it."""
    place = tuple_(outbox.c.epoch, outbox.c.seq)
    own = outbox.c.audience == audience
    connection.execute(update(outbox).where(own, place > tuple_(*after), outbox.c.sent == 1).values(sent=0))
    connection.execute(update(outbox).where(own, place <= tuple_(*after), NOT_SENT).values(sent=1))


def unsent(connection: Connection, audience: AudienceId, *, limit: int) -> list[OutboxRecord]:
    """Return the oldest statements of a stream the broker is not known to hold, in order."""
    rows = connection.execute(
        select(outbox)
        .where(outbox.c.audience == audience, NOT_SENT)
        .order_by(outbox.c.epoch, outbox.c.seq)
        .limit(limit)
    )
    return [
        OutboxRecord(audience=audience, epoch=r.epoch, seq=r.seq, hash=r.hash, record=r.record) for r in rows
    ]


def statement_at(connection: Connection, audience: AudienceId, epoch: int, seq: int) -> OutboxRecord | None:
    """Return our own statement at that place, if this store ever made one."""
    row = connection.execute(
        select(outbox).where(outbox.c.audience == audience, outbox.c.epoch == epoch, outbox.c.seq == seq)
    ).one_or_none()
    if row is None:
        return None
    return OutboxRecord(audience=audience, epoch=epoch, seq=seq, hash=row.hash, record=row.record)


def statement_after(
    connection: Connection, audience: AudienceId, place: tuple[int, int]
) -> OutboxRecord | None:
    """Return our own first statement above a place."""
    row = connection.execute(
        select(outbox)
        .where(outbox.c.audience == audience, tuple_(outbox.c.epoch, outbox.c.seq) > tuple_(*place))
        .order_by(outbox.c.epoch, outbox.c.seq)
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return OutboxRecord(audience=audience, epoch=row.epoch, seq=row.seq, hash=row.hash, record=row.record)


def require_fresh_epochs(connection: Connection, audiences: Collection[AudienceId] | None = None) -> int:
    """Make the next statement of these streams, or of all, open a new epoch; return how many streams.

    To be called after any restore of the store (SPEC, epochs).
    """
    which = true() if audiences is None else own_stream.c.audience.in_(audiences)
    return connection.execute(update(own_stream).where(which).values(fresh_epoch=1)).rowcount


def stand_by_broker(connection: Connection) -> None:
    """Let streams of which this store knows nothing go on from what the broker holds of ours.

    To be called after the store was lost: then the broker alone knows what this member has said.
    """
    insert_new(connection, meta, {"name": _STANDS_BY_BROKER, "value": "yes"})


def stands_by_broker(connection: Connection) -> bool:
    """Tell whether `stand_by_broker` was called on this store."""
    return (
        connection.execute(select(meta.c.value).where(meta.c.name == _STANDS_BY_BROKER)).scalar() is not None
    )


def adopt(connection: Connection, head: OwnHead) -> bool:
    """Take up a head that this store did not make, unless it has one by now; return whether it did."""
    row = msgspec.structs.asdict(head) | {"fresh_epoch": int(head.fresh_epoch)}
    return insert_new(connection, own_stream, row)
