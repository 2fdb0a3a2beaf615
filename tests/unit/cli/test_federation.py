"""The coordinator's and the member's commands teach, make what they say, and refuse in words."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from almenara.cli.__main__ import almenara
from almenara.cli.app import run

if TYPE_CHECKING:
    from pathlib import Path


def ok(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run a command that must succeed and return what it printed."""
    assert run(almenara, [str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def fails(capsys: pytest.CaptureFixture[str], status: int, *arguments: str | Path) -> str:
    """Run a command that must fail with that status and return its one error line."""
    assert run(almenara, [str(argument) for argument in arguments]) == status
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    # Port 1 of the loopback: nothing listens there.
    ok(capsys, "federation", "init", "--state", tmp_path / "D", "--name", "ams", "--bootstrap", "127.0.0.1:1")
    return tmp_path


def test_founding_prints_the_next_steps_and_the_fingerprint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = ok(capsys, "federation", "init", "--state", tmp_path / "D", "--name", "ams")
    assert f"almenara broker run --state {tmp_path / 'D'}" in shown
    assert f"almenara member admit enrolment.json --federation {tmp_path / 'D'}" in shown
    (fingerprint,) = re.findall("root fingerprint: ([0-9a-f]{64})", shown)
    rows = json.loads(ok(capsys, "federation", "show", "--state", tmp_path / "D", "-o", "json"))
    assert {row["field"]: row["value"] for row in rows}["root fingerprint"] == fingerprint


def test_a_quorum_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "D"
    quorums = ("--quorum", "root=3/5", "--quorum", "targets=2/3")
    ok(capsys, "federation", "init", "--state", state, "--name", "ams", *quorums)
    root = json.loads((state / "directory" / "metadata" / "1.root.json").read_text())["signed"]["roles"]
    assert {role: (entry["threshold"], len(entry["keyids"])) for role, entry in root.items()} == {
        "root": (3, 5),
        "targets": (2, 3),
        "snapshot": (1, 1),
        "timestamp": (1, 1),
    }


@pytest.mark.parametrize("quorum", ["root", "root=3", "owner=1/1", "root=a/b", "root=6/5"])
def test_a_quorum_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quorum: str
) -> None:
    arguments = ("federation", "init", "--state", tmp_path / "D", "--name", "ams", "--quorum", quorum)
    assert "quorum" in fails(capsys, 2, *arguments)


def test_a_member_is_made_and_admitted_without_a_broker(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolment = folder / "PE" / "enrolment.json"
    assert "almenara member admit" in ok(capsys, "member", "init", "--id", "PE", "--state", folder / "PE")
    assert run(almenara, ["member", "admit", str(enrolment), "--federation", str(folder / "D")]) == 0
    shown = capsys.readouterr()
    assert f"almenara node run --config {folder / 'PE' / 'member.toml'}" in shown.out
    assert "not on the cluster yet" in shown.err
    assert "almenara coordinator run" in shown.err
    assert json.loads((folder / "PE" / "admission.json").read_text())["member"] == "PE"
    (row,) = json.loads(ok(capsys, "audience", "show", "region", "--federation", folder / "D", "-o", "json"))
    assert row["members"] == ["PE"]


def test_a_member_is_named_after_its_country_unless_it_says_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from almenara.trust.enrolment import read_enrolment

    names = {}
    for identifier, given in (("PE", ()), ("X-RILOSA", ()), ("AR", ("--name", "Aduana"))):
        ok(capsys, "member", "init", "--id", identifier, "--state", tmp_path / identifier, *given)
        names[identifier] = read_enrolment((tmp_path / identifier / "enrolment.json").read_bytes()).name
    assert names == {"PE": "Peru", "X-RILOSA": "X-RILOSA", "AR": "Aduana"}


def test_an_audience_is_made_of_members_with_its_dates(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for member in ("PE", "AR"):
        ok(capsys, "member", "init", "--id", member, "--state", folder / member)
    enrolments = [folder / member / "enrolment.json" for member in ("PE", "AR")]
    ok(capsys, "member", "admit", *enrolments, "--federation", folder / "D")
    ok(
        capsys,
        *("audience", "create", "op-condor", "--federation", folder / "D", "--kind", "OPERATION"),
        *(
            "--members",
            "PE, AR",
            "--title",
            "Cóndor",
            "--opens-at",
            "2026-01-01",
            "--closes-at",
            "2026-02-01",
        ),
    )
    rows = ok(capsys, "audience", "show", "--federation", folder / "D", "-o", "jsonl").splitlines()
    assert json.loads(rows[0]) == {
        "id": "op-condor",
        "kind": "OPERATION",
        "title": "Cóndor",
        "members": ["AR", "PE"],
        "open": False,
        "opens_at": "2026-01-01T00:00:00Z",
        "closes_at": "2026-02-01T00:00:00Z",
        "ends_at": "2026-05-02T00:00:00Z",
        "retention_days": 90,
    }
    federation = ("--federation", folder / "D")
    later = ("--remove", "PE", "--closes-at", "2099-01-01")
    shown = ok(capsys, "audience", "amend", "op-condor", *federation, *later)
    assert "op-condor: operation of AR\n" in shown
    assert "access until 2099-04-01 00:00Z" in shown
    ok(capsys, "audience", "amend", "op-condor", *federation, "--add", "PE", "--retention-days", "7")
    assert "new alerts until" in ok(capsys, "audience", "close", "op-condor", *federation)
    (row,) = json.loads(ok(capsys, "audience", "show", "op-condor", *federation, "-o", "json"))
    assert (row["members"], row["retention_days"], row["open"]) == (["AR", "PE"], 7, False)
    assert "[CONFLICT]" in fails(capsys, 1, "audience", "close", "op-condor", *federation)
    assert run(almenara, ["audience", "amend", "op-condor", *map(str, federation)]) == 2
    assert "nothing to change" in capsys.readouterr().err


def test_access_is_taken_away_and_given_back_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    federation = ("--federation", folder / "D")
    for member in ("PE", "AR"):
        ok(capsys, "member", "init", "--id", member, "--state", folder / member)
    enrolments = [folder / member / "enrolment.json" for member in ("PE", "AR")]
    ok(capsys, "member", "admit", *enrolments, *federation)
    ok(capsys, "audience", "create", "both", *federation, "--kind", "SUB_REGION", "--members", "PE,AR")
    shown = ok(capsys, "member", "suspend", "PE", *federation, "--reason", "seal lost")
    assert f"almenara member reinstate PE --federation {folder / 'D'}" in shown
    assert "[CONFLICT]" in fails(capsys, 1, "member", "suspend", "PE", *federation)
    assert "active again" in ok(capsys, "member", "reinstate", "PE", *federation)
    shown = ok(capsys, "member", "leave", "PE", *federation)
    assert "almenara audience amend both --remove PE" in shown
    assert "generation 1 are revoked" in ok(capsys, "member", "revoke-certificate", "AR", *federation)
    assert "[UNKNOWN_MEMBER]" in fails(capsys, 1, "member", "leave", "UY", *federation)


def test_what_is_wrong_is_said_in_one_line_with_its_status(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    federation = ("--federation", folder / "D")
    assert "KEY_RESET" not in fails(capsys, 2, "member", "admit", folder / "none.json", *federation)
    assert "[FORMAT]" in fails(capsys, 1, "member", "init", "--id", "Peru", "--state", folder / "P")
    assert "almenara federation init" in fails(capsys, 2, "audience", "show", "--federation", folder)
    assert "[UNKNOWN_AUDIENCE]" in fails(capsys, 1, "audience", "show", "condor", *federation)
    assert "[BROKER_DOWN]" in fails(capsys, 3, "coordinator", "sync", "--state", folder / "D")
    ok(capsys, "member", "init", "--id", "PE", "--state", folder / "PE")
    assert "overwritten" in fails(capsys, 2, "member", "init", "--id", "PE", "--state", folder / "PE")
    pair = ("--kind", "PAIR", "--members", "PE,AR")
    assert "[UNKNOWN_MEMBER]" in fails(capsys, 1, "audience", "create", "pair", *federation, *pair)
