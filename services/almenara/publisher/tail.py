"""Does the broker hold what our store says we said? Asked once, before anything is sent.

The store is the authority. Where the broker is behind, the same bytes are sent again. Where it
holds a statement of ours that the store never made, somebody restored the store or runs a twin:
the stream stops, and only a new epoch goes on (SPEC, epochs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.errors import Code, Held, RecordRefused, Refused, StatementRefused
from almenara.store import outbox
from almenara.trust.admit import VerifiedStatement, admit

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.bus.kafka import Reader
    from almenara.bus.received import Received
    from almenara.model.ids import Stream
    from almenara.store.database import Store
    from almenara.store.outbox import OwnHead
    from almenara.trust.directory import Directory

WINDOW = 64
"""Records looked at first from the end; four times as many each time they are heartbeats alone."""

NOTHING_SENT = (0, -1)


async def compare_tail(
    reader: Reader, store: Store, *, stream: Stream, head: OwnHead, directory: Directory, now: datetime
) -> tuple[int, int]:
    """Return up to which (epoch, seq) of ours the broker holds, NOTHING_SENT when it holds nothing.

    Raises Refused BROKER_AHEAD when it holds what the store does not, Unavailable when it does not
    answer.
    """
    topic = stream.topic(directory.federation)
    begin, end = await reader.begin_offset(topic), await reader.end_offset(topic)
    window = WINDOW
    while True:
        start = max(begin, end - window)
        records = await reader.read_from(topic, start) if start < end else []
        last = _last_statement(records, stream, directory, now)
        if last is not None:
            break
        if start == begin:
            return NOTHING_SENT
        window *= 4
    place = (last.head.epoch, last.head.seq)
    ours = await store.read(lambda connection: outbox.statement_at(connection, stream.audience, *place))
    if ours is not None and ours.hash == last.statement_hash:
        return place
    if head.fresh_epoch:
        return (head.epoch, head.seq)  # the next statement opens an epoch; what lies beyond is given up
    raise Refused(
        Code.BROKER_AHEAD,
        f"stream {stream}: the broker holds statement {place[0]}/{place[1]} of ours, which this store never"
        " made; if the store was restored from a backup run: almenara epoch open",
    )


def _last_statement(
    records: list[Received], stream: Stream, directory: Directory, now: datetime
) -> VerifiedStatement | None:
    """Return the furthest statement this member really signed; what others put there is passed over."""
    found: VerifiedStatement | None = None
    for record in records:
        try:
            admitted = admit(record.value, stream=stream, directory=directory, now=now)
        except (RecordRefused, StatementRefused, Held):
            continue
        if isinstance(admitted, VerifiedStatement) and (
            found is None or (admitted.head.epoch, admitted.head.seq) > (found.head.epoch, found.head.seq)
        ):
            found = admitted
    return found
