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
from msgspec.structs import replace

from almenara import clock
from almenara.crash import Point, crash_point
from almenara.errors import AlmenaraError, Code, Held, RecordRefused, Refused, StatementRefused, Unavailable
from almenara.store import outbox
from almenara.store.outbox import OwnHead
from almenara.trust.admit import VerifiedStatement, proven
from almenara.wire.records import GENESIS_PREV, parse_record, parse_statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.bus.kafka import Reader
    from almenara.bus.received import Received
    from almenara.model.ids import AudienceId, Stream
    from almenara.store.database import Store
    from almenara.store.outbox import OutboxRecord
    from almenara.trust.admit import VerifiedHeartbeat
    from almenara.trust.directory import Directory
    from almenara.wire.records import Head, Heartbeat

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
    head: Callable[[], OwnHead | None],
    directory: Callable[[], Directory],
    retry_s: float,
    tried: asyncio.Event,
) -> OwnHead | None:
    """Mark as sent what the broker holds of a stream, and as unsent the rest, once both can tell.

    Returns a head to go on from where the store was lost and may stand by the broker, else None. Waits
    for broker, directory and store as long as it takes; `tried` is set after the first attempt,
    whatever it came to. Raises Refused BROKER_AHEAD when the broker holds what the store does not.
    """
    fault = ""
    while True:
        try:
            now, known, held = clock.now(), directory(), head()
            if held is None:
                return await _adopted(reader, store, stream=stream, directory=known, now=now)
            after = await compare_tail(reader, store, stream=stream, head=held, directory=known, now=now)
            crash_point(Point.TAIL_COMPARED)
            await store.write(partial(outbox.mark_unsent, audience=stream.audience, after=after))
            crash_point(Point.TAIL_NOTED)
        except AlmenaraError as error:
            if error.code is Code.BROKER_AHEAD:
                raise
            if error.code != fault:
                log.warning("stream.tail_unread", audience=stream.audience, code=error.code, error=error.text)
            fault = error.code
            tried.set()
            await asyncio.sleep(retry_s if isinstance(error, Unavailable) else REFUSED_RETRY_S)
        else:
            return None


async def compare_tail(
    reader: Reader, store: Store, *, stream: Stream, head: OwnHead, directory: Directory, now: datetime
) -> tuple[int, int]:
    """Return up to which (epoch, seq) of ours the broker holds, NOTHING_SENT when it holds nothing.

    Raises Refused BROKER_AHEAD when it holds what the store does not, Unavailable when it does not
    answer.
    """
    async for words in _backwards(reader, stream, directory, now):
        for said in _furthest_first(words):
            place = (said.head.epoch, said.head.seq)
            ours = await store.read(partial(_statement_at, audience=stream.audience, place=place))
            # Whoever stole a key that has ended may go on signing: only what the store knows counts of it.
            if not said.ended or (ours is not None and ours.hash == said.statement_hash):
                opener = (head.epoch, 0)
                opened = await store.read(partial(_statement_at, audience=stream.audience, place=opener))
                return held_up_to(said, ours=ours, head=head, opened=opened)
    return NOTHING_SENT


async def _adopted(
    reader: Reader, store: Store, *, stream: Stream, directory: Directory, now: datetime
) -> OwnHead | None:
    """Return the head to go on from on a stream of which the store knows nothing, None for a new one.

    Raises Refused BROKER_AHEAD where the broker knows more, unless a person has said to stand by it.
    """
    found = await _last_word(reader, stream, directory, now)
    if found is None:
        return None
    if not await store.read(outbox.stands_by_broker):
        raise Refused(
            Code.BROKER_AHEAD,
            f"stream {stream}: the broker holds statement {found.epoch}/{found.seq} of ours, and this store "
            "knows nothing of it; if the store was lost run: almenara epoch open",
        )
    log.critical("store.lost", audience=stream.audience, goes_on_from=[found.epoch, found.seq])
    await store.write(partial(outbox.adopt, head=found))
    return found


