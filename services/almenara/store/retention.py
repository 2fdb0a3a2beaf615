"""What of the store has outlived its retention, and goes next?

Each function takes one slice, the oldest first, in the caller's transaction, and returns how many rows
went, 0 once nothing old is left; a crash between two slices leaves fewer old rows. What stays for ever:
chain heads and anchors, open gaps, the head's statement, evidence and the statements it contradicts (as
links), and of our own streams what a restart compares with the broker. A replay of what went lies below
the chain's head, which refuses it (SPEC, retention); so nothing need be remembered of each message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, and_, delete, func, or_, select, tuple_, update

from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.store.quarantine import EQUIVOCATION, FORKED_CLAIM
from almenara.store.tables import (
    NOT_SENT,
    chain,
    decision,
    evidence,
    message,
    outbox,
    outgoing,
    owed,
    own_stream,
    quarantine,
    sender_key,
    statement,
)
from almenara.wire.records import parse_record, parse_statement, without_content

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

PROVEN_KEPT = 1000
"""Refusals of proven authors kept a stream: a member that signs nonsense all day fills no disk, at most
half a GB by the largest records, and its own word on a thousand places is enough to confront it with."""


FIRST = (-1, -1)
"""Below every place: where the search for old statements begins."""


class Cutoff(msgspec.Struct, frozen=True, kw_only=True):
    """Up to when what came, or was said, in one audience goes; in microseconds."""

    audience: AudienceId
    before: int
    identity_before: int
    """For the ids of our own messages, which outlive every reader's copy."""
    keys_before: int
    """For sender keys, by when they were announced: one serves for a day."""


def streams(connection: Connection) -> tuple[Stream, ...]:
    """Return the streams of which something is kept that may go, ours and those of others."""
    heard = select(chain.c.audience, chain.c.publisher)
    refused = select(quarantine.c.audience, quarantine.c.publisher)
    rows = connection.execute(heard.union(refused))
    return tuple(sorted(Stream(AudienceId(row.audience), MemberId(row.publisher)) for row in rows))


def drop_statements(
    connection: Connection, stream: Stream, *, before: int, after: tuple[int, int], limit: int
) -> tuple[int, tuple[int, int] | None]:
    """Drop the next old statements of a stream above a place; return how many, and where to go on.

    The head stays, and what evidence contradicts, without its content. None once a young one is met.
    """
    place = tuple_(statement.c.epoch, statement.c.seq)
    ours = _of(statement.c.audience, statement.c.publisher, stream)
    rows = connection.execute(
        select(statement.c.epoch, statement.c.seq, statement.c.received_at)
        .where(ours, place > tuple_(*after))
        .order_by(statement.c.epoch, statement.c.seq)
        .limit(limit)
    ).all()
    head = connection.execute(
        select(chain.c.epoch, chain.c.seq).where(_of(chain.c.audience, chain.c.publisher, stream))
    ).one_or_none()
    old = []
    for row in rows:
        if row.received_at >= before or head is None or (row.epoch, row.seq) >= (head.epoch, head.seq):
            break
        old.append((row.epoch, row.seq))
    if not old:
        return 0, None
    slice_ = and_(ours, place > tuple_(*after), place <= tuple_(*old[-1]))
    kept = _contradicted(connection, stream, slice_)
    gone = connection.execute(delete(statement).where(slice_, place.not_in(kept))).rowcount
    return gone, old[-1] if len(old) == limit else None


def _contradicted(
    connection: Connection, stream: Stream, slice_: ColumnElement[bool]
) -> list[tuple[int, int]]:
    """Return the places of a slice whose statements evidence rests on, and leave their links alone."""
    rests = and_(
        evidence.c.kind.in_((EQUIVOCATION, FORKED_CLAIM)),
        _of(evidence.c.audience, evidence.c.publisher, stream),
        or_(
            evidence.c.known_hash == statement.c.hash,
            and_(evidence.c.epoch == statement.c.epoch, evidence.c.seq + 1 == statement.c.seq),
        ),
    )
    rows = connection.execute(
        select(statement.c.epoch, statement.c.seq, statement.c.record).where(
            slice_, select(evidence.c.kind).where(rests).exists()
        )
    ).all()
    for row in rows:
        connection.execute(
            update(statement)
            .where(
                _of(statement.c.audience, statement.c.publisher, stream),
                statement.c.epoch == row.epoch,
                statement.c.seq == row.seq,
            )
            .values(record=without_content(row.record))
        )
    return [(row.epoch, row.seq) for row in rows]


def oldest_message(connection: Connection, audience: AudienceId) -> int | None:
    """Return when the oldest message of an audience came, in microseconds; None if there is none."""
    return connection.execute(
        select(func.min(message.c.received_at)).where(message.c.audience == audience)
    ).scalar()


