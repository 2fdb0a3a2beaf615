"""What could not be opened when it came, and can be now that its sender key is known?

    KEY_MISSING --its key is announced late, or shared--> opened, a few a poll --> delivered, LATE_KEY

A crash loses where the search stood: after a start it begins again, and what was opened stays so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.errors import Refused
from almenara.store import inbox
from almenara.trust.admit import VerifiedStatement, proven
from almenara.wire.chain import Place

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.subscriber.deliver import Delivery
    from almenara.subscriber.state import StreamState
    from almenara.trust.directory import Directory

LATE_MAX = 64
"""Statements a poll tries again: at 512 KiB each 32 MiB. Whoever holds back a key for long, and then gives
it, takes neither the memory of his readers nor the turn of others' streams."""


def open_late(
    connection: Connection,
    states: Iterable[StreamState],
    *,
    delivery: Delivery,
    directory: Directory,
    now: datetime,
) -> None:
    """Open the next statements that wait for a key that is known by now; the rest at the next poll."""
    room = LATE_MAX
    for state in states:
        if state.late is None or room == 0:
            continue
        delivery.flush()
        waiting = inbox.keyless_statements(connection, state.stream, after=state.late, limit=room)
        for kept in waiting:
            try:
                verified = proven(kept.record, stream=state.stream, directory=directory, now=now)
            except Refused:
                continue  # its signing key is not listed any more: nobody can prove it now
            if isinstance(verified, VerifiedStatement) and delivery.has_key(state, verified.head):
                delivery.reopen(state, verified)
        state.late = Place(waiting[-1].epoch, waiting[-1].seq) if len(waiting) == room else None
        room -= len(waiting)
