"""What the broker holds beyond what was read is kept for each stream, the latest word alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.model.ids import REGION, Stream
from almenara.store import unread
from almenara.store.database import Store
from almenara.store.unread import Unread
from unit.store.rows import AR, PE

if TYPE_CHECKING:
    from pathlib import Path


def test_the_latest_word_on_each_stream_counts(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.db")
    assert store.read_now(unread.read) == {}
    store.write_now(lambda c: unread.save(c, {Stream(REGION, PE): 9, Stream(REGION, AR): 4}, at=1))
    store.write_now(lambda c: unread.save(c, {Stream(REGION, PE): 0}, at=2))
    store.write_now(lambda c: unread.save(c, {}, at=3))
    assert store.read_now(unread.read) == {Stream(REGION, PE): Unread(0, 2), Stream(REGION, AR): Unread(4, 1)}
    store.close()