async def _last_word(reader: Reader, stream: Stream, directory: Directory, now: datetime) -> OwnHead | None:
    """Return where this member stands by the furthest that it said with a key in force.

    A heartbeat tells it too, of statements signed with an earlier key. What a key that has ended
    signed is not stood by: whoever stole it could write it.
    """
    async for words in _backwards(reader, stream, directory, now):
        said = [word for word in words if not word.ended]
        if said:
            # A heartbeat that knows of no statement is a word too: nothing was said until then.
            heads = [head for word in said if (head := _head_of(word)).seq >= 0]
            return max(heads, key=lambda each: (each.epoch, each.seq), default=None)
    return None


def _head_of(said: VerifiedStatement | VerifiedHeartbeat) -> OwnHead:
    if isinstance(said, VerifiedStatement):
        word: Head | Heartbeat = said.head
        place, digest, key_id = (said.head.epoch, said.head.seq), said.statement_hash, said.key_id
    else:
        word = said.heartbeat
        place, digest, key_id = (word.epoch, word.head_seq), word.head_hash, b""
    return OwnHead(
        audience=word.audience,
        epoch=place[0],
        seq=place[1],
        hash=digest,
        key_id=key_id,
        issued_at=word.issued_at,
        directory_version=word.directory_version,
        fresh_epoch=True,
    )


async def _backwards(
    reader: Reader, stream: Stream, directory: Directory, now: datetime
) -> AsyncIterator[list[VerifiedStatement | VerifiedHeartbeat]]:
    """Yield what this member said last on a stream, then more and more of it; nothing of an empty one."""
    topic = stream.topic(directory.federation)
    begin, end = await reader.begin_offset(topic), await reader.end_offset(topic)
    judge = partial(judged, stream=stream, directory=directory, now=now)
    window = WINDOW
    start = end
    while start > begin:
        start = max(begin, end - window)
        yield [word for word in await reader.judge_from(topic, start, judge) if word is not None]
        window *= 4


def held_up_to(
    last: VerifiedStatement, *, ours: OutboxRecord | None, head: OwnHead, opened: OutboxRecord | None
) -> tuple[int, int]:
    """Return up to which (epoch, seq) of ours the broker holds, by the furthest statement it has.

    `ours` is what the store has at that place, `opened` what opened the head's epoch. Raises Refused
    BROKER_AHEAD if it is not the same and no epoch was opened since, by which the store gave up what
    it does not know; one that stands by nothing gave up nothing.
    """
    place = (last.head.epoch, last.head.seq)
    if ours is not None and ours.hash == last.statement_hash:
        return place
    if head.fresh_epoch:
        return (head.epoch, head.seq)  # the next statement opens an epoch
    if head.epoch > last.head.epoch and (opened is None or _prev_of(opened) != GENESIS_PREV):
        return (head.epoch, -1)  # it was opened, and did not leave before a crash
    raise Refused(
        Code.BROKER_AHEAD,
        f"stream {last.stream}: the broker holds statement {place[0]}/{place[1]} of ours, which this store"
        " never made; if the store was restored from a backup run: almenara epoch open; if it was not,"
        " somebody else has the signing key: almenara member rotate",
    )


def _prev_of(said: OutboxRecord) -> bytes:
    return parse_statement(parse_record(said.record).payload).head.prev


def _statement_at(
    connection: Connection, *, audience: AudienceId, place: tuple[int, int]
) -> OutboxRecord | None:
    return outbox.statement_at(connection, audience, *place)


def judged(
    record: Received, *, stream: Stream, directory: Directory, now: datetime
) -> VerifiedStatement | VerifiedHeartbeat | None:
    """Return what this member really signed, None for what others put there.

    Without the bytes of a statement: those of a whole window would be 32 MiB and more.
    """
    try:
        said = proven(record.value, stream=stream, directory=directory, now=now)
    except (RecordRefused, StatementRefused, Held):
        return None
    return replace(said, record=b"", content=b"") if isinstance(said, VerifiedStatement) else said


def _furthest_first(words: Iterable[VerifiedStatement | VerifiedHeartbeat]) -> list[VerifiedStatement]:
    found = [said for said in words if isinstance(said, VerifiedStatement)]
    return sorted(found, key=lambda each: (each.head.epoch, each.head.seq), reverse=True)
