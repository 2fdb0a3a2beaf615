"""A store comes back from its backup, says nothing twice, and replaces nothing that is newer unasked."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from almenara.errors import Code, Misconfigured, Unavailable
from almenara.node import store_backup
from almenara.node.member_folder import init_member
from almenara.node.settings import load_settings
from almenara.node.store_backup import back_up_store, restore_store
from almenara.store import highwater, inbox, outbox, views
from almenara.store.database import Store
from almenara.store.dump import POSITIONS_SKIPPED
from almenara.store.lease import folder_lease
from unit.store.rows import REGION, message_row, own_head, says
from unit.trust.federation import DAY, NOW

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.node.settings import MemberSettings
    from almenara.node.store_backup import Restored

UNDER = b"a long sentence in a safe"


@pytest.fixture
def settings(tmp_path: Path) -> MemberSettings:
    """PE's folder with a store that has said three things and heard one."""
    init_member(tmp_path / "PE", member="PE", federation="ams", name="Customs", now=NOW)
    found = load_settings(tmp_path / "PE", environ={})
    found.state.mkdir(mode=0o700)
    store = Store.create(found.store_path)
    head = says(store, says(store, None, own_head(0), 1), own_head(1), 2)
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(9)]))
    store.close()
    highwater.write_marks(found.marks_path, {REGION: head})
    return found


@pytest.fixture
def file(settings: MemberSettings, tmp_path: Path) -> Path:
    path = tmp_path / "PE-store.backup"
    back_up_store(settings, path, under=UNDER, now=NOW, tell=lambda *_: None)
    return path


def restored(
    settings: MemberSettings, file: Path, *, under: bytes = UNDER, force: bool = False, at: datetime = NOW
) -> Restored:
    return restore_store(settings, file, under=under, force=force, now=at, tell=lambda *_: None)


def goes_on(settings: MemberSettings) -> None:
    """Let PE say and hear more than the backup has."""
    store = Store.open(settings.store_path)
    says(store, own_head(1), own_head(2), 3)
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(number) for number in range(20, 25)]))
    store.close()


def look(settings: MemberSettings) -> tuple[outbox.OwnHead, int, bool]:
    """Return our head, the last position of the inbox, and whether it goes on from what the broker holds."""
    store = Store.open(settings.store_path)
    try:
        return (
            store.read_now(outbox.own_heads)[REGION],
            store.read_now(views.last_position),
            store.read_now(outbox.stands_by_broker),
        )
    finally:
        store.close()


def names(settings: MemberSettings) -> set[str]:
    return {path.name for path in settings.state.iterdir()}


def test_a_backup_is_for_its_owner_alone_and_never_overwritten(settings: MemberSettings, file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(Misconfigured, match="exists already"):
        back_up_store(settings, file, under=UNDER, now=NOW, tell=lambda *_: None)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []


def test_it_needs_a_store_and_leaves_nothing_where_there_is_none(
    settings: MemberSettings, tmp_path: Path
) -> None:
    settings.store_path.unlink()
    with pytest.raises(Misconfigured, match="there is none"):
        back_up_store(settings, tmp_path / "new", under=UNDER, now=NOW, tell=lambda *_: None)
    assert not (tmp_path / "new").exists()
    assert not settings.store_path.exists()


def test_a_lost_store_comes_back_and_its_next_statement_opens_an_epoch(
    settings: MemberSettings, file: Path
) -> None:
    settings.store_path.unlink()
    found = restored(settings, file)
    assert (found.streams, found.replaced, found.header.made_at) == (1, None, NOW)
    assert look(settings) == (replace(own_head(1), fresh_epoch=True), 1, True)
    assert stat.S_IMODE(settings.store_path.stat().st_mode) == 0o600
    assert names(settings) == {"almenara.db", "node.lock"}


def test_the_present_store_is_put_aside_and_opens_as_it_was(settings: MemberSettings, file: Path) -> None:
    before = look(settings)
    found = restored(settings, file)
    assert found.replaced is not None
    assert look(settings)[0].fresh_epoch
    shutil.copy(found.replaced, settings.store_path)
    assert look(settings) == before


def test_a_newer_store_is_not_replaced_unasked(settings: MemberSettings, file: Path) -> None:
    goes_on(settings)
    before = look(settings)
    with pytest.raises(Misconfigured) as refused:
        restored(settings, file)
    assert "region at 1/2, in the backup at 1/1" in refused.value.text
    assert str(file) in refused.value.text
    assert look(settings) == before
    assert names(settings) == {"almenara.db", "node.lock"}
    restored(settings, file, force=True)
    assert look(settings)[0] == replace(own_head(1), fresh_epoch=True)


def test_positions_go_on_above_those_that_the_replaced_store_gave(
    settings: MemberSettings, file: Path
) -> None:
    goes_on(settings)
    restored(settings, file, force=True)
    store = Store.open(settings.store_path)
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(30)]))
    store.close()
    assert look(settings)[1] == 6 + POSITIONS_SKIPPED + 1


def test_a_damaged_store_is_replaced_only_when_asked_and_its_log_goes_with_it(
    settings: MemberSettings, file: Path
) -> None:
    settings.store_path.write_bytes(b"torn" * 1000)
    log = settings.store_path.with_name("almenara.db-wal")
    log.write_bytes(b"a log of the other")
    with pytest.raises(Misconfigured, match="cannot be compared") as refused:
        restored(settings, file)
    assert "not a store, or damaged" in refused.value.text
    found = restored(settings, file, force=True)
    assert found.replaced is not None
    assert found.replaced.read_bytes() == b"torn" * 1000
    assert look(settings)[0].seq == 1


def test_no_node_may_run(settings: MemberSettings, file: Path) -> None:
    with folder_lease(settings.lease_path), pytest.raises(Unavailable) as refused:
        restored(settings, file)
    assert refused.value.code is Code.STORE_LOCKED


def test_a_backup_that_does_not_open_changes_nothing(settings: MemberSettings, file: Path) -> None:
    before = look(settings)
    with pytest.raises(Misconfigured, match="wrong passphrase"):
        restored(settings, file, under=b"another")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(Misconfigured, match="not a whole backup"):
        restored(settings, file)
    assert look(settings) == before
    assert names(settings) == {"almenara.db", "node.lock"}


def test_only_a_backup_of_this_member_and_of_this_schema_is_taken(
    settings: MemberSettings, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_member(tmp_path / "AR", member="AR", federation="ams", name="Customs", now=NOW)
    with pytest.raises(Misconfigured, match="the store of PE in ams; this is AR in ams"):
        restored(load_settings(tmp_path / "AR", environ={}), file)
    monkeypatch.setattr(store_backup, "SCHEMA_VERSION", 99)
    with pytest.raises(Misconfigured, match="this program knows 99"):
        restored(settings, file)
    other = tmp_path / "other"
    other.write_bytes(b"{}\n")
    with pytest.raises(Misconfigured, match="not a backup of a store"):
        restored(settings, other)


@pytest.mark.parametrize("step", ["link", "replace"])
def test_a_crash_while_it_is_put_in_place_leaves_the_present_store_or_the_restored_one(
    settings: MemberSettings, file: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = look(settings)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os if step == "link" else Path, step, crash)
    with pytest.raises(KeyboardInterrupt):
        restored(settings, file)
    monkeypatch.undo()
    assert look(settings) == before
    restored(settings, file, at=NOW + DAY)
    assert look(settings)[0].fresh_epoch
