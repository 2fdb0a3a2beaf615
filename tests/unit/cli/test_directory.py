"""Several coordinators sign a directory by command line, each on a machine of its own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from almenara.cli.__main__ import almenara
from almenara.cli.app import run

if TYPE_CHECKING:
    from pathlib import Path

NO_BROKER = ("--bootstrap", "127.0.0.1:1")
HOLDERS = ("ana", "luis", "sol")


class Site:
    """Three holders, each with a folder of its own, and a coordinator who holds none of their keys."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.home = folder / "D"
        self._capsys = capsys
        self.fingerprint = ""

    def ok(self, *arguments: str | Path) -> str:
        """Run a command that must succeed and return what it printed."""
        status = run(almenara, [str(argument) for argument in arguments])
        shown = self._capsys.readouterr()
        assert status == 0, shown.err
        return shown.out

    def fails(self, status: int, *arguments: str | Path) -> str:
        """Run a command that must fail with that status and return its error line."""
        assert run(almenara, [str(argument) for argument in arguments]) == status
        lines = self._capsys.readouterr().err.splitlines()
        return lines[-1] if lines else ""

    def key(self, holder: str) -> Path:
        return self.folder / holder / f"{holder}.json"

    def public(self, holder: str) -> Path:
        return self.folder / holder / f"{holder}.pub.json"

    def make_key(self, holder: str) -> str:
        (self.folder / holder).mkdir()
        made = CliRunner().invoke(
            almenara,
            ["directory", "key", "create", str(self.key(holder)), "--holder", holder.title()],
            input="\n\n",
        )
        assert made.exit_code == 0, made.output
        (key_id,) = re.findall("key id: ([0-9a-f]{64})", made.output)
        return str(key_id)

    def sign(self, name: str, holder: str) -> str:
        return self.ok(
            "directory", "sign", self.home / "proposals" / name, "--key", self.key(holder), "--yes"
        )

    def publish(self, name: str) -> str:
        return self.ok("directory", "publish", self.home / "proposals" / name)

    def found(self) -> None:
        """Let the three found a federation."""
        for holder in HOLDERS:
            self.make_key(holder)
        keys = [f"--key={role}={self.public(holder)}" for role in ("root", "targets") for holder in HOLDERS]
        quorums = ("--quorum", "root=2/3", "--quorum", "targets=2/3")
        begun = ("--state", self.home, "--name", "ams", *NO_BROKER)
        assert "almenara directory sign" in self.ok("directory", "init", *begun, *quorums, *keys)
        self.ok("federation", "init", *begun)
        first = "root-1-targets-1.json"
        self.sign(first, "ana")
        self.sign(first, "sol")
        (self.fingerprint,) = re.findall("root fingerprint: ([0-9a-f]{64})", self.publish(first))


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    made = Site(tmp_path, capsys)
    made.found()
    return made


def enrolled(site: Site, member: str) -> Path:
    site.ok("member", "init", "--id", member, "--state", site.folder / member)
    return site.folder / member / "enrolment.json"


def test_holders_admit_a_member_in_turn(site: Site) -> None:
    enrolment = enrolled(site, "PE")
    admit = ("member", "admit", enrolment, "--federation", site.home)
    assert "[SIGNATURES_MISSING]" in site.fails(3, *admit)
    assert not enrolment.with_name("admission.json").exists()
    shown = site.sign("targets-2.json", "luis")
    assert "  member PE: ADDED: Peru, ACTIVE, certificate generation 1" in shown
    assert f"against version 1 of the directory, root {site.fingerprint}" in shown
    assert "still missing: targets has 1 of 2 signatures, 1 more of: Ana" in shown
    waits = site.home / "proposals" / "targets-2.json"
    assert "1 more of: Ana" in site.fails(3, "directory", "publish", waits)
    assert f"almenara directory publish {waits.name}" in site.sign("targets-2.json", "ana")
    published = site.publish("targets-2.json")
    assert "published: version 2" in published
    assert "the same command again" in published
    site.ok(*admit)
    assert json.loads(enrolment.with_name("admission.json").read_text())["member"] == "PE"


def test_a_holder_signs_on_a_machine_that_has_only_the_directory_s_files(site: Site) -> None:
    site.fails(3, "member", "admit", enrolled(site, "PE"), "--federation", site.home)
    away = site.folder / "away"
    site.ok("directory", "show", "--federation", site.home, "--output", away / "files")
    proposal = away / "targets-2.json"
    (site.home / "proposals" / "targets-2.json").rename(proposal)
    sign = ("directory", "sign", proposal, "--key", site.key("ana"), "--yes")
    assert "say what is published" in site.fails(2, *sign)
    site.ok(*sign, "--published", away / "files")
    site.ok("directory", "sign", proposal, "--key", site.key("sol"), "--yes", "--published", away / "files")
    site.ok("directory", "publish", proposal, "--federation", site.home)
    assert "builds on version 1" in site.fails(1, *sign, "--published", site.home)


