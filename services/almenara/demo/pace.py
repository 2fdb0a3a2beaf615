"""How do hundreds of members share one machine for half an hour? What grows with their number, and how.

Every reader reads every statement, and each of its fetches names every stream: what each member says by
itself costs members squared, and a little of it members cubed. In service each member has its own machine.
Here all share two cores, so what they say by themselves comes the rarer the more there are of them, and
rows are taken no faster than all can read them (ADR 0012). Measured on two shared cores.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from almenara.demo.ledger import open_ledger
from almenara.node.settings import ENVIRONMENT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from almenara.demo.chains import Place
    from almenara.model.ids import MemberId, Stream

COPY_S = 2e-3
COPY_STREAM_S = 90e-6
"""Processor time for one statement to one reader, broker and fetch included, and for each stream beside it:
650 a second with 12 members, 107 with 185."""

FETCH_STREAM_S = 65e-6
"""Processor time for each stream that a fetch names, whether it brings anything or not."""

HEARTBEAT_S = 0.4e-3
"""Processor time of one reader for one heartbeat."""

CORES = 2.0

RECEIPTS_SHARE = 0.5
HEARTBEATS_SHARE = 0.05
FETCHES_SHARE = 0.1
"""What of the processors the members' own talk, and asking for it, may take at most."""

AUDIT_COPY_S = 25e-6
"""Time of the audit for one statement in one store."""

UNREAD_MAX = 50_000
UNREAD_FIRST = 20_000
"""Statements times readers that may wait to be read, and so many before anybody knows how fast they read."""

RATE_S = 30.0
"""How long must be looked before a rate is believed: the first fetches bring nothing for a while."""

LOOK_S = 0.5
LOOK_EACH_S = 0.02
"""Between two looks into the stores, and more for each store: a look takes 1 ms a store."""

SETTLE_S = 20.0
"""What the nodes take to end and the report to be written."""


def intervals(members: int) -> Mapping[str, float]:
    """Return the settings of every node in a federation of so many in one machine."""
    each_s = members / 100
    return {
        "publisher.receipt_interval_s": max(2.0, receipts_s(members) / RECEIPTS_SHARE),
        "publisher.heartbeat_interval_s": max(30.0, members**2 * HEARTBEAT_S / CORES / HEARTBEATS_SHARE),
        "publisher.store_poll_s": max(0.1, each_s),
        "subscriber.directory_poll_s": max(1.0, 20 * each_s),
        "subscriber.watch_interval_s": max(2.0, members**2 / 100),
        "subscriber.poll_s": max(0.2, each_s),
        "subscriber.fetch_wait_s": max(0.5, members**2 * FETCH_STREAM_S / CORES / FETCHES_SHARE),
        # A broker of so many readers answers late, and who gives up and asks again has it answer later still.
        "subscriber.request_timeout_s": max(10.0, 60 * each_s),
        "subscriber.fetch_min_bytes": 1 if members < 20 else 1_000_000,
    }


def environment(members: int) -> Mapping[str, str]:
    """Return these settings as a node's process takes them."""
    return {
        ENVIRONMENT_PREFIX + name.replace(".", "_").upper(): str(value)
        for name, value in intervals(members).items()
    }


def receipts_s(members: int) -> float:
    """Return how long all members are busy with one receipt of each."""
    return members**2 * (COPY_S + members * COPY_STREAM_S) / CORES


def counted(stores: Mapping[MemberId, Path]) -> tuple[int, int]:
    """Return how many statements all readers together have read, and how many they still have to.

    Raises sqlite3.Error for a file that is no store.
    """
    ends: dict[Stream, Place] = {}
    heard: dict[MemberId, Mapping[Stream, Place]] = {}
    for member, path in stores.items():
        with open_ledger(member, path) as ledger:
            ends |= ledger.own_ends()
            heard[member] = ledger.heard_ends()
    read = unread = 0
    for member, reached in heard.items():
        read += sum(place.seq + 1 for place in reached.values())
        for stream, end in ends.items():
            if stream.publisher != member:
                place = reached.get(stream)
                there = place.seq if place is not None and place.epoch == end.epoch else -1
                unread += max(0, end.seq - there)
    return read, unread


class Look(NamedTuple):
    """What the stores said at one moment: statements times readers, in all and still to be read."""

    read: int
    unread: int
    at: float


class Pace:
    """Take rows no faster than they are read, and stop while there is time to read the rest.

    `look` counts in the stores. `end` is the time of `time.monotonic` by which all must be done.
    """

    def __init__(self, look: Callable[[], tuple[int, int]], *, members: int, end: float) -> None:
        self._look = look
        self._readers = members - 1
        self.interval_s = LOOK_S + LOOK_EACH_S * members
        self._receipts_s = receipts_s(members)
        self._ending_s = SETTLE_S + intervals(members)["publisher.receipt_interval_s"]
        self._end = end
        self._first: Look | None = None
        self._last = Look(0, 0, 0.0)
        self._taken = self._published = self._seen = 0
        self.stopped = False

    def __str__(self) -> str:
        """Tell how much is to be read, and for how long rows are taken yet."""
        if not self.rate:
            return f"{self.unread} copies of statements to be read"
        return (
            f"{self.unread} copies of statements to be read at {self.rate:.0f} a second; "
            f"rows are taken for {max(0.0, self.left_s) / 60:.0f} minutes more"
        )

    async def more(self) -> bool:
        """Return True once the next row may be taken, False if none may be any more."""
        while not self.stopped:
            if time.monotonic() - self._last.at > self.interval_s:
                await self.look()
            if self.left_s <= 0:
                self.stopped = True
            elif self.unread <= (UNREAD_MAX if self.rate else UNREAD_FIRST):
                self._taken += 1
                return True
            else:
                await asyncio.sleep(self.interval_s)
        return False

    def published(self) -> None:
        """Note that a row that was taken stands in its author's store, or never will."""
        self._published += 1

    async def look(self) -> None:
        """Count again."""
        published = self._published
        read, unread = await asyncio.to_thread(self._look)
        self._last = Look(read, unread, time.monotonic())
        self._seen = published
        self._first = self._first or self._last

    @property
    def unread(self) -> int:
        """Return how many statements times readers wait to be read, with the rows that the look did not see.

        They are under way to their author's store, or came there since; some rows are several messages.
        """
        return self._last.unread + max(0, self._taken - self._seen) * self._readers

    @property
    def rate(self) -> float:
        """Return how many statements times readers are read a second; 0 as long as nobody can tell."""
        if self._first is None or self._last.at < self._first.at + RATE_S:
            return 0.0
        return (self._last.read - self._first.read) / (self._last.at - self._first.at)

    @property
    def left_s(self) -> float:
        """Return for how long rows may still be taken if all is to be read, confirmed and audited in time."""
        reading_s = confirming_s = 0.0
        if self.rate:
            # Receipts of earlier rows are written meanwhile, and take their share of what is read.
            reading_s = self.unread / self.rate / (1 - RECEIPTS_SHARE)
            confirming_s = self._readers * (self._readers + 1) / self.rate
        auditing_s = (self._last.read + self.unread) * AUDIT_COPY_S
        ending_s = self._ending_s + max(self._receipts_s, confirming_s)
        return self._end - time.monotonic() - reading_s - auditing_s - ending_s