def drop_messages(connection: Connection, audience: AudienceId, *, before: int, limit: int) -> int:
    """Drop the oldest messages of an audience."""
    oldest = (
        select(message.c.position)
        .where(message.c.audience == audience, message.c.received_at < before)
        .order_by(message.c.received_at)
        .limit(limit)
    )
    return connection.execute(delete(message).where(message.c.position.in_(oldest))).rowcount


def drop_sender_keys(connection: Connection, audience: AudienceId, *, before: int, limit: int) -> int:
    """Drop sender keys of an audience that only open what has gone, and what is owed of them.

    They are looked through without an index: there are one or two a day for each stream.
    """
    key = (sender_key.c.publisher, sender_key.c.epoch, sender_key.c.key_id)
    rows = connection.execute(
        select(*key).where(sender_key.c.audience == audience, sender_key.c.kept_at < before).limit(limit)
    ).all()
    if not rows:
        return 0
    nobodys = [(row.epoch, row.key_id) for row in rows]
    connection.execute(
        delete(owed).where(owed.c.audience == audience, tuple_(owed.c.epoch, owed.c.key_id).in_(nobodys))
    )
    gone = [tuple(row) for row in rows]
    return connection.execute(
        delete(sender_key).where(sender_key.c.audience == audience, tuple_(*key).in_(gone))
    ).rowcount


def drop_own_statements(connection: Connection, audience: AudienceId, *, before: int, limit: int) -> int:
    """Drop the oldest signed bytes of our own stream in an audience, whole slices at a time.

    `issued_at` never falls within a stream, so the last one of a slice speaks for it. What was not sent
    stays, the last that was sent, and the opener of the epoch: a restart compares them with the broker.
    """
    ours = outbox.c.audience == audience
    order = (outbox.c.epoch, outbox.c.seq)
    place = tuple_(*order)
    unsent = connection.execute(select(*order).where(ours, NOT_SENT).order_by(*order).limit(1)).one_or_none()
    last_sent = connection.execute(
        select(*order)
        .where(ours, place < tuple_(*unsent) if unsent is not None else ours)
        .order_by(outbox.c.epoch.desc(), outbox.c.seq.desc())
        .limit(1)
    ).one_or_none()
    opened = connection.execute(select(own_stream.c.epoch).where(own_stream.c.audience == audience)).scalar()
    if last_sent is None:
        return 0
    goes = and_(ours, place < tuple_(*last_sent), or_(outbox.c.epoch != opened, outbox.c.seq != 0))
    while limit:
        last = connection.execute(
            select(*order, outbox.c.record).where(goes).order_by(*order).offset(limit - 1).limit(1)
        ).one_or_none()
        if last is not None and _issued_at(last.record) < before:
            through = place <= tuple_(last.epoch, last.seq)
            return connection.execute(delete(outbox).where(goes, through)).rowcount
        limit //= 2
    return 0


def drop_identities(
    connection: Connection, audience: AudienceId, *, member: MemberId, before: int, limit: int
) -> int:
    """Drop the ids of our oldest messages in an audience, and what their readers did with them."""
    ids = (
        connection.execute(
            select(outgoing.c.message_id)
            .where(outgoing.c.audience == audience, outgoing.c.accepted_at < before)
            .order_by(outgoing.c.accepted_at)
            .limit(limit)
        )
        .scalars()
        .all()
    )
    if not ids:
        return 0
    connection.execute(delete(decision).where(decision.c.publisher == member, decision.c.message_id.in_(ids)))
    return connection.execute(delete(outgoing).where(outgoing.c.message_id.in_(ids))).rowcount


def drop_refusals(connection: Connection, stream: Stream, *, before: int, limit: int) -> int:
    """Drop a stream's oldest refusals, and those beyond the bound."""
    gone = 0
    for proven in (0, 1):
        same = and_(_of(quarantine.c.audience, quarantine.c.publisher, stream), quarantine.c.proven == proven)
        oldest = select(quarantine.c.position, quarantine.c.kept_at).where(same)
        rows = connection.execute(oldest.order_by(quarantine.c.position).limit(limit)).all()
        count = connection.execute(select(func.count()).select_from(quarantine).where(same)).scalar_one()
        over = count - PROVEN_KEPT
        old = [row.position for at, row in enumerate(rows) if row.kept_at < before or at < over]
        if old:
            gone += connection.execute(delete(quarantine).where(quarantine.c.position.in_(old))).rowcount
    return gone


def _of(audience: ColumnElement[str], publisher: ColumnElement[str], stream: Stream) -> ColumnElement[bool]:
    return and_(audience == stream.audience, publisher == stream.publisher)


def _issued_at(record: bytes) -> int:
    return parse_statement(parse_record(record).payload).head.issued_at
