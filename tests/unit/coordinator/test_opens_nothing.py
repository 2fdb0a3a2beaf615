"""The coordinator can open nothing: no member's private key is in its folder, no opening in its program."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from almenara.coordinator.federation import Federation
from almenara.coordinator.membership import MemberChange
from almenara.model.ids import MemberId
from almenara.node.member_folder import init_member, write_renewal
from almenara.node.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
PE = MemberId("PE")

DAEMON = """
import sys
import almenara.coordinator.coordinator
import almenara.coordinator.sync
print(*sorted(name for name in sys.modules if name.startswith("almenara.")))
"""


def secrets_of(member: Path) -> set[bytes]:
    """Return the files of the member's private keys, and each of their lines that is not public."""
    files = [path.read_bytes() for path in (member / "keys").rglob("*") if path.is_file()]
    lines = {line.strip(b' ",') for data in files for line in data.splitlines()}
    return {*files} | {line for line in lines if len(line) >= 40 and b"key_id" not in line}


def test_its_folder_holds_no_private_key_of_a_member_whatever_it_was_told_to_do(tmp_path: Path) -> None:
    federation = Federation.init(tmp_path / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000")
    folder = tmp_path / PE
    init_member(folder, member=PE, federation="ams", name="Customs of PE", now=NOW)
    federation.admit((folder / "enrolment.json").read_bytes(), now=NOW)
    federation.change_member(PE, MemberChange.REVOKE_CERTIFICATE, now=NOW)
    later = NOW + timedelta(seconds=1)
    asked = write_renewal(load_settings(folder, environ={}), new_key=True, now=later)
    federation.renew_member(asked.read_bytes(), now=later)
    secret = secrets_of(folder)
    assert len(secret) >= 6
    held = {path: path.read_bytes() for path in federation.folder.rglob("*") if path.is_file()}
    assert len(held) > 10
    for path, data in held.items():
        assert not [key for key in secret if key in data or b64encode(key) in data], path


def test_its_daemon_has_no_code_that_seals_or_opens() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", DAEMON], check=True, capture_output=True, text=True, timeout=60
    ).stdout.split()
    assert "almenara.coordinator.sync" in loaded
    assert not {"almenara.wire.seal", "almenara.wire.messages", "almenara.trust.admit"} & set(loaded)
    assert not [name for name in loaded if name.startswith(("almenara.store", "almenara.subscriber"))]
