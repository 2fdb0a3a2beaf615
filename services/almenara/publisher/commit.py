"""What does the writer of a publisher do in one go? Seal, sign and commit, in the store's thread.

One transaction holds signed bytes, heads, the index of messages, announced keys, who lacks them, and the
marks of what the broker has taken meanwhile. A crash before it leaves nothing, after it everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from almenara.crash import Point, crash_point
from almenara.publisher.groups import grouped
from almenara.store import inbox, outbox, owed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.model.ids import AudienceId
    from almenara.publisher.groups import Accepted, Group
    from almenara.publisher.sealing import Sealer
    from almenara.store.database import Store
    from almenara.store.outbox import OutboxRecord, Outgoing, OwnHead
    from almenara.trust.directory import Directory


class Committed(NamedTuple):
    """Where each message stands now, and the heads and records that are new."""

    placed: dict[bytes, Outgoing]
    heads: dict[AudienceId, OwnHead]
    records: dict[AudienceId, Sequence[OutboxRecord]]


def commit(
    store: Store,
    sealer: Sealer,
    accepted: Sequence[Accepted],
    *,
    checkpoints: Sequence[Group],
    acknowledged: Sequence[tuple[AudienceId, int, int]],
    heads: Mapping[AudienceId, OwnHead],
    directory: Directory,
    now: datetime,
) -> Committed:
    """Commit what was accepted, each message once, and the checkpoints that are due.

    Raises what the sealer and the store raise; then nothing was committed, but for STORE_AWAY (Store.write).
    """
    known = store.read_now(lambda c: outbox.outgoing_by_id(c, [each.message_id for each in accepted]))
    fresh: dict[bytes, Accepted] = {}
    for each in accepted:
        if each.message_id not in known:
            fresh.setdefault(each.message_id, each)
    drafts, keys = sealer.draft(
        [*grouped(fresh.values()), *checkpoints], heads=heads, directory=directory, now=now
    )

    crash_point(Point.OUTBOX_SIGNED)

    def write(connection: Connection) -> None:
        outbox.mark_sent(connection, acknowledged)
        for draft in drafts:
            outbox.append(
                connection,
                before=draft.before,
                after=draft.after,
                records=draft.records,
                messages=draft.messages,
            )
            inbox.insert_sender_keys(connection, draft.announced)
            owed.note(connection, draft.owed)
        crash_point(Point.OUTBOX_WRITTEN)

    store.write_now(write)
    crash_point(Point.OUTBOX_COMMITTED)
    sealer.adopt(keys)
    return Committed(
        placed=known | {m.message_id: m for draft in drafts for m in draft.messages},
        heads={draft.after.audience: draft.after for draft in drafts},
        records={draft.after.audience: draft.records for draft in drafts},
    )
