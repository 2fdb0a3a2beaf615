"""Who is handed which sender keys, and when is a debt paid?"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code, Unavailable
from almenara.model.bodies import Receipt
from almenara.publisher.shares import KEYS_MAX, payable, share_message, share_owed_keys
from almenara.store import inbox, owed
from almenara.store.database import Store
from almenara.store.inbox import SenderKeyRow
from almenara.store.owed import Debt, OwedKey
from almenara.trust.targets import audience_target
from almenara.wire.messages import MESSAGE_MAX, encode_message
from almenara.wire.seal import sender_key_id
from unit.trust.federation import (
    AR,
    CL,
    CONDOR,
    DAY,
    ENROLMENTS,
    NOW,
    PE,
    REGION,
    audience_file,
    directory,
    enrol,
    targets,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from almenara.model.ids import AudienceId, MemberId
    from almenara.model.messages import Message
    from almenara.trust.directory import Directory

KEYLESS = directory(targets(ENROLMENTS[PE], enrol(AR, sealing=False), ENROLMENTS[CL]))
KEYED = directory(version=2)
POLL_S = 0.01


def debt(number: int, member: MemberId = AR, audience: AudienceId = REGION, *, entitled: bool = True) -> Debt:
    key = number.to_bytes(32, "big")
    row = OwedKey(
        member=member, audience=audience, epoch=number, key_id=sender_key_id(key), entitled=entitled
    )
    return Debt(owed=row, key=key)


def keep(store: Store, *debts: Debt) -> None:
    rows = [
        SenderKeyRow(
            audience=each.owed.audience,
            publisher=PE,
            epoch=each.owed.epoch,
            key_id=each.owed.key_id,
            key=each.key,
            kept_at=1,
        )
        for each in debts
    ]
    store.write_now(lambda c: inbox.insert_sender_keys(c, rows))
    store.write_now(lambda c: owed.note(c, [each.owed for each in debts]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.create(tmp_path / "almenara.db")
    yield store
    store.close()


def owed_now(store: Store, member: MemberId = AR, *, limit: int = 10_000) -> list[Debt]:
    return store.read_now(lambda c: owed.debts(c, member, REGION, publisher=PE, limit=limit))


def test_debts_come_oldest_first_and_go_when_they_are_settled(store: Store) -> None:
    first, second, other = debt(1), debt(2, entitled=False), debt(2, CL)
    keep(store, second, first, other, debt(3, audience=CONDOR))
    keep(store, first)
    assert owed_now(store) == [first, second]
    assert owed_now(store, limit=1) == [first]
    assert store.read_now(owed.owed_to) == {(AR, REGION), (CL, REGION), (AR, CONDOR)}
    store.write_now(lambda c: owed.settle(c, [first.owed]))
    assert owed_now(store) == [second]
    assert owed_now(store, CL) == [other]


def test_a_key_of_another_member_is_no_debt_of_ours(store: Store) -> None:
    theirs = debt(1)
    row = SenderKeyRow(
        audience=REGION, publisher=CL, epoch=1, key_id=theirs.owed.key_id, key=theirs.key, kept_at=1
    )
    store.write_now(lambda c: inbox.insert_sender_keys(c, [row]))
    store.write_now(lambda c: owed.note(c, [theirs.owed]))
    assert owed_now(store) == []


def test_debts_are_paid_to_who_is_keyed_in_an_audience_that_both_are_in() -> None:
    due = {(AR, REGION), (AR, CONDOR), (CL, CONDOR)}
    ask = partial(payable, due, member=PE, now=NOW)
    assert ask(directory=KEYLESS) == []
    assert ask(directory=KEYED) == [(AR, CONDOR), (AR, REGION)]
    over = targets() | {audience_target(CONDOR): audience_file(PE, AR, closes_at=NOW - 31 * DAY)}
    assert ask(directory=directory(over)) == [(AR, REGION)]
    left = targets() | {audience_target(CONDOR): audience_file(PE, CL)}
    assert ask(directory=directory(left)) == [(AR, REGION), (CL, CONDOR)]


def test_a_list_of_others_is_noise_that_differs_each_time() -> None:
    first, second = (share_message([debt(1), debt(2, entitled=False)], now=NOW).body for _ in range(2))
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert bytes(first.keys[0].key) == bytes(second.keys[0].key) == debt(1).key
    assert len({debt(2).key, bytes(first.keys[1].key), bytes(second.keys[1].key)}) == 3
    assert debt(1).key.hex() not in repr(first)


def test_the_most_keys_of_a_receipt_fit_a_message() -> None:
    item = encode_message(share_message([debt(n + 2**40) for n in range(KEYS_MAX)], now=NOW))
    assert len(item) < MESSAGE_MAX


class Office:
    """What the publisher lends: what was said, and whether it may be said now."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.known: Directory | None = None
        self.said: list[tuple[Message, AudienceId, MemberId]] = []
        self.fails = 0
        self.held = False
        self.stopping = asyncio.Event()

    async def publish(self, message: Message, audience: AudienceId, reader: MemberId) -> None:
        if self.fails:
            self.fails -= 1
            raise Unavailable(Code.OUTBOX_FULL, "outbox: full", retry_after_s=0.0)
        self.said.append((message, audience, reader))

    def directory(self) -> Directory | None:
        if not owed_now(self.store):
            self.stopping.set()
        return self.known

    async def run(self) -> None:
        """Share until `stopping` is set."""
        await share_owed_keys(
            self.store,
            self.publish,
            member=PE,
            directory=self.directory,
            may_publish=lambda _audience: not self.held,
            stopping=self.stopping,
            poll_s=POLL_S,
        )

    async def pay(self) -> None:
        """Share until nothing is owed to AR."""
        async with asyncio.timeout(60):
            await self.run()


async def test_keys_are_shared_once_the_directory_lists_the_readers_key(store: Store) -> None:
    keep(store, *(debt(number) for number in range(KEYS_MAX + 1)))
    office = Office(store)
    office.known, office.fails = KEYED, 1
    await office.pay()
    assert [(audience, reader) for _, audience, reader in office.said] == [(REGION, AR)] * 2
    shared = [key.epoch for message, *_ in office.said for key in message.body.keys]  # type: ignore[union-attr]
    assert shared == list(range(KEYS_MAX + 1))


@pytest.mark.parametrize(("known", "held"), [(None, False), (KEYLESS, False), (KEYED, True)])
async def test_nothing_is_shared_before_it_may_be(
    store: Store,
    known: Directory | None,
    held: bool,  # noqa: FBT001 - a case of the table
) -> None:
    keep(store, debt(1))
    office = Office(store)
    office.known, office.held = known, held
    asyncio.get_running_loop().call_later(10 * POLL_S, office.stopping.set)
    await office.run()
    assert office.said == []
