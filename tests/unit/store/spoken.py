"""A member's own stream in its store: statements that were really signed, one an hour."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from almenara.clock import to_micros
from almenara.store import outbox
from almenara.store.outbox import OutboxRecord
from unit.store.rows import outgoing
from unit.subscriber.stream import Author, alert
from unit.trust.federation import NOW, REGION

if TYPE_CHECKING:
    from almenara.store.database import Store

HOUR = timedelta(hours=1)


def spoken(store: Store, *, statements: int, sent: int, opens: int = -1) -> Author:
    """Commit statements of PE from NOW on, of which the broker has taken the first, and return their author.

    `opens` is the statement that opens another epoch.
    """
    author = Author()
    for number in range(statements):
        at = NOW + number * HOUR
        before = author.head
        if number == opens and before is not None:
            author.head = replace(before, fresh_epoch=True)
        value = author.says(alert(number), at=at)
        after = author.head
        assert after is not None
        row = OutboxRecord(audience=REGION, epoch=after.epoch, seq=after.seq, hash=after.hash, record=value)
        index = replace(outgoing(number, after), accepted_at=to_micros(at))
        store.write_now(partial(outbox.append, before=before, after=after, records=[row], messages=[index]))
        if number < sent:
            store.write_now(partial(outbox.mark_sent, heads=[(REGION, after.epoch, after.seq)]))
    return author
