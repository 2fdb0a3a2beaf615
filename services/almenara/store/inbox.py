"""What has this member heard: chains, gaps, statements, sender keys and messages?

Every function works inside the caller's transaction: the subscriber commits a statement, its
chain, its messages and its offset together, so each message stands in the inbox exactly once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec
from sqlalchemy import Connection, and_, delete, select, tuple_, update

from almenara.hidden import Hiding
from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.store.outbox import LOOKUP_CHUNK
from almenara.store.rows import insert_rows
from almenara.store.tables import NOT_OPENED, access, chain, gap, message, sender_key, statement
from almenara.store.upserts import insert
from almenara.wire.chain import OpenGap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


PREDATES_REMOVAL = "PREDATES_REMOVAL"
"""Flag of a statement whose author still sealed to somebody who had been removed from the audience."""


class ChainRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far one stream was accepted and heard; seq -1 before its first statement."""

    audience: AudienceId
    publisher: MemberId
    epoch: int = 0
    seq: int = -1
    hash: bytes = b""
    anchor_epoch: int = 0
    anchor_seq: int = -1
    directory_version: int = 0
    next_offset: int = 0
    accepted_at: int = 0
    heard_at: int = 0
    next_by: int = 0
    eliciting: int = 0
    key_id: bytes = b""
    unknown_from: int = -1
    ended_from: int = -1
    checkpoint_epoch: int = 0
    checkpoint_seq: int = -1
    wait_code: str = ""

    @property
    def stream(self) -> Stream:
        """Return which stream this is about."""
        return Stream(self.audience, self.publisher)


