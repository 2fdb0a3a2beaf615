"""A backup opens by its passphrase alone, whole or not at all, and says in clear only what it proves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code, Misconfigured
from almenara.trust.keybackup import BACKUP_MAX, BackupHeader, open_backup, read_backup, seal_backup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADER = BackupHeader(
    federation="ams", member="PE", root_fingerprint="ab" * 32, made_at=datetime(2026, 11, 24, tzinfo=UTC)
)
FILES = {"keys/signing.json": b"\x00 a secret key \xff", "member.toml": b'member = "PE"'}
PASSPHRASE = b"a long sentence in a safe"


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return seal_backup(HEADER, FILES, passphrase=PASSPHRASE)


def test_what_was_sealed_comes_back(tmp_path: Path, sealed: bytes) -> None:
    path = tmp_path / "b"
    path.write_bytes(sealed)
    header, data = read_backup(path)
    assert header == HEADER
    assert open_backup(path, data, passphrase=PASSPHRASE) == FILES
    assert b"secret key" not in sealed


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda _: b"\xff\xfe",
        lambda data: data.replace(b"almenara-backup-v1", b"almenara-backup-v2"),
        lambda data: data + b" " * BACKUP_MAX + b"x",
    ],
    ids=["truncated", "empty", "something else", "of another version", "too large"],
)
def test_a_file_that_is_no_whole_backup_is_named(
    tmp_path: Path, sealed: bytes, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "b"
    path.write_bytes(damage(sealed))
    with pytest.raises(Misconfigured, match="not a whole backup") as caught:
        read_backup(path)
    assert caught.value.code is Code.KEY_UNREADABLE


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="b: cannot be read"):
        read_backup(tmp_path / "b")


@pytest.mark.parametrize("part", ["member", "root_fingerprint", "salt", "nonce", "sealed"])
def test_a_changed_part_does_not_open(tmp_path: Path, sealed: bytes, part: str) -> None:
    document = json.loads(sealed)
    first = document[part][0]
    document[part] = ("A" if first != "A" else "B") + document[part][1:]
    path = tmp_path / "b"
    path.write_text(json.dumps(document))
    _, data = read_backup(path)
    with pytest.raises(Misconfigured, match="wrong passphrase, or damaged"):
        open_backup(path, data, passphrase=PASSPHRASE)


def test_another_passphrase_does_not_open(tmp_path: Path, sealed: bytes) -> None:
    path = tmp_path / "b"
    path.write_bytes(sealed)
    with pytest.raises(Misconfigured, match="wrong passphrase, or damaged") as caught:
        open_backup(path, sealed, passphrase=b"another")
    assert caught.value.code is Code.KEY_UNREADABLE
