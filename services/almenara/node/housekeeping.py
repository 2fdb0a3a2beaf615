"""What does a node forget, and when? What its audiences' retention is over for, some rows at a time.

    every interval: directory -> cutoffs -> slices of rows, oldest first -> free pages -> old key files

A slice is a transaction of some milliseconds, after which it rests nine times as long: publishing and
receiving never wait for more than one. A crash leaves fewer old rows, and the next pass goes on. By an
expired directory nothing goes: the clock may be wrong that says so, and so may the retention.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from almenara import clock
from almenara.clock import to_micros
from almenara.errors import Unavailable
from almenara.node.old_keys import drop_old_keys
from almenara.store import compaction, outbox, retention
from almenara.store.retention import Cutoff
from almenara.trust.directory import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from typing import TypeVar

    from sqlalchemy import Connection

    from almenara.model.ids import AudienceId, Stream
    from almenara.node.settings import MemberSettings
    from almenara.store.database import Store
    from almenara.trust.directory import Directory

    T = TypeVar("T")

MARGIN = timedelta(days=7)
"""How much longer than its audience's retention something is kept. Longer than the broker keeps it (a day and
a segment), so that what a reader meets there is known for a duplicate; and longer than a clock can run ahead
before the directory has expired by it (24 hours and 72 of grace), so that none deletes early."""

KEY_SPAN = timedelta(days=1)
"""How long after its announcement a sender key may still have sealed something (DESIGN 3)."""

SLICE_S = 0.005
"""How long a slice may work: a publish at rest takes about as long. By its thread's own time, for on a busy
machine every slice is slow, and a smaller one no quicker."""

REST = 9.0
"""How many times as long as a slice took the store rests: a tenth of its time at most goes into this."""

ROWS_MIN, ROWS_MAX = 32, 1024
"""Rows a slice, between which it finds the size that fits: a record may have 300 bytes or 500 KB."""

log = structlog.get_logger()


class Housekeeping:
    """Trim one member's store and keys by the directory in force."""

    def __init__(
        self, *, settings: MemberSettings, store: Store, directory: Callable[[], Directory | None]
    ) -> None:
        self._settings = settings
        self._store = store
        self._directory = directory
        self._rows = ROWS_MIN

    async def run(self, *, stopping: asyncio.Event) -> None:
        """Trim until `stopping` is set; while the store cannot be written, a later time will do."""
        async with asyncio.TaskGroup() as tasks:
            tidying = tasks.create_task(self._again_and_again())
            await stopping.wait()
            tidying.cancel()

    async def _again_and_again(self) -> None:
        while True:
            directory, now = self._directory(), clock.now()
            if directory is not None and directory.standing(now) is not Standing.EXPIRED:
                try:
                    await self.tidy(directory, now)
                except Unavailable as error:
                    log.warning("store.not_trimmed", code=error.code, error=error.text)
            await asyncio.sleep(self._settings.housekeeping.interval_s)

    async def tidy(self, directory: Directory, now: datetime) -> Mapping[str, int]:
        """Drop everything whose retention is over, and return how much of each kind went."""
        gone: Counter[str] = Counter()
        cutoffs = cutoffs_of(directory, now)
        for stream in await self._store.read(retention.streams):
            if stream.audience in cutoffs:
                await self._heard(stream, cutoffs[stream.audience], gone)
        for audience in await self._store.read(outbox.own_heads):
            if audience in cutoffs:
                await self._said(audience, cutoffs[audience], gone)
        for audience, cutoff in cutoffs.items():
            gone["messages"] += await self._all(
                partial(retention.drop_messages, audience=audience, before=cutoff.before)
            )
            gone["sender_keys"] += await self._all(
                partial(retention.drop_sender_keys, audience=audience, before=cutoff.keys_before)
            )
        gone["pages"] += await self._all(compaction.give_back)
        longest = max((each.retention_days for each in directory.audiences.values()), default=0)
        before = now - timedelta(days=longest) - MARGIN
        gone["key_files"] += await asyncio.to_thread(drop_old_keys, self._settings, directory, before=before)
        found = {name: count for name, count in gone.items() if count}
        if found:
            log.info("store.trimmed", **found)
        return found

    async def _heard(self, stream: Stream, cutoff: Cutoff, gone: Counter[str]) -> None:
        place: tuple[int, int] | None = retention.FIRST
        while place is not None:
            count, place = await self._slice(
                partial(retention.drop_statements, stream=stream, before=cutoff.before, after=place)
            )
            gone["statements"] += count
        gone["refusals"] += await self._all(
            partial(retention.drop_refusals, stream=stream, before=cutoff.before)
        )

    async def _said(self, audience: AudienceId, cutoff: Cutoff, gone: Counter[str]) -> None:
        gone["signed"] += await self._all(
            partial(retention.drop_own_statements, audience=audience, before=cutoff.before)
        )
        member = self._settings.member
        gone["identities"] += await self._all(
            partial(
                retention.drop_identities, audience=audience, member=member, before=cutoff.identity_before
            )
        )

    async def _all(self, work: Callable[..., int]) -> int:
        """Do one slice after another until nothing is left for it; return how much went."""
        total = 0
        while count := await self._slice(work):
            total += count
        return total

    async def _slice(self, work: Callable[..., T]) -> T:
        """Do one transaction of a fitting size, then rest."""

        def measured(connection: Connection) -> tuple[T, float]:
            began = time.thread_time()
            return work(connection, limit=self._rows), time.thread_time() - began

        began = time.perf_counter()
        found, took_s = await self._store.write(measured)
        if took_s > SLICE_S:
            self._rows = max(ROWS_MIN, self._rows // 2)
        elif took_s < SLICE_S / 4:
            self._rows = min(ROWS_MAX, self._rows * 2)
        await asyncio.sleep((time.perf_counter() - began) * REST)
        return found


def cutoffs_of(directory: Directory, now: datetime) -> dict[AudienceId, Cutoff]:
    """Return what goes now in each audience that the directory knows; of others nothing goes.

    A reader that was away may take a message up as late as the broker still keeps it, and keeps it for as
    long again. The ids of our own outlive that, so that one said twice is never delivered twice.
    """
    found = {}
    for audience in directory.audiences.values():
        kept = timedelta(days=audience.retention_days) + MARGIN
        found[audience.id] = Cutoff(
            audience=audience.id,
            before=_micros(now, kept),
            identity_before=_micros(now, 2 * kept),
            keys_before=_micros(now, kept + KEY_SPAN),
        )
    return found


def _micros(now: datetime, ago: timedelta) -> int:
    return to_micros(now) - ago // timedelta(microseconds=1)
