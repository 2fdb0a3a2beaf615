"""Rows are taken no faster than they are read, and stop while the rest can still be read in time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from almenara import clock
from almenara.demo import pace
from almenara.demo.pace import UNREAD_FIRST, UNREAD_MAX, Pace, counted, environment, intervals
from almenara.node.member_folder import init_member
from almenara.node.settings import load_settings
from almenara.publisher.settings import PublisherSettings
from almenara.store import inbox
from almenara.store.database import Store
from almenara.store.inbox import ChainRow
from unit.store.rows import AR, CL, PE, REGION, own_head, says

if TYPE_CHECKING:
    from pathlib import Path

LONG_S = 10_000.0


class Reading:
    """What is read and still to be read, as a test says."""

    def __init__(self, *, read: int = 0, unread: int = 0) -> None:
        self.read, self.unread = read, unread
        self.looks = 0

    def __call__(self) -> tuple[int, int]:
        self.looks += 1
        return self.read, self.unread


async def test_rows_are_taken_while_readers_keep_up() -> None:
    reading = Reading(read=100)
    taking = Pace(reading, members=12, end=time.monotonic() + LONG_S)
    assert [await taking.more() for _ in range(1000)] == [True] * 1000
    assert reading.looks == 1
    assert taking.unread == 1000 * 11
    assert not taking.stopped


async def test_rows_wait_until_enough_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LOOK_S", 0.01)  # an interval, not the behaviour
    monkeypatch.setattr(pace, "RATE_S", 0.01)
    reading = Reading(unread=UNREAD_FIRST + 1)
    taking = Pace(reading, members=2, end=time.monotonic() + LONG_S)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await taking.more()
    assert reading.looks > 2
    reading.unread, reading.read = 0, UNREAD_MAX + 1
    assert await taking.more()
    assert taking.rate > 0


async def test_rows_are_taken_no_more_when_the_rest_needs_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pace, "LOOK_S", 0.01)
    monkeypatch.setattr(pace, "RATE_S", 0.01)
    reading = Reading(unread=15_000)
    taking = Pace(reading, members=2, end=time.monotonic() + 1000.0)
    assert await taking.more()
    await asyncio.sleep(0.1)
    reading.read += 1  # a handful of copies a second: the others would need hours
    assert not await taking.more()
    assert taking.stopped
    reading.unread = 0
    assert not await taking.more()


async def test_a_row_under_way_counts_until_a_look_may_have_seen_it() -> None:
    reading = Reading(read=100)
    taking = Pace(reading, members=12, end=time.monotonic() + LONG_S)
    assert [await taking.more() for _ in range(3)] == [True] * 3
    taking.published()
    await taking.look()  # its author's store has it, and so has this look
    assert taking.unread == 2 * 11


async def test_the_first_moments_tell_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LOOK_S", 0.01)
    reading = Reading(unread=15_000)
    taking = Pace(reading, members=2, end=time.monotonic() + 1000.0)
    assert await taking.more()
    await asyncio.sleep(0.1)
    reading.read += 1
    await taking.look()
    assert await taking.more()
    assert taking.rate == 0


async def test_while_the_rest_is_read_receipts_take_half_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LOOK_S", 0.01)
    monkeypatch.setattr(pace, "RATE_S", 0.01)
    reading = Reading(unread=10_000)
    taking = Pace(reading, members=2, end=time.monotonic() + LONG_S)
    await taking.more()
    began = time.monotonic()
    await asyncio.sleep(0.1)
    reading.read += 1000
    await taking.look()
    spent = time.monotonic() - began
    rest = LONG_S - spent - taking.left_s
    assert rest > 2 * 10_000 / taking.rate
    assert rest < 2 * 10_000 / taking.rate + 60  # what the ending takes


async def test_no_row_is_taken_when_the_ending_alone_needs_the_time() -> None:
    assert not await Pace(Reading(), members=185, end=time.monotonic() + 300.0).more()


def test_the_stores_tell_what_is_read_and_what_is_not(tmp_path: Path) -> None:
    paths = {member: tmp_path / f"{member}.db" for member in (PE, AR, CL)}
    stores = {member: Store.create(path) for member, path in paths.items()}
    try:
        head = None
        for seq in range(3):
            head = says(stores[PE], head, own_head(seq), seq)
        stores[AR].write_now(lambda c: inbox.save_chains(c, [reached(seq=1)]))
        stores[CL].write_now(lambda c: inbox.save_chains(c, [reached(seq=5, epoch=0)]))
        assert counted(paths) == (2 + 6, 1 + 3)
    finally:
        for store in stores.values():
            store.close()


def reached(*, seq: int, epoch: int = 1) -> ChainRow:
    return ChainRow(audience=REGION, publisher=PE, epoch=epoch, seq=seq)


def test_every_interval_is_a_setting_of_a_node(tmp_path: Path) -> None:
    init_member(tmp_path / "PE", member="PE", federation="ams", name="Peru", now=clock.now())
    made = load_settings(tmp_path / "PE", environ=environment(185))
    for name, value in intervals(185).items():
        section, key = name.split(".")
        assert getattr(getattr(made, section), key) == pytest.approx(value)


def test_few_members_keep_the_intervals_of_service() -> None:
    few = intervals(12)
    assert few["publisher.receipt_interval_s"] == 2.0
    assert few["publisher.heartbeat_interval_s"] == PublisherSettings().heartbeat_interval_s
    assert few["subscriber.fetch_min_bytes"] == 1
