"""`almenara store backup|restore` as a person types it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from almenara.store.lease import lease
from almenara.trust import keyfile

if TYPE_CHECKING:
    from pathlib import Path

    from unit.cli.member_site import MemberSite


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfile, "SCRYPT_N", 2**4)


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text("a long sentence\n")
    file.chmod(0o600)
    return file


def test_a_lost_store_comes_back_and_says_what_to_do_next(site: MemberSite, passphrase: Path) -> None:
    file = site.folder / "PE-store.backup"
    shown = site.almenara("store", "backup", "--output", file, "--passphrase-file", passphrase)
    assert shown.status == 0
    assert f"rows in {file}" in shown.out
    before = own_epoch(site)
    shutil.rmtree(site.state)
    shown = site.almenara("store", "restore", file, "--passphrase-file", passphrase)
    assert shown.status == 0, shown.err
    assert "1 stream to open a new epoch" in shown.out
    assert "almenara node run" in shown.out
    assert own_epoch(site) == before
    site.publish()
    assert own_epoch(site) > before


def test_a_newer_store_stays_unless_it_is_forced(site: MemberSite, passphrase: Path) -> None:
    file = site.folder / "PE-store.backup"
    site.almenara("store", "backup", "--output", file, "--passphrase-file", passphrase)
    site.publish()
    shown = site.almenara("store", "restore", file, "--passphrase-file", passphrase)
    assert shown.status == 2
    assert "newer than" in shown.fault
    assert "--force" in shown.fault
    shown = site.almenara("store", "restore", file, "--passphrase-file", passphrase, "--force")
    assert shown.status == 0
    (aside,) = site.state.glob("almenara.db.replaced-*")
    assert str(aside) in shown.out


def test_restore_refuses_while_a_node_runs_and_a_file_that_is_none(
    site: MemberSite, passphrase: Path
) -> None:
    file = site.folder / "PE-store.backup"
    site.almenara("store", "backup", "--output", file, "--passphrase-file", passphrase)
    with lease(site.state / "node.lock"):
        shown = site.almenara("store", "restore", file, "--passphrase-file", passphrase)
    assert shown.status == 3
    assert "[STORE_LOCKED]" in shown.fault
    assert site.almenara("store", "restore", site.config, "--passphrase-file", passphrase).status == 2


def own_epoch(site: MemberSite) -> int:
    return int(next(r["epoch"] for r in site.almenara("streams", "-o", "json").json if r["own"]))
