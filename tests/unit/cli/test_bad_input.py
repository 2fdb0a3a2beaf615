"""Whatever is wrong, a command says one clear line that names it and what to do, with a stable status."""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from almenara import client, clock
from almenara.node.settings import load_settings
from almenara.store import outbox, sqlite
from almenara.store.database import Store
from almenara.store.lease import folder_lease
from almenara.trust.admission import Admission
from almenara.trust.certificates import issue_for_request, load_ca
from almenara.trust.enrolment import read_enrolment
from unit.cli.member_site import alert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unit.cli.member_site import MemberSite, Shown

BODY: dict[str, Any] = alert()["body"]


def one_line(shown: Shown, status: int, *words: str) -> None:
    """Check that a command failed with that status and one line that names these."""
    assert shown.status == status
    assert shown.out == ""
    for word in words:
        assert word in shown.fault, shown.fault
    assert shown.fault.isprintable()
    assert "Traceback" not in shown.err


def test_malformed_json_is_named_with_line_and_column(site: MemberSite) -> None:
    file = site.folder / "bad.json"
    file.write_text('{\n  "kind": "RISK_ALERT",\n  oops\n}')
    one_line(site.almenara("publish", file), 1, "$: line 3, column 3", "want JSON [JSON]")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (alert(colour="red"), ["$.colour", "unknown field", "[SHAPE]"]),
        (alert(body={**BODY, "colour": "red"}), ["$.body.colour", "unknown field", "[SHAPE]"]),
        (alert(kind="RISK"), ["$.kind", "want one of", "[SHAPE]"]),
        (alert(version="two"), ["$.version", "[SHAPE]"]),
        (alert(body={**BODY, "goods": {"hs": "2402"}}), ["$.body.goods", "[SHAPE]"]),
        (alert(body={**BODY, "area": "BANANAS"}), ["$.body.area", "[SHAPE]"]),
        (alert(body={"area": "DRUGS"}), ["$.body.level", "[SHAPE]"]),
        (
            alert(body={**BODY, "mode": "1", "equipment": [{"container_no": "CSQU3054384"}]}),
            ["$.body.equipment[0].container_no", "CSQU3054384", "[CHECK_DIGIT]"],
        ),
        (alert(body={**BODY, "vessel_imo": "9074728", "mode": "1"}), ["$.body.vessel_imo", "[CHECK_DIGIT]"]),
        (alert(body={**BODY, "origin": "QQ"}), ["$.body.origin", "[UNKNOWN_CODE]"]),
        (alert(recipients=["ZZ"]), ["$.recipients[0]", "no member ZZ", "[UNKNOWN_MEMBER]"]),
        (alert(recipients=["PE"]), ["$.recipients[0]", "[CONFLICT]"]),
        (alert(texts=[{"lang": "es", "title": "x" * 600_000}]), ["[OVERSIZE]"]),
        ([alert()][0] | {"expires_at": "2020-01-01T00:00:00Z"}, ["$.expires_at"]),
        (alert(body={**BODY, "area": "x\x1b[2J\u202e"}), ["$.body.area"]),
    ],
    ids=[
        "unknown field",
        "unknown field of the body",
        "unknown kind",
        "wrong type",
        "object for a list",
        "code not in its list",
        "field missing",
        "container check digit",
        "IMO check digit",
        "unknown country",
        "unknown member",
        "to itself",
        "oversize",
        "expired before it begins",
        "hostile value",
    ],
)
def test_a_faulty_message_is_refused_by_the_path_of_its_fault(
    site: MemberSite, document: dict[str, Any], words: list[str]
) -> None:
    file = site.folder / "bad.json"
    file.write_text(json.dumps(document))
    one_line(site.almenara("publish", file, "--dry-run"), 1, *words)
    one_line(site.almenara("publish", file), 1, *words)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--to", "ZZ"], 1, ["ZZ", "[UNKNOWN_MEMBER]"]),
        (["--to", "Peru"], 1, ["'Peru'", "[FORMAT]"]),
        (["--to", ""], 1, ["an empty list reaches nobody", "[REQUIRED]"]),
        (["--audience", "op-nowhere"], 1, ["op-nowhere", "[UNKNOWN_AUDIENCE]"]),
        (["--audience", "Region!"], 1, ["'Region!'", "[FORMAT]"]),
        (["--wait", "soon"], 2, ["'soon' is no time", "[CONFIGURATION]"]),
        (["-o", "yaml"], 2, ["'yaml'", "[CONFIGURATION]"]),
        (["--config", "nowhere.toml"], 2, ["nowhere.toml", "no such file"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_wrong_option_is_named(site: MemberSite, options: list[str], status: int, words: list[str]) -> None:
    file = site.folder / "message.json"
    one_line(site.almenara("publish", file, *options), status, *words)


def test_of_many_messages_each_is_answered_by_its_line(site: MemberSite) -> None:
    file = site.folder / "many.jsonl"
    lines = [alert(reference="PE-1"), alert(colour="red"), alert(reference="PE-3")]
    file.write_text(
        "\n".join([json.dumps(lines[0]), json.dumps(lines[1]), "{oops}", "", json.dumps(lines[2])])
    )
    shown = site.almenara("publish", file, "-o", "json")
    assert shown.status == 1
    assert [(row["place"], row["reference"]) for row in shown.json] == [
        ("line 1", "PE-1"),
        ("line 5", "PE-3"),
    ]
    faults = [line for line in shown.err.splitlines() if line.startswith("error: ")]
    assert [fault.split(": ")[1] for fault in faults] == ["line 2", "line 3"]


READING = (["inbox", "list"], ["streams"], ["quarantine", "list"], ["member", "pending"], ["epoch", "open"])


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_missing_store_says_how_to_make_one(site: MemberSite, command: list[str]) -> None:
    shutil.rmtree(site.state)
    one_line(site.almenara(*command), 2, "almenara.db", "almenara node run", "[STORE_MISSING]")


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_store_that_is_none_is_named(site: MemberSite, command: list[str]) -> None:
    for part in site.state.glob("almenara.db*"):
        part.unlink()
    (site.state / "almenara.db").write_bytes(b"not a store, but long enough to look at" * 100)
    one_line(site.almenara(*command), 2, "almenara.db", "restore it from a backup", "[CONFIGURATION]")


def test_a_locked_store_is_waited_for_and_then_named(
    site: MemberSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.2)  # a limit of ours, not the behaviour
    with closing(sqlite3.connect(site.state / "almenara.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        shown = site.almenara("epoch", "open")
    one_line(shown, 3, "almenara.db", "another process holds its lock", "[STORE_LOCKED]")
    assert site.almenara("epoch", "open").status == 0


def test_a_lease_held_without_a_socket_names_the_holder(
    site: MemberSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "START_WAIT_S", 0.2)  # a limit of ours, not the behaviour
    with folder_lease(site.state / "node.lock"):
        shown = site.almenara("publish", site.folder / "message.json")
    one_line(shown, 3, "process", "[STORE_LOCKED]")


def test_without_a_broker_a_message_is_accepted_and_waits(site: MemberSite) -> None:
    shown = site.almenara("publish", site.folder / "message.json", "--wait", "100ms", "-o", "json")
    assert shown.status == 3
    (row,) = shown.json
    assert (row["confirmed"], row["waiting"]) == ([], ["AR", "CL"])
    assert "almenara node run" in shown.err
    settings = load_settings(site.config, environ={})
    store = Store.open(settings.store_path)
    try:
        assert sum(store.read_now(outbox.unsent_counts).values()) == 2
    finally:
        store.close()


def test_an_expired_certificate_is_named_and_what_was_received_stays_readable(site: MemberSite) -> None:
    folder = site.config.parent
    file = folder / "admission.json"
    admission = msgspec.json.decode(file.read_bytes(), type=Admission)
    expired = issue_for_request(
        load_ca(certificate=site.folder / "D" / "ca" / "ca.pem", key=site.folder / "D" / "ca" / "ca.key"),
        read_enrolment((folder / "enrolment.json").read_bytes()).tls_request.encode(),
        organization="ams",
        common_name="PE.1",
        now=clock.now() - timedelta(days=91),
    )
    file.write_bytes(msgspec.structs.replace(admission, certificate=expired.decode()).to_bytes())
    (folder / "keys" / "tls.pem").unlink()
    for command in (["node", "run"], ["publish", site.folder / "message.json"]):
        one_line(
            site.almenara(*command), 2, "tls.pem", "expired", "almenara member admit", "[CERTIFICATE_EXPIRED]"
        )
    assert site.almenara("inbox", "list").status == 0
    assert site.almenara("streams").status == 0
    doctor = {row["check"]: row["verdict"] for row in site.almenara("doctor", "-o", "json").json}
    assert doctor["certificate"] == "fail"


@pytest.mark.parametrize(
    "missing", ["admission.json", "keys/signing.json", "keys/sealing.json", "keys/tls.key"]
)
def test_a_missing_file_of_the_member_is_named(site: MemberSite, missing: str) -> None:
    (site.config.parent / missing).unlink()
    one_line(site.almenara("node", "run"), 2, missing, "no such file")


def test_keys_open_to_others_are_refused(site: MemberSite) -> None:
    (site.config.parent / "keys" / "signing.json").chmod(0o644)
    one_line(site.almenara("node", "run"), 2, "signing.json", "chmod 600", "[KEY_UNREADABLE]")


def test_a_setting_that_is_none_is_named(site: MemberSite, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.config.open("a") as file:
        file.write('colour = "red"\n')
    one_line(site.almenara("streams"), 2, "member.toml", "colour")
    monkeypatch.setenv("ALMENARA_PUBLISHER_RETRY_S", "often")
    one_line(
        site.almenara("streams", "--config", site.folder / "AR"), 2, "ALMENARA_PUBLISHER_RETRY_S", "often"
    )


def test_a_home_that_cannot_be_written_is_named(site: MemberSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """/sys takes no new folder from anybody, root included."""
    monkeypatch.setenv("ALMENARA_STATE", "/sys/almenara")
    for command in (["node", "run"], ["publish", site.folder / "message.json"]):
        one_line(site.almenara(*command), 2, "/sys/almenara", "cannot be written", "[CONFIGURATION]")
    one_line(site.almenara("inbox", "list"), 2, "/sys/almenara", "[STORE_MISSING]")


DIRECTORY_BYTES = 80 * 1024
"""Enough for each file of a small directory, and too little for a store that takes in a large message."""


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Let no file of this process grow beyond the limit (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_named_and_nothing_accepted_is_lost(site: MemberSite) -> None:
    site.receive()
    large = site.folder / "large.json"
    large.write_text(
        json.dumps(alert(texts=[{"lang": "es", "title": "Cigarrillos", "narrative": "x" * 45_000}]))
    )
    for limit, full in ((4096, "cannot be written"), (DIRECTORY_BYTES, "almenara.db: the disk is full")):
        with full_disk(limit):
            shown = site.almenara("publish", large)
        one_line(shown, 3, full, "free", "[STORE_FULL]")
    assert site.almenara("publish", large).status == 0
    (own,) = (row for row in site.almenara("streams", "-o", "json").json if row["own"])
    assert own["head"] == 1


def test_standard_input_that_is_closed_is_a_fault_of_one_line(site: MemberSite) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "almenara.cli", "publish", "-", "--config", site.config],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "the input is empty" in ended.stderr
    assert "Traceback" not in ended.stderr