def test_what_a_holder_does_not_confirm_it_has_not_signed(site: Site) -> None:
    site.fails(3, "member", "admit", enrolled(site, "PE"), "--federation", site.home)
    waits = site.home / "proposals" / "targets-2.json"
    before = waits.read_bytes()
    asked = ["directory", "sign", str(waits), "--key", str(site.key("ana"))]
    answered = CliRunner().invoke(almenara, asked, input="n\n")
    assert "member PE: ADDED" in answered.output
    assert "nothing signed" in answered.output
    assert waits.read_bytes() == before
    assert "signed with key" in CliRunner().invoke(almenara, asked, input="y\n").output
    assert waits.read_bytes() != before


def test_a_protected_key_asks_for_its_passphrase(site: Site) -> None:
    path = site.folder / "teo.json"
    asked = ["directory", "key", "create", str(path), "--holder", "Teo"]
    assert CliRunner().invoke(almenara, asked, input="one long sentence\none long sentence\n").exit_code == 0
    site.fails(3, "member", "admit", enrolled(site, "PE"), "--federation", site.home)
    waits = str(site.home / "proposals" / "targets-2.json")
    sign = ["directory", "sign", waits, "--key", str(path), "--yes"]
    refused = CliRunner().invoke(almenara, sign, input="one long sentence\n")
    assert "none of those that may sign" in str(refused.exception)
    passphrase = site.folder / "passphrase"
    passphrase.write_text("another sentence\n")
    passphrase.chmod(0o600)
    assert "[KEY_UNREADABLE]" in site.fails(2, *sign, "--passphrase-file", passphrase)


def test_a_key_that_was_made_for_a_holder_is_protected_before_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path, capsys)
    site.ok("federation", "init", "--state", site.home, "--name", "ams", *NO_BROKER)
    path = str(site.home / "directory" / "keys" / "targets-1.json")
    protect = ["directory", "key", "protect", path]
    assert CliRunner().invoke(almenara, protect, input="a sentence\na sentence\n").exit_code == 0
    rows = json.loads(site.ok("directory", "show", "--federation", site.home, "-o", "json"))
    assert next(row["keys_here"] for row in rows if row["role"] == "targets") == 2
    assert CliRunner().invoke(almenara, [*protect, "--remove"], input="a sentence\n").exit_code == 0
    rows = json.loads(site.ok("directory", "show", "--federation", site.home, "-o", "json"))
    assert next(row["keys_here"] for row in rows if row["role"] == "targets") == 3


def test_one_holder_cannot_sign_twice(site: Site) -> None:
    site.fails(3, "member", "admit", enrolled(site, "PE"), "--federation", site.home)
    site.sign("targets-2.json", "ana")
    waits = site.home / "proposals" / "targets-2.json"
    again = site.fails(1, "directory", "sign", waits, "--key", site.key("ana"), "--yes")
    assert "has signed it already" in again


def test_a_holder_s_key_is_replaced(site: Site) -> None:
    teo = site.make_key("teo")
    held = json.loads(site.ok("directory", "show", "--federation", site.home, "-o", "json"))
    (luis,) = re.findall(r"Luis \(([0-9a-f]{64})\)", str(held[1]["keys"]))
    rotate = ("directory", "propose", "--federation", site.home, "--rotate", "targets=2/3")
    shown = site.ok(*rotate, "--add", site.public("teo"), "--remove", luis)
    assert "root-2-targets-2.json: waits for signatures" in shown
    name = "root-2-targets-2.json"
    changes = json.loads(site.ok("directory", "show", site.home / "proposals" / name, "-o", "json"))
    told = [f"{row['subject']}: {row['change']}" for row in changes]
    assert f"signers of targets: + Teo ({teo})" in told
    assert f"signers of targets: - Luis ({luis})" in told
    for holder in ("ana", "luis", "teo"):
        site.sign(name, holder)
    site.publish(name)
    rows = json.loads(site.ok("directory", "show", "--federation", site.home, "-o", "json"))
    roles = {row["role"]: row for row in rows}
    assert roles["targets"]["signed_by"] == "2 of 3"
    assert roles["targets"]["keys_here"] == 0
    assert any("Teo" in key for key in roles["targets"]["keys"])


