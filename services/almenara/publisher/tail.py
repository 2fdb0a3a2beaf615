"""Does the broker hold what our store says we said? Asked once, before anything is sent.

The store is the authority. Where the broker is behind, the same bytes are sent again. Where it
holds a statement of ours that the store never made, somebody restored the store or runs a twin:
the stream stops, and only a new epoch goes on (SPEC, epochs).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from almenara import clock
from almenara.errors import AlmenaraError, Code, Held, RecordRefused, Refused, StatementRefused, Unavailable
from almenara.store import outbox
from almenara.trust.admit import VerifiedStatement, proven

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.bus.kafka import Reader
    from almenara.bus.received import Received
    from almenara.model.ids import AudienceId, Stream
    from almenara.store.database import Store
    from almenara.store.outbox import OutboxRecord, OwnHead
    from almenara.trust.directory import Directory

WINDOW = 64
"""Records looked at first from the end; four times as many each time they are heartbeats alone."""

NOTHING_SENT = (0, -1)

REFUSED_RETRY_S = 5.0
"""How long a stream waits after the broker refused it: only a person's act can mend that."""

log = structlog.get_logger()


async def settle_tail(
    reader: Reader,
    store: Store,
    *,
    stream: Stream,
    head: OwnHead,
    directory: Callable[[], Directory],
    retry_s: float,
    tried: asyncio.Event,
) -> None:
    """Mark as sent what the broker holds of a stream, and as unsent the rest, once both can tell.

    Waits for broker, directory and store as long as it takes; `tried` is set after the first attempt,
    whatever it came to. Raises Refused BROKER_AHEAD when the broker holds what the store does not.
    """
    fault = ""
    while True:
        try:
            after = await compare_tail(
                reader, store, stream=stream, head=head, directory=directory(), now=clock.now()
            )
            await store.write(partial(outbox.mark_unsent, audience=stream.audience, after=after))
        except AlmenaraError as error:
            if error.code is Code.BROKER_AHEAD:
                raise
            if error.code != fault:
                log.warning("stream.tail_unread", audience=stream.audience, code=error.code, error=error.text)
            fault = error.code
            tried.set()
            await asyncio.sleep(retry_s if isinstance(error, Unavailable) else REFUSED_RETRY_S)
        else:
            return


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
        for said in _statements(records, stream, directory, now):
            place = (said.head.epoch, said.head.seq)
            ours = await store.read(partial(_statement_at, audience=stream.audience, place=place))
            # Whoever stole a key that has ended may go on signing: only what the store knows counts of it.
            if not said.ended or (ours is not None and ours.hash == said.statement_hash):
                return held_up_to(said, ours=ours, head=head)
        if start == begin:
            return NOTHING_SENT
        window *= 4


def held_up_to(last: VerifiedStatement, *, ours: OutboxRecord | None, head: OwnHead) -> tuple[int, int]:
    """Return up to which (epoch, seq) of ours the broker holds, by the furthest statement it has.

    `ours` is what the store has at that place. Raises Refused BROKER_AHEAD if it is not the same and
    no epoch was opened since, by which the store gave up what it does not know.
    """
    place = (last.head.epoch, last.head.seq)
    if ours is not None and ours.hash == last.statement_hash:
        return place
    if head.fresh_epoch:
        return (head.epoch, head.seq)  # the next statement opens an epoch
    if head.epoch > last.head.epoch:
        return (head.epoch, -1)  # it was opened, and did not leave before a crash
    raise Refused(
        Code.BROKER_AHEAD,
        f"stream {last.stream}: the broker holds statement {place[0]}/{place[1]} of ours, which this store"
        " never made; if the store was restored from a backup run: almenara epoch open; if it was not,"
        " somebody else has the signing key: almenara member rotate",
    )


def _statement_at(
    connection: Connection, *, audience: AudienceId, place: tuple[int, int]
) -> OutboxRecord | None:
    return outbox.statement_at(connection, audience, *place)


def _statements(
    records: list[Received], stream: Stream, directory: Directory, now: datetime
) -> list[VerifiedStatement]:
    """Return what this member really signed, the furthest first; what others put there is passed over."""
    found: list[VerifiedStatement] = []
    for record in records:
        try:
            admitted = proven(record.value, stream=stream, directory=directory, now=now)
        except (RecordRefused, StatementRefused, Held):
            continue
        if isinstance(admitted, VerifiedStatement):
            found.append(admitted)
    return sorted(found, key=lambda each: (each.head.epoch, each.head.seq), reverse=True)
