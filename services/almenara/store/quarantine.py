"""What was refused, what proves a wrong, and why?

Of records whose author is not proven only the last hundred a stream are kept, and counted: anybody
who can reach the topic could make them. What its author signed is kept whole, for its audience's
retention (retention.py).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import BigInteger, Connection, cast, delete, func, select, update

from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.store.tables import evidence, quarantine, refusal_count
from almenara.store.upserts import insert, insert_new

if TYPE_CHECKING:
    from collections.abc import Sequence

UNPROVEN_KEPT = 100
"""Unproven records kept a stream (DESIGN 4: counted, 100 kept)."""


EQUIVOCATION = "EQUIVOCATION"
"""The kind of evidence that is a statement of the author's against what it had said before."""

FORKED_CLAIM = "FORKED_CLAIM"
"""The kind of evidence that is a witness's record: it names another statement than the one held."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One refused record or message, with its code; `proven` when its author signed it."""

    audience: AudienceId
    publisher: MemberId
    offset: int
    proven: bool
    code: str
    detail: str
    kept_at: int
    record: bytes


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A signed record that contradicts what is held: EQUIVOCATION, FORKED_CLAIM, or TRUNCATED.

    The first is another statement for the same place, the second a heartbeat or receipt that names
    one, the third was left out by a new epoch.
    """

    kind: str
    audience: AudienceId
    publisher: MemberId
    epoch: int
    seq: int
    hash: bytes
    known_hash: bytes
    kept_at: int
    record: bytes


class EvidenceCount(msgspec.Struct, frozen=True, kw_only=True):
    """How much evidence there is on one stream; `latest_truncated` is when the last of it was kept."""

    forks: int = 0
    truncated: int = 0
    latest_truncated: int = 0

    @property
    def total(self) -> int:
        """Return how many records are kept as evidence."""
        return self.forks + self.truncated


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal and its place in the quarantine."""

    position: int
    refusal: Refusal


def keep(connection: Connection, rows: Sequence[Refusal]) -> None:
    """Keep refusals, once each, and count them; drop all but the newest unproven ones."""
    for row in rows:
        values = msgspec.structs.asdict(row) | {"proven": int(row.proven), "identity": _identity(row)}
        if not insert_new(connection, quarantine, values):
            continue
        count = insert(connection, refusal_count).values(
            audience=row.audience, publisher=row.publisher, code=row.code, count=1
        )
        connection.execute(
            count.on_conflict_do_update(
                index_elements=["audience", "publisher", "code"],
                set_={"count": refusal_count.c.count + 1},
            )
        )
    for audience, publisher in {(r.audience, r.publisher) for r in rows if not r.proven}:
        same = (
            (quarantine.c.audience == audience)
            & (quarantine.c.publisher == publisher)
            & (quarantine.c.proven == 0)
        )
        newest = (
            select(quarantine.c.position)
            .where(same)
            .order_by(quarantine.c.position.desc())
            .limit(UNPROVEN_KEPT)
        )
        connection.execute(delete(quarantine).where(same, quarantine.c.position.not_in(newest)))


def release(connection: Connection, stream: Stream, code: str) -> None:
    """Forget the refusals of a stream with that code, and their count: their records are judged again."""
    gone = connection.execute(
        delete(quarantine).where(
            quarantine.c.audience == stream.audience,
            quarantine.c.publisher == stream.publisher,
            quarantine.c.code == code,
        )
    ).rowcount
    _count_less(connection, stream, code, gone)


def take_back(connection: Connection, stream: Stream, code: str, record: bytes) -> None:
    """Forget the refusal of one proven record with that code, and its count: it was opened since."""
    gone = connection.execute(
        delete(quarantine).where(
            quarantine.c.audience == stream.audience,
            quarantine.c.publisher == stream.publisher,
            quarantine.c.identity == hashlib.sha256(record).digest(),
            quarantine.c.code == code,
            quarantine.c.proven == 1,
        )
    ).rowcount
    _count_less(connection, stream, code, gone)


def _count_less(connection: Connection, stream: Stream, code: str, gone: int) -> None:
    connection.execute(
        update(refusal_count)
        .where(
            refusal_count.c.audience == stream.audience,
            refusal_count.c.publisher == stream.publisher,
            refusal_count.c.code == code,
        )
        .values(count=refusal_count.c.count - gone)
    )


def _identity(row: Refusal) -> bytes:
    """Return what tells this refusal from others with its code and detail.

    Whoever can write to a topic can write a signed record there again and again: kept once, it
    cannot fill the disk. Forged records differ as their maker likes, so each place counts.
    """
    if row.proven:
        return hashlib.sha256(row.record).digest()
    return row.offset.to_bytes(8, "big", signed=True)


def keep_evidence(connection: Connection, rows: Sequence[Evidence]) -> None:
    """Keep contradicting statements, once each."""
    if rows:
        query = insert(connection, evidence).on_conflict_do_nothing()
        connection.execute(query, [msgspec.structs.asdict(row) for row in rows])


def newest_refusals(connection: Connection, *, limit: int) -> list[Kept]:
    """Return the newest refusals with their places, newest first."""
    rows = connection.execute(select(quarantine).order_by(quarantine.c.position.desc()).limit(limit))
    found = []
    for row in rows:
        fields = row._asdict()
        position = fields.pop("position")
        del fields["identity"]
        found.append(Kept(position=position, refusal=Refusal(**fields | {"proven": bool(row.proven)})))
    return found


def refusals(connection: Connection, *, limit: int = 1000) -> list[Refusal]:
    """Return the newest refusals, newest first."""
    return [kept.refusal for kept in newest_refusals(connection, limit=limit)]


def refusal_counts(connection: Connection) -> dict[str, int]:
    """Return how many refusals each code has seen in this store's life."""
    rows = connection.execute(
        select(refusal_count.c.code, cast(func.sum(refusal_count.c.count), BigInteger).label("n"))
        .where(refusal_count.c.count > 0)
        .group_by(refusal_count.c.code)
    )
    return {row.code: row.n for row in rows}


def evidence_of(connection: Connection) -> list[Evidence]:
    """Return all evidence, oldest first."""
    rows = connection.execute(select(evidence).order_by(evidence.c.kept_at))
    return [Evidence(**row._asdict()) for row in rows]


def evidence_counts(connection: Connection) -> dict[Stream, EvidenceCount]:
    """Return how much evidence there is on each stream that has any."""
    rows = connection.execute(
        select(
            evidence.c.audience,
            evidence.c.publisher,
            evidence.c.kind,
            func.count().label("n"),
            func.max(evidence.c.kept_at).label("latest"),
        ).group_by(evidence.c.audience, evidence.c.publisher, evidence.c.kind)
    )
    found: dict[Stream, EvidenceCount] = {}
    for row in rows:
        stream = Stream(AudienceId(row.audience), MemberId(row.publisher))
        so_far = found.get(stream, EvidenceCount())
        if row.kind == "TRUNCATED":
            found[stream] = msgspec.structs.replace(so_far, truncated=row.n, latest_truncated=row.latest)
        else:
            found[stream] = msgspec.structs.replace(so_far, forks=so_far.forks + row.n)
    return found