@pytest.mark.parametrize("command", ["show", "verify"])
def test_the_table_fits_a_terminal_and_names_each_key_whole(site: Site, command: str) -> None:
    files = site.folder / "files"
    site.ok("directory", "show", "--federation", site.home, "--output", files)
    wish: tuple[str | Path, ...] = ("directory", "show", "--federation", site.home)
    if command == "verify":
        wish = ("directory", "verify", files, "--root-fingerprint", site.fingerprint)
    shown = site.ok(*wish, "-o", "table")
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 100
    keys = [key for row in json.loads(site.ok(*wish, "-o", "json")) for key in row["keys"]]
    assert keys
    assert all(key in shown for key in keys)


def test_an_online_key_is_replaced_by_one_that_is_made_here(site: Site) -> None:
    site.ok("directory", "propose", "--federation", site.home, "--rotate", "timestamp=1/1")
    for holder in ("ana", "sol"):
        site.sign("root-2.json", holder)
    site.publish("root-2.json")
    rows = json.loads(site.ok("directory", "show", "--federation", site.home, "-o", "json"))
    timestamp = next(row for row in rows if row["role"] == "timestamp")
    assert (timestamp["keys_here"], "timestamp-2" in timestamp["keys"][0]) == (1, True)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--rotate", "targets=2/4"), "2 of 4 with 3 keys"),
        (("--rotate", "targets"), "not ROLE=M/N"),
        (("--rotate", "owner=1/1"), "not ROLE=M/N"),
        (("--rotate", "targets=2/2", "--remove", "00" * 32), "does not sign targets"),
        (("--rotate", "targets=2/3", "--add", "none.pub.json"), "not the public half"),
        (("--remove", "00" * 32), "say for which role"),
    ],
)
def test_a_rotation_that_makes_no_sense_is_refused(site: Site, options: tuple[str, ...], fault: str) -> None:
    assert fault in site.fails(2, "directory", "propose", "--federation", site.home, *options)


def test_targets_and_root_are_renewed_by_their_holders(site: Site) -> None:
    site.ok("directory", "propose", "--federation", site.home)
    waiting = site.fails(3, "directory", "propose", "--federation", site.home, "--role", "root")
    assert "targets-2.json" in waiting
    for holder in ("ana", "sol"):
        site.sign("targets-2.json", holder)
    site.publish("targets-2.json")
    site.ok("directory", "propose", "--federation", site.home, "--role", "root")
    for holder in ("ana", "luis"):
        site.sign("root-2.json", holder)
    assert "version 2" in site.publish("root-2.json")


def test_with_all_keys_at_hand_a_change_is_published_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path, capsys)
    made = site.ok("federation", "init", "--state", site.home, "--name", "ams", *NO_BROKER)
    assert "root-1.json root-2.json root-3.json root-4.json root-5.json targets-1.json" in made
    assert "published" in site.ok("directory", "propose", "--federation", site.home)
    rows = json.loads(site.ok("directory", "show", "--federation", site.home, "-o", "json"))
    assert [(row["role"], row["signed_by"], row["keys_here"]) for row in rows] == [
        ("root", "3 of 5", 5),
        ("targets", "2 of 3", 3),
        ("snapshot", "1 of 1", 1),
        ("timestamp", "1 of 1", 1),
    ]


def test_a_folder_of_files_is_verified_offline(site: Site) -> None:
    files = site.folder / "files"
    site.ok("directory", "show", "--federation", site.home, "--output", files)
    verify = ("directory", "verify", files, "--root-fingerprint")
    rows = json.loads(site.ok(*verify, site.fingerprint, "-o", "json"))
    assert [(row["what"], row["id"]) for row in rows] == [("directory", "ams"), ("audience", "region")]
    assert rows[0]["says"].startswith("version 1, FRESH, good until ")
    assert "begins with root" in site.fails(1, *verify, "00" * 32)
    (target,) = (files / "targets").glob("*.federation.json")
    target.write_bytes(target.read_bytes() + b" ")
    assert "[DIRECTORY_INVALID]" in site.fails(1, *verify, site.fingerprint)
    assert "holds no directory" in site.fails(2, "directory", "verify", site.home, "--root-fingerprint", "00")


def test_a_public_key_is_shown_to_be_compared(site: Site) -> None:
    rows = json.loads(site.ok("directory", "key", "show", site.public("ana"), "-o", "json"))
    shown = {row["field"]: row["value"] for row in rows}
    assert (shown["holder"], shown["scheme"]) == ("Ana", "ed25519+ml-dsa-65")
    assert re.fullmatch("[0-9a-f]{64}", shown["key id"])
    assert "not the public half" in site.fails(2, "directory", "key", "show", site.key("ana"))


def test_a_key_is_named_with_its_role(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(tmp_path, capsys)
    init = ("directory", "init", "--state", site.home, "--name", "ams", "--key")
    assert "not ROLE=FILE" in site.fails(2, *init, "ana.pub.json")
    assert "not ROLE=FILE" in site.fails(2, *init, "owner=ana.pub.json")
