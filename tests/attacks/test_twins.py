"""No publisher says two things at one place, whatever wakes beside it or is hidden from it (THREATS 9)."""

from __future__ import annotations

import asyncio
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

import almenara
from alerts import new_alert
from almenara.bus.admin import Admin
from almenara.bus.kafka import Reader
from almenara.errors import Code, StatementRefused
from almenara.model.ids import REGION, Stream
from almenara.node import watch
from almenara.node.answers import StreamState
from almenara.publisher.accept import accept
from almenara.publisher.groups import grouped
from almenara.publisher.receipts import receipt_message, vector
from almenara.publisher.sealing import Sealer
from almenara.store import outbox
from almenara.store.database import Store
from almenara.trust.certificates import client_context
from almenara.trust.heldkeys import HeldKeys
from attacks.conftest import MEMBERS
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import CL, KEYS, NOW, PE, directory

if TYPE_CHECKING:
    from almenara.publisher.sealing import Draft, KeyRing
    from almenara.trust.keyuri import Signer
    from node_site import NodeSite

pytestmark = pytest.mark.attacks

PATIENCE_S = 60


class Twin:
    """One of two processes that speak for PE over the same store, each with what it remembers."""

    def __init__(self, store: Path) -> None:
        self.store = Store.open(store)
        held: HeldKeys[Signer] = HeldKeys([KEYS[PE].signing])
        self._sealer = Sealer(federation="ams", member=PE, signing_keys=held)
        self._heads = self.store.read_now(outbox.own_heads)
        self._draft: tuple[Draft, KeyRing] | None = None

    def signs(self, number: int) -> None:
        """Seal and sign the next statement by what it remembers, as a writer does before its commit."""
        accepted = accept(alert(number), member=PE, audience=REGION, to=None, directory=directory(), now=NOW)
        drafts, keys = self._sealer.draft(
            list(grouped([accepted])), heads=self._heads, directory=directory(), now=NOW
        )
        (draft,) = drafts
        self._draft = draft, keys

    def commits(self) -> bytes | None:
        """Return the record to send, None if the store refuses to know it."""
        if self._draft is None:
            return None
        (draft, keys), self._draft = self._draft, None
        try:
            self.store.write_now(
                lambda c: outbox.append(
                    c,
                    before=draft.before,
                    after=draft.after,
                    records=draft.records,
                    messages=draft.messages,
                )
            )
        except StatementRefused as refusal:
            if refusal.code is not Code.EQUIVOCATION:
                raise
            return None
        self._sealer.adopt(keys)
        self._heads = {REGION: draft.after}
        return draft.records[-1].record

    def starts_again(self) -> None:
        """Load the heads from the store, as a process does that starts."""
        self._heads = self.store.read_now(outbox.own_heads)
        self._draft = None


STEPS = ("signs", "commits", "starts again")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(STEPS)), max_size=40))
def test_of_two_twins_over_one_store_no_place_is_ever_sent_twice(steps: list[tuple[bool, str]]) -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder) / "almenara.db"
        Store.create(place).close()
        twins = (Twin(place), Twin(place))
        with closing(twins[0].store), closing(twins[1].store):
            sent: list[bytes] = []
            for number, (second, step) in enumerate(steps):
                twin = twins[second]
                match step:
                    case "signs":
                        twin.signs(number)
                    case "commits":
                        if (record := twin.commits()) is not None:
                            sent.append(record)
                    case _:
                        twin.starts_again()
            reader = ReaderSite(Path(folder), CL)
            with closing(reader.store):
                assert reader.reads(*sent).delivered == len(sent), "one whole chain"


def test_a_restored_store_whose_tail_is_hidden_is_told_by_the_receipts_of_others(tmp_path: Path) -> None:
    """The broker shows what the backup knows; the readers have seen more, and say so to the author."""
    author, reader = Author(), ReaderSite(tmp_path, CL)
    kept = author.says(alert(1))
    backup = author.head
    reader.reads(kept, author.says(alert(2)))
    receipt = Author(CL).says(receipt_message(reader.store.read_now(lambda c: vector(c, REGION)), now=NOW))

    assert backup is not None
    restored = ReaderSite(tmp_path, PE, Stream(REGION, CL))
    restored.store.write_now(lambda c: outbox.append(c, before=None, after=backup, records=(), messages=()))
    restored.reads(receipt)
    found = restored.store.read_now(lambda c: watch.facts(c, PE, directory(), now=NOW))
    own = next(each for stream, each in found.own.items() if stream == Stream(REGION, PE))
    shown = watch.views(
        replace(found, own={Stream(REGION, PE): own}, heard={}),
        directory=directory(),
        faults={},
        now=NOW,
        withheld_after=PATIENCE_S * (NOW - NOW),
    )
    assert [view.state for view in shown] == [StreamState.EQUIVOCATION]
    assert "epoch" in shown[0].detail


@pytest.mark.integration
async def test_a_publisher_whose_tail_the_operator_hides_sends_the_same_bytes_again(site: NodeSite) -> None:
    """The store is the authority: an emptied topic is filled as it was, and nothing is signed anew."""
    member = MEMBERS[2]
    topic = Stream(REGION, site[member].member).topic("ams")
    async with almenara.connect(site[member]) as bus:
        for _ in range(3):
            await bus.publish(new_alert())
    context = client_context(
        certificate=site.federation.operator_path,
        key=site.federation.operator_path,
        ca=site.federation.ca_path,
    )
    async with (
        Reader(site.broker.bootstrap, context) as reader,
        Admin(site.broker.bootstrap, context) as admin,
    ):
        before = await statements(reader, topic)
        await admin.delete_topics([topic])
        await site.synced()
        assert await statements(reader, topic) == []
        async with almenara.connect(site[member]) as bus, asyncio.timeout(PATIENCE_S):
            await bus.publish(new_alert())
            after: list[bytes] = []
            while len(after) <= len(before):
                after = await statements(reader, topic)
    assert after[: len(before)] == before


async def statements(reader: Reader, topic: str) -> list[bytes]:
    """Return the statements of a topic: a heartbeat is shorter than any."""
    with suppress(almenara.errors.Unavailable):
        return [record.value for record in await reader.read_all(topic) if len(record.value) > 1000]
    return []
