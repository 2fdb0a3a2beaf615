"""Which of our sender keys does a member still lack that had no sealing key when they were announced?

    announced, a member KEYLESS --note--> owed --its sealing key appears--> shared --settle--> gone

Every function works inside the caller's transaction: what is owed is noted with the announcement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec
from sqlalchemy import Connection, delete, select, tuple_

from almenara.hidden import Hiding
from almenara.model.ids import AudienceId, MemberId
from almenara.store.tables import owed, sender_key
from almenara.store.upserts import insert

if TYPE_CHECKING:
    from collections.abc import Sequence


class OwedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A member of the audience had no slot for this key; `entitled` if its slot would have held it."""

    member: MemberId
    audience: AudienceId
    epoch: int
    key_id: bytes
    entitled: bool


class Debt(Hiding, frozen=True, kw_only=True):
    """One owed key, and the key itself."""

    hidden: ClassVar = frozenset({"key"})

    owed: OwedKey
    key: bytes


def note(connection: Connection, rows: Sequence[OwedKey]) -> None:
    """Note what is owed of keys that are announced in this transaction."""
    if rows:
        query = insert(connection, owed).on_conflict_do_nothing()
        connection.execute(query, [msgspec.structs.asdict(row) for row in rows])


def owed_to(connection: Connection) -> set[tuple[MemberId, AudienceId]]:
    """Return who is owed keys, of which audiences."""
    rows = connection.execute(select(owed.c.member, owed.c.audience).distinct())
    return {(MemberId(row.member), AudienceId(row.audience)) for row in rows}


def debts(
    connection: Connection, member: MemberId, audience: AudienceId, *, publisher: MemberId, limit: int
) -> list[Debt]:
    """Return the oldest keys of `publisher`, this member, that another is owed in an audience."""
    rows = connection.execute(
        select(owed, sender_key.c.key)
        .join(
            sender_key,
            (sender_key.c.audience == owed.c.audience)
            & (sender_key.c.epoch == owed.c.epoch)
            & (sender_key.c.key_id == owed.c.key_id),
        )
        .where(
            owed.c.member == member,
            owed.c.audience == audience,
            sender_key.c.publisher == publisher,
            sender_key.c.key.is_not(None),
        )
        .order_by(owed.c.epoch, owed.c.key_id)
        .limit(limit)
    )
    return [
        Debt(
            owed=OwedKey(
                member=member,
                audience=audience,
                epoch=row.epoch,
                key_id=row.key_id,
                entitled=bool(row.entitled),
            ),
            key=row.key,
        )
        for row in rows
    ]


def settle(connection: Connection, rows: Sequence[OwedKey]) -> None:
    """Forget what was shared."""
    for row in rows:
        place = tuple_(owed.c.member, owed.c.audience, owed.c.epoch, owed.c.key_id)
        connection.execute(delete(owed).where(place == (row.member, row.audience, row.epoch, row.key_id)))
