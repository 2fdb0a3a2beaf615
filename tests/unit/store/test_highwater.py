"""A file beside the keys tells a store that was restored or lost from one that is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.model.ids import AudienceId
from almenara.store import highwater, outbox
from unit.store.rows import own_head

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.store.database import Store

REGION, TRIO, CONDOR = (AudienceId(name) for name in ("region", "trio", "op-condor"))


def test_marks_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    assert highwater.read_marks(path) == {}
    highwater.write_marks(path, {REGION: own_head(7, epoch=3)})
    highwater.write_marks(path, {REGION: own_head(8, epoch=3), TRIO: own_head(0, epoch=9)})
    assert highwater.read_marks(path) == {REGION: (3, 8), TRIO: (9, 0)}


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"region": [1]}', bytes(40)])
def test_a_damaged_file_is_as_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "said.json").write_bytes(damage)
    assert highwater.read_marks(tmp_path / "said.json") == {}


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    highwater.write_marks(tmp_path / "file" / "said.json", {REGION: own_head(1)})
    assert highwater.read_marks(tmp_path / "file" / "said.json") == {}


def test_a_head_below_its_mark_was_restored_and_one_without_a_head_was_lost() -> None:
    marks = {REGION: (3, 8), TRIO: (9, 0), CONDOR: (1, 0)}
    heads = {REGION: own_head(7, epoch=3), TRIO: own_head(4, epoch=9)}
    assert highwater.behind(heads, marks) == (REGION,)
    assert highwater.lost(heads, marks) == {CONDOR}
    assert highwater.behind({REGION: own_head(0, epoch=4)}, marks) == (), "it opened an epoch since"


def test_a_lost_head_is_adopted_once(store: Store) -> None:
    found, other = own_head(7, fresh_epoch=True), own_head(9, fresh_epoch=True)
    assert not store.read_now(outbox.stands_by_broker)
    store.write_now(outbox.stand_by_broker)
    store.write_now(outbox.stand_by_broker)
    assert store.read_now(outbox.stands_by_broker)
    assert store.write_now(lambda c: outbox.adopt(c, found))
    assert not store.write_now(lambda c: outbox.adopt(c, other)), "the store has a head of its own by now"
    assert store.read_now(outbox.own_heads) == {found.audience: found}
    store.close()


def test_one_stream_alone_can_be_made_to_open_an_epoch(store: Store) -> None:
    first, second = own_head(1), own_head(2, audience=TRIO)
    store.write_now(lambda c: (outbox.adopt(c, first), outbox.adopt(c, second)))
    assert store.write_now(lambda c: outbox.require_fresh_epochs(c, [TRIO])) == 1
    found = store.read_now(outbox.own_heads)
    assert [found[name].fresh_epoch for name in (first.audience, TRIO)] == [False, True]
    store.close()
