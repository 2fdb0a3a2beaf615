"""At debug level, no command prints or logs a passphrase or a private key, whatever goes wrong."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from unit.cli.member_site import alert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from unit.cli.member_site import MemberSite, Shown

NODE, BACKUP, WRONG = (
    f"passphrase {word} 5f3a91" for word in ("of the node", "of the backup", "that is wrong")
)
CANARY = "CANARY-5f3a91"


def secrets(*folders: Path) -> Iterator[bytes]:
    """Return every private key that stands in clear in a file below."""
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if b"PRIVATE KEY-----" in data:
            yield from (line for line in data.splitlines() if len(line) == 64)
        elif path.suffix == ".json" and b'"secret"' in data:
            held = json.loads(data)
            if held.get("protection") == "none":
                secret = b64decode(held["secret"])
                yield from (secret, secret[:32], secret[-32:])


def forms(secret: bytes) -> list[str]:
    return [
        secret.decode("latin-1"),
        repr(secret)[2:-1],
        secret.hex(),
        b64encode(secret).decode().rstrip("="),
    ]


def test_nothing_that_goes_wrong_shows_a_secret(site: MemberSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMENARA_LOG", "debug")
    said: list[Shown] = []

    def tries(*arguments: object, status: int) -> Shown:
        shown = site.almenara(*arguments)
        assert shown.status == status, (arguments, shown.err)
        said.append(shown)
        return shown

    def file(name: str, text: str) -> Path:
        path = site.folder / name
        path.touch(mode=0o600)
        path.write_text(f"{text}\n")
        return path

    folder, clear = site.folder, set(secrets(site.folder))
    assert len(clear) > 8
    node, under, wrong = file("node", NODE), file("backup", BACKUP), file("wrong", WRONG)
    bad = file("bad.json", json.dumps(alert(texts=[{"lang": "es", "title": CANARY, "narrative": 7}])))
    good = file("good.json", json.dumps(alert(texts=[{"lang": "es", "title": CANARY}])))

    tries("publish", good, status=0)
    tries("publish", bad, status=1)
    tries("doctor", status=3)
    tries("key", "backup", "--output", folder / "b", "--passphrase-file", under, status=0)
    tries("key", "protect", "--passphrase-file", node, status=0)
    node.write_text(f"{WRONG}\n")
    tries("publish", good, status=2)
    tries("key", "restore", folder / "b", "--state", folder / "w", "--passphrase-file", wrong, status=2)
    site.config.write_text(site.config.read_text().replace("passphrase_file", "# passphrase_file"))
    tries("publish", good, status=2)
    damaged = next((folder / "AR").rglob("signing*.json"))
    damaged.write_text(damaged.read_text()[:-9])
    tries("publish", good, "--config", folder / "AR", status=2)
    tries("member", "admit", good, "--federation", folder / "D", status=1)
    tries("member", "admit", folder / "CL" / "enrolment.json", "--federation", folder / "D", status=0)

    written = "\n".join(f"{shown.out}\n{shown.err}" for shown in said)
    assert "wrong passphrase" in written
    assert '"level":"debug"' in written
    for secret in (*clear, NODE.encode(), BACKUP.encode(), WRONG.encode()):
        for form in forms(secret):
            assert form not in written
    logged = "\n".join(shown.err for shown in said)
    assert CANARY not in logged