class StatementRow(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted statement; `code` "" when it was opened, else why its content is not held.

    `record` is the Kafka value, or its link if the statement is NOT_FOR_ME (wire.records).
    """

    audience: AudienceId
    publisher: MemberId
    epoch: int
    seq: int
    hash: bytes
    code: str
    flags: str
    received_at: int
    record: bytes


class SenderKeyRow(Hiding, frozen=True, kw_only=True):
    """A stream's sender key, and when it came, in microseconds.

    `key` is None when the list it serves does not name this member.
    """

    hidden: ClassVar = frozenset({"key"})

    audience: AudienceId
    publisher: MemberId
    epoch: int
    key_id: bytes
    key: bytes | None
    kept_at: int


class MessageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One delivered message with the columns that filters use; `body` as it stood in the batch."""

    publisher: MemberId
    message_id: bytes
    content: bytes
    audience: AudienceId
    epoch: int
    seq: int
    recipients: str
    flags: str
    kind: str
    area: str
    level: str
    origin: str
    hs: str
    issued_at: int
    received_at: int
    body: bytes
    reference: str = ""


def chains(connection: Connection) -> dict[Stream, ChainRow]:
    """Return the state of every stream heard so far."""
    rows = (ChainRow(**row._asdict()) for row in connection.execute(select(chain)))
    return {row.stream: row for row in rows}


def outdated_streams(connection: Connection) -> frozenset[Stream]:
    """Return the streams whose last statement still sealed to somebody who was removed."""
    place = ("audience", "publisher", "epoch", "seq")
    at_head = and_(*(statement.c[name] == chain.c[name] for name in place))
    # Not a join: SQLite would look through all statements for the flag, and find their chains.
    outdated = select(statement.c.seq).where(at_head, statement.c.flags.contains(PREDATES_REMOVAL)).exists()
    rows = connection.execute(select(chain.c.audience, chain.c.publisher).where(outdated))
    return frozenset(Stream(AudienceId(audience), MemberId(publisher)) for audience, publisher in rows)


def save_chains(connection: Connection, rows: Sequence[ChainRow]) -> None:
    """Write the state of these streams."""
    if rows:
        query = insert(connection, chain)
        query = query.on_conflict_do_update(
            index_elements=["audience", "publisher"],
            set_={c.name: query.excluded[c.name] for c in chain.columns if not c.primary_key},
        )
        connection.execute(query, [msgspec.structs.asdict(row) for row in rows])


def gaps(connection: Connection) -> dict[Stream, tuple[OpenGap, ...]]:
    """Return the open gaps of every stream, in order."""
    found: dict[Stream, tuple[OpenGap, ...]] = {}
    for row in connection.execute(select(gap).order_by(gap.c.low_epoch, gap.c.low_seq)):
        fields = row._asdict()
        stream = Stream(AudienceId(fields.pop("audience")), MemberId(fields.pop("publisher")))
        found[stream] = (*found.get(stream, ()), OpenGap(**fields))
    return found


def save_gaps(connection: Connection, stream: Stream, rows: Sequence[OpenGap]) -> None:
    """Replace the open gaps of one stream."""
    connection.execute(
        delete(gap).where(gap.c.audience == stream.audience, gap.c.publisher == stream.publisher)
    )
    if rows:
        connection.execute(
            gap.insert(),
            [
                msgspec.structs.asdict(row) | {"audience": stream.audience, "publisher": stream.publisher}
                for row in rows
            ],
        )


def save_access(connection: Connection, rows: Sequence[tuple[Stream, str]], *, at: int) -> None:
    """Keep what the broker last said about reading each stream; forget streams not read any more."""
    connection.execute(delete(access))
    if rows:
        connection.execute(
            access.insert(),
            [
                {"audience": stream.audience, "publisher": stream.publisher, "access": found, "at": at}
                for stream, found in rows
            ],
        )


def stream_access(connection: Connection) -> dict[Stream, str]:
    """Return what the broker last said about reading each stream."""
    return {
        Stream(AudienceId(row.audience), MemberId(row.publisher)): row.access
        for row in connection.execute(select(access))
    }


def hash_at(connection: Connection, stream: Stream, epoch: int, seq: int) -> bytes | None:
    """Return the hash of the statement accepted at that place."""
    found: bytes | None = connection.execute(
        select(statement.c.hash).where(
            statement.c.audience == stream.audience,
            statement.c.publisher == stream.publisher,
            statement.c.epoch == epoch,
            statement.c.seq == seq,
        )
    ).scalar()
    return found


def place_of(connection: Connection, stream: Stream, statement_hash: bytes) -> tuple[int, int] | None:
    """Return (epoch, seq) of the accepted statement with that hash."""
    row = connection.execute(
        select(statement.c.epoch, statement.c.seq).where(
            statement.c.audience == stream.audience,
            statement.c.publisher == stream.publisher,
            statement.c.hash == statement_hash,
        )
    ).one_or_none()
    return None if row is None else (row.epoch, row.seq)


def record_at(connection: Connection, stream: Stream, epoch: int, seq: int) -> bytes | None:
    """Return the record, or link, of the statement accepted at that place."""
    found: bytes | None = connection.execute(
        select(statement.c.record).where(
            statement.c.audience == stream.audience,
            statement.c.publisher == stream.publisher,
            statement.c.epoch == epoch,
            statement.c.seq == seq,
        )
    ).scalar()
    return found


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted statement's place, hash, and record or link."""

    epoch: int
    seq: int
    hash: bytes
    record: bytes


def statements_between(
    connection: Connection, stream: Stream, after: tuple[int, int], before: tuple[int, int]
) -> list[Kept]:
    """Return what was accepted between two places, both excluded, in order."""
    place = tuple_(statement.c.epoch, statement.c.seq)
    rows = connection.execute(
        select(statement.c.epoch, statement.c.seq, statement.c.hash, statement.c.record)
        .where(
            statement.c.audience == stream.audience,
            statement.c.publisher == stream.publisher,
            place > tuple_(*after),
            place < tuple_(*before),
        )
        .order_by(statement.c.epoch, statement.c.seq)
    )
    return [Kept(**row._asdict()) for row in rows]


def last_before(connection: Connection, stream: Stream, before: tuple[int, int]) -> Kept | None:
    """Return the highest statement accepted below a place."""
    row = connection.execute(
        select(statement.c.epoch, statement.c.seq, statement.c.hash, statement.c.record)
        .where(
            statement.c.audience == stream.audience,
            statement.c.publisher == stream.publisher,
            tuple_(statement.c.epoch, statement.c.seq) < tuple_(*before),
        )
        .order_by(statement.c.epoch.desc(), statement.c.seq.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Kept(**row._asdict())


def statement_after(connection: Connection, stream: Stream, place: tuple[int, int]) -> Kept | None:
    """Return the first statement accepted above a place."""
    row = connection.execute(
        select(statement.c.epoch, statement.c.seq, statement.c.hash, statement.c.record)
        .where(
            statement.c.audience == stream.audience,
            statement.c.publisher == stream.publisher,
            tuple_(statement.c.epoch, statement.c.seq) > tuple_(*place),
        )
        .order_by(statement.c.epoch, statement.c.seq)
        .limit(1)
    ).one_or_none()
    return None if row is None else Kept(**row._asdict())


def opened_since(connection: Connection, stream: Stream, since: int, *, limit: int) -> Iterator[Kept]:
    """Yield what of a stream came since then and was opened, in order, one by one from the store."""
    rows = connection.execute(
        select(statement.c.epoch, statement.c.seq, statement.c.hash, statement.c.record)
        .where(
            statement.c.audience == stream.audience,
            statement.c.publisher == stream.publisher,
            statement.c.received_at >= since,
            statement.c.code == "",
        )
        .order_by(statement.c.epoch, statement.c.seq)
        .limit(limit)
    )
    return (Kept(**row._asdict()) for row in rows)


def publishers_in(connection: Connection, audience: AudienceId) -> set[MemberId]:
    """Return whose streams of an audience are read here."""
    rows = connection.execute(select(chain.c.publisher).where(chain.c.audience == audience))
    return {MemberId(row.publisher) for row in rows}


def unopened(connection: Connection, stream: Stream, epoch: int, *, limit: int) -> list[tuple[int, str]]:
    """Return (seq, code) of an epoch's latest statements whose content is not held, in order.

    Statements of a list that does not name this member are complete for it, so they are left out.
    """
    rows = connection.execute(
        select(statement.c.seq, statement.c.code)
        .where(
            statement.c.audience == stream.audience,
            statement.c.publisher == stream.publisher,
            statement.c.epoch == epoch,
            NOT_OPENED,
        )
        .order_by(statement.c.seq.desc())
        .limit(limit)
    )
    return sorted((r.seq, r.code) for r in rows)


def keyless_statements(
    connection: Connection, stream: Stream, *, after: tuple[int, int], limit: int
) -> list[Kept]:
    """Return the first of a stream's statements above a place that still want their sender key, in order."""
    rows = connection.execute(
        select(statement.c.epoch, statement.c.seq, statement.c.hash, statement.c.record)
        .where(
            statement.c.audience == stream.audience,
            statement.c.publisher == stream.publisher,
            tuple_(statement.c.epoch, statement.c.seq) > tuple_(*after),
            NOT_OPENED,
            statement.c.code == "KEY_MISSING",
        )
        .order_by(statement.c.epoch, statement.c.seq)
        .limit(limit)
    )
    return [Kept(**row._asdict()) for row in rows]


def judge_statement_again(
    connection: Connection, stream: Stream, epoch: int, seq: int, *, code: str, record: bytes
) -> None:
    """Note what a second attempt to open a statement came to, and what of it is kept now."""
    connection.execute(
        update(statement)
        .where(
            statement.c.audience == stream.audience,
            statement.c.publisher == stream.publisher,
            statement.c.epoch == epoch,
            statement.c.seq == seq,
        )
        .values(code=code, record=record)
    )


def insert_statements(connection: Connection, rows: Sequence[StatementRow]) -> None:
    """Keep accepted statements with their signed bytes."""
    insert_rows(connection, statement, [msgspec.structs.astuple(row) for row in rows])


def sender_key_of(connection: Connection, stream: Stream, epoch: int, key_id: bytes) -> SenderKeyRow | None:
    """Return what is known about one sender key of an epoch."""
    row = connection.execute(
        select(sender_key).where(
            sender_key.c.audience == stream.audience,
            sender_key.c.publisher == stream.publisher,
            sender_key.c.epoch == epoch,
            sender_key.c.key_id == key_id,
        )
    ).first()
    return None if row is None else SenderKeyRow(**row._asdict())


def insert_sender_keys(connection: Connection, rows: Sequence[SenderKeyRow]) -> None:
    """Keep sender keys; one that is known already stays as it is."""
    if rows:
        query = insert(connection, sender_key).on_conflict_do_nothing()
        connection.execute(query, [msgspec.structs.asdict(row) for row in rows])


def contents(
    connection: Connection, identities: Sequence[tuple[MemberId, bytes]]
) -> dict[tuple[MemberId, bytes], bytes]:
    """Return the content hashes of those messages that are held already."""
    found: dict[tuple[MemberId, bytes], bytes] = {}
    by_publisher: dict[MemberId, list[bytes]] = {}
    for publisher, message_id in identities:
        by_publisher.setdefault(publisher, []).append(message_id)
    for publisher, ids in by_publisher.items():
        for start in range(0, len(ids), LOOKUP_CHUNK):
            rows = connection.execute(
                select(message.c.message_id, message.c.content).where(
                    message.c.publisher == publisher,
                    message.c.message_id.in_(ids[start : start + LOOKUP_CHUNK]),
                )
            )
            found.update({(publisher, r.message_id): r.content for r in rows})
    return found


def insert_messages(connection: Connection, rows: Iterable[MessageRow]) -> None:
    """Deliver messages to the inbox."""
    insert_rows(connection, message, [msgspec.structs.astuple(row) for row in rows])
