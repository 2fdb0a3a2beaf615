"""A follower that reads slowly, or not at all, leaves nothing in the node: it asks for one page at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from almenara.client import Bus
from almenara.node import page
from almenara.node.api import serve
from almenara.node.page import page_of
from almenara.node.remote import RemoteNode
from almenara.store import inbox
from almenara.store.database import Store
from almenara.store.wanted import InboxFilter
from unit.cli.member_site import message, received
from unit.store.rows import AR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from almenara.node.answers import Page
    from almenara.node.service import Node

COUNT = 40


class StoredInbox:
    """The inbox of a node, and how often it was asked for a page."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked = 0

    async def inbox(
        self, wanted: InboxFilter, *, after: int | None = None, limit: int = 100, wait_s: float = 0.0
    ) -> Page:
        del wait_s
        self.asked += 1
        return await self._store.read(partial(page_of, wanted=wanted, after=after, limit=limit))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.create(tmp_path / "s.db")
    rows = [received(message(reference=f"AR-{number}"), AR, "") for number in range(COUNT)]
    made.write_now(lambda connection: inbox.insert_messages(connection, rows))
    yield made
    made.close()


def test_pages_are_full_by_their_bytes_and_leave_nothing_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = len(received(message(reference="AR-0"), AR, "").body)
    monkeypatch.setattr(page, "PAGE_BYTES", 3 * body)
    seen, position, sizes = [], 0, []
    while True:
        found = store.read_now(partial(page_of, wanted=InboxFilter(), after=position, limit=1000))
        if not found.items:
            break
        sizes.append(len(found.items))
        seen += [item.message.reference for item in found.items]
        position = found.position
    assert seen == [f"AR-{number}" for number in range(COUNT)]
    assert max(sizes) <= 4
    assert store.read_now(partial(page_of, wanted=InboxFilter(), after=None, limit=5)).position == COUNT


async def test_whoever_does_not_read_asks_for_nothing(store: Store, tmp_path: Path) -> None:
    node = StoredInbox(store)
    async with serve(cast("Node", node), tmp_path / "s"), RemoteNode(tmp_path / "s") as remote:
        items = Bus(remote).subscribe()
        first = await anext(items)
        assert (first.message.reference, node.asked) == ("AR-0", 1)
        more = [received(message(reference=f"CL-{number}"), AR, "") for number in range(COUNT)]
        await store.write(lambda connection: inbox.insert_messages(connection, more))
        rest = [(await anext(items)).message.reference for _ in range(COUNT - 1)]
        assert (rest[-1], node.asked) == (f"AR-{COUNT - 1}", 1), "the page it has"
        assert ((await anext(items)).message.reference, node.asked) == ("CL-0", 2)
        await items.aclose()  # type: ignore[attr-defined]  # a generator
