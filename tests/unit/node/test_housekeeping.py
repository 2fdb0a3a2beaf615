"""A node forgets what its audiences' retention is over for, by a directory in force, and nothing before."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from almenara import clock
from almenara.bus.topics import RETENTION_MARGIN, SEGMENT_SPAN
from almenara.clock import to_micros
from almenara.model.ids import AudienceId
from almenara.node.housekeeping import MARGIN, Housekeeping
from almenara.node.member_folder import init_member
from almenara.node.settings import HousekeepingSettings, load_settings
from almenara.store import inbox, quarantine, tables
from almenara.store.database import Store
from almenara.store.inbox import ChainRow, SenderKeyRow
from almenara.trust.directory import GRACE, Expiries, Standing
from unit.store.rows import a_hash, message_row, refusal, statement_row
from unit.store.spoken import HOUR, spoken
from unit.trust.federation import AR, DAY, NOW, REGION, directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from almenara.node.settings import MemberSettings
    from almenara.trust.directory import Directory

RETENTION = timedelta(days=30)
"""Of the audiences in the directory of these tests."""

KEPT = RETENTION + MARGIN
GONE_AT = NOW + KEPT + 5 * HOUR
"""When the last of the five statements, one an hour, is over too."""

COUNTED = ("statement", "message", "sender_key", "outbox", "outgoing", "quarantine")
ROWS = 5


@pytest.fixture
def settings(tmp_path: Path) -> MemberSettings:
    init_member(tmp_path / "PE", member="PE", federation="ams", name="Customs", now=NOW)
    found = load_settings(tmp_path / "PE", environ={})
    found.state.mkdir()
    return replace(found, housekeeping=HousekeepingSettings(interval_s=0.01))


@pytest.fixture
def store(settings: MemberSettings) -> Iterator[Store]:
    """Return a store that came to what it holds at NOW, PE's own words among it."""
    store = Store.create(settings.store_path)
    at = to_micros(NOW)
    chain = ChainRow(audience=REGION, publisher=AR, epoch=1, seq=ROWS - 1, hash=a_hash(1, ROWS - 1))
    key = SenderKeyRow(audience=REGION, publisher=AR, epoch=1, key_id=a_hash("k"), key=bytes(32), kept_at=at)
    store.write_now(lambda c: inbox.save_chains(c, [chain]))
    store.write_now(lambda c: inbox.insert_sender_keys(c, [key]))
    store.write_now(
        lambda c: inbox.insert_statements(
            c, [replace(statement_row(seq), publisher=AR, received_at=at) for seq in range(ROWS)]
        )
    )
    store.write_now(
        lambda c: inbox.insert_messages(
            c, [message_row(seq, publisher=AR, received_at=at) for seq in range(ROWS)]
        )
    )
    store.write_now(
        lambda c: quarantine.keep(c, [replace(refusal(n, publisher=AR), kept_at=at) for n in range(ROWS)])
    )
    spoken(store, statements=ROWS, sent=ROWS)
    yield store
    store.close()


def counts(store: Store) -> list[int]:
    def work(connection: Connection) -> list[int]:
        found = (tables.metadata.tables[name] for name in COUNTED)
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in found]

    return store.read_now(work)


def keeper(settings: MemberSettings, store: Store, known: Directory | None = None) -> Housekeeping:
    return Housekeeping(settings=settings, store=store, directory=lambda: known)


async def test_until_the_margin_is_over_nothing_goes(settings: MemberSettings, store: Store) -> None:
    before = counts(store)
    assert await keeper(settings, store).tidy(directory(), NOW + KEPT) == {}
    assert counts(store) == before == [5, 5, 1, 5, 5, 5]


async def test_what_an_audience_retains_no_longer_goes_and_a_day_later_its_sender_keys(
    settings: MemberSettings, store: Store
) -> None:
    gone = await keeper(settings, store).tidy(directory(), GONE_AT)
    assert gone == {"statements": 4, "refusals": 5, "signed": 3, "messages": 5}
    # The head of the stream stays, and of our own the opener of the epoch and the last that was sent.
    assert counts(store) == [1, 0, 1, 2, 5, 0]
    assert await keeper(settings, store).tidy(directory(), GONE_AT) == {}
    assert await keeper(settings, store).tidy(directory(), GONE_AT + DAY) == {"sender_keys": 1}


async def test_the_id_of_an_own_message_outlives_every_copy_of_it(
    settings: MemberSettings, store: Store
) -> None:
    last = NOW + 2 * KEPT
    await keeper(settings, store).tidy(directory(), last)
    assert counts(store)[4] == 5
    await keeper(settings, store).tidy(directory(), last + 2 * HOUR)
    assert counts(store)[4] == 3


async def test_of_an_audience_that_the_directory_does_not_know_nothing_goes(
    settings: MemberSettings, store: Store
) -> None:
    other = AudienceId("gone")
    rows = [message_row(90, audience=other, received_at=1)]
    store.write_now(lambda c: inbox.insert_messages(c, rows))
    await keeper(settings, store).tidy(directory(), GONE_AT)
    assert counts(store)[1] == 1


def expiring(first: datetime) -> Directory:
    later = first + 400 * DAY
    return replace(directory(), expires=Expiries(root=later, targets=later, snapshot=later, timestamp=first))


async def test_by_an_expired_directory_nothing_goes(settings: MemberSettings, store: Store) -> None:
    now = clock.now()
    old = to_micros(now - 400 * DAY)
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(90, publisher=AR, received_at=old)]))
    known = expiring(now - 4 * DAY)
    assert known.standing(now) is Standing.EXPIRED
    assert await rounds(settings, store, known) == 6
    assert await rounds(settings, store, expiring(now - 2 * DAY)) == 5, "while it is in grace it counts"


async def rounds(settings: MemberSettings, store: Store, known: Directory) -> int:
    """Let the housekeeping look some times and return how many messages are left."""
    looks = 0

    def look() -> Directory:
        nonlocal looks
        looks += 1
        if looks == 3:
            stopping.set()
        return known

    stopping = asyncio.Event()
    async with asyncio.timeout(60):
        await Housekeeping(settings=settings, store=store, directory=look).run(stopping=stopping)
    return counts(store)[1]


def test_a_margin_is_longer_than_the_broker_keeps_more_and_than_a_clock_may_be_wrong() -> None:
    assert MARGIN > RETENTION_MARGIN + SEGMENT_SPAN
    assert MARGIN > DAY + GRACE, "a timestamp is valid for a day"
