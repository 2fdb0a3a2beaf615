"""What was refused, what proves a wrong, and why?

Of records whose author is not proven only the last hundred a stream are kept, and counted: anybody
who can reach the topic could make them. What its author signed is kept whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from almenara.model.ids import AudienceId, MemberId
from almenara.store.tables import evidence, quarantine, refusal_count

if TYPE_CHECKING:
    from collections.abc import Sequence

UNPROVEN_KEPT = 100
"""Unproven records kept a stream (DESIGN 4: counted, 100 kept)."""


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


def keep(connection: Connection, rows: Sequence[Refusal]) -> None:
    """Keep refusals, once each, and count them; drop all but the newest unproven ones."""
    for row in rows:
        values = msgspec.structs.asdict(row) | {"proven": int(row.proven)}
        fresh = connection.execute(insert(quarantine).values(values).on_conflict_do_nothing()).rowcount
        if not fresh:
            continue
        count = insert(refusal_count).values(
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


def keep_evidence(connection: Connection, rows: Sequence[Evidence]) -> None:
    """Keep contradicting statements, once each."""
    if rows:
        connection.execute(
            insert(evidence).on_conflict_do_nothing(), [msgspec.structs.asdict(row) for row in rows]
        )


def refusals(connection: Connection, *, limit: int = 1000) -> list[Refusal]:
    """Return the newest refusals, newest first."""
    rows = connection.execute(select(quarantine).order_by(quarantine.c.position.desc()).limit(limit))
    found = []
    for row in rows:
        fields = row._asdict()
        del fields["position"]
        found.append(Refusal(**fields | {"proven": bool(row.proven)}))
    return found


def refusal_counts(connection: Connection) -> dict[str, int]:
    """Return how many refusals each code has seen in this store's life."""
    rows = connection.execute(
        select(refusal_count.c.code, func.sum(refusal_count.c.count).label("n")).group_by(
            refusal_count.c.code
        )
    )
    return {row.code: row.n for row in rows}


def evidence_of(connection: Connection) -> list[Evidence]:
    """Return all evidence, oldest first."""
    rows = connection.execute(select(evidence).order_by(evidence.c.kept_at))
    return [Evidence(**row._asdict()) for row in rows]
