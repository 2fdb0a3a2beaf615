"""What does this member confirm to an audience, and when? Its RECEIVED vector, from its store.

    statement that asks for a receipt --> due --> vector published --> noted

A crash before the note confirms twice: the vector is cumulative, so the second says the same.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from almenara import clock
from almenara.clock import to_micros
from almenara.crash import Point, crash_point
from almenara.errors import AlmenaraError, Unavailable
from almenara.model.bodies import Excepted, Receipt, Received
from almenara.model.codes import Tlp
from almenara.model.messages import Handling, Message
from almenara.model.uuid7 import uuid7
from almenara.model.values import Digest
from almenara.store import inbox, witness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.model.ids import AudienceId
    from almenara.store.database import Store
    from almenara.store.inbox import ChainRow
    from almenara.wire.chain import OpenGap

EXCEPTED_MAX = 1000
"""Ranges of unopened statements in a receipt, shared by its streams: with 200 streams it fits a message."""

UNOPENED_MAX = 1000
"""Unopened statements looked at; one code after another they are few ranges."""

OLDER_UNOPENED = "OLDER_UNOPENED"
"""Excepts all below what there is room for, opened or not: never claim too much."""

VALIDITY = timedelta(days=1)

log = structlog.get_logger()


async def confirm_what_was_received(
    store: Store,
    publish: Callable[[Message, AudienceId], Awaitable[object]],
    *,
    may_publish: Callable[[AudienceId], bool],
    stopping: asyncio.Event,
    poll_s: float,
    interval_s: float,
) -> None:
    """Publish a receipt whenever one is due: the first at once, then one an interval and audience."""
    last: dict[AudienceId, float] = {}
    loop = asyncio.get_running_loop()
    while not stopping.is_set():
        await asyncio.sleep(poll_s)
        try:
            due = await store.read(witness.receipts_due)
        except Unavailable as error:
            log.warning("receipts.not_read", code=error.code, error=error.text)
            continue
        for audience, mark in due.items():
            early = loop.time() - last.get(audience, -interval_s) < interval_s
            if early or not may_publish(audience):
                continue
            last[audience] = loop.time()
            try:
                received = await store.read(partial(vector, audience=audience))
                now = clock.now()
                await publish(receipt_message(received, now=now), audience)
                crash_point(Point.RECEIPT_ACCEPTED)
                note = partial(witness.note_receipt, audience=audience, mark=mark, at=to_micros(now))
                await store.write(note)
                crash_point(Point.RECEIPT_NOTED)
            except AlmenaraError as error:
                log.warning("receipt.unsent", audience=audience, code=error.code, error=error.text)


def vector(connection: Connection, audience: AudienceId) -> tuple[Received, ...]:
    """Return how far each stream of the audience was received, and what of it was not opened.

    A statement passed over by a gap, refused, or older than where this reader began is excepted:
    the author must never count it as received (THREATS 30).
    """
    gaps = inbox.gaps(connection)
    rows = [row for row in inbox.chains(connection).values() if row.audience == audience and row.seq >= 0]
    return tuple(
        Received(
            publisher=row.publisher,
            epoch=row.epoch,
            seq=row.seq,
            hash=Digest(row.hash),
            excepted=_excepted(
                row,
                gaps.get(row.stream, ()),
                inbox.unopened(connection, row.stream, row.epoch, limit=UNOPENED_MAX),
                room=max(1, EXCEPTED_MAX // len(rows)),
            ),
        )
        for row in rows
    )


def _excepted(
    row: ChainRow, gaps: Sequence[OpenGap], unopened: Sequence[tuple[int, str]], *, room: int
) -> tuple[Excepted, ...]:
    found = _ranges(unopened)
    for gap in gaps:
        missing = gap.missing(row.epoch)
        if missing is not None:
            found.append(Excepted(first_seq=missing[0], last_seq=missing[1], code="GAP"))
    if row.anchor_epoch == row.epoch and row.anchor_seq > 0:
        found.append(Excepted(first_seq=0, last_seq=row.anchor_seq - 1, code="BEFORE_ANCHOR"))
    found.sort(key=lambda excepted: excepted.first_seq)
    known_from = unopened[0][0] if len(unopened) == UNOPENED_MAX else 0
    if len(found) > room:
        known_from = max(known_from, found[-room].first_seq)
    kept = [excepted for excepted in found if excepted.first_seq >= known_from]
    if known_from > 0:
        kept.insert(0, Excepted(first_seq=0, last_seq=known_from - 1, code=OLDER_UNOPENED))
    return tuple(kept)


def _ranges(unopened: Sequence[tuple[int, str]]) -> list[Excepted]:
    """Return statements that follow one another with the same code as one entry."""
    found: list[Excepted] = []
    for seq, code in unopened:
        if found and (found[-1].last_seq, found[-1].code) == (seq - 1, code):
            found[-1] = Excepted(first_seq=found[-1].first_seq, last_seq=seq, code=code)
        else:
            found.append(Excepted(first_seq=seq, last_seq=seq, code=code))
    return found


def receipt_message(received: tuple[Received, ...], *, now: datetime) -> Message:
    """Return the receipt that carries the vector to its audience."""
    return Message(
        message_id=uuid7(now),
        issued_at=now,
        expires_at=now + VALIDITY,
        handling=Handling(tlp=Tlp.GREEN),
        body=Receipt(received=received),
    )
