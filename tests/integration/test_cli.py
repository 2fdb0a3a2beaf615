"""A federation from nothing by the command line alone: the lines of the first issue, as they stand."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from almenara.bus.admin import Admin
from almenara.bus.topics import AclRule, Operation, Pattern
from almenara.coordinator.federation import Federation
from almenara.trust.certificates import client_context
from patience import PATIENCE_S
from unit.cli.member_site import alert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MEMBERS = ("PE", "AR", "CL")

START_S = 150.0
"""A broker and three nodes on two busy cores."""


class Town:
    """A folder in which people type `almenara ...`; daemons run until the folder is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ,
            "ALMENARA_CONFIG": "PE/member.toml",
            "ALMENARA_PUBLISHER_RECEIPT_INTERVAL_S": "0.2",
        }

    def type(self, line: str, *, status: int = 0, stdin: str = "", **environment: str) -> str:
        """Run a line and return what it wrote; check its status."""
        ended = subprocess.run(
            command(line),
            cwd=self.folder,
            env={**self.environment, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == status, (line, ended.stdout, ended.stderr)
        assert "Traceback" not in ended.stderr, ended.stderr
        self.err = ended.stderr
        return ended.stdout

    def json(self, line: str, *, status: int = 0, stdin: str = "") -> Any:  # noqa: ANN401 - whatever was written
        return json.loads(self.type(line, status=status, stdin=stdin))

    def states(self, message_id: str) -> dict[str, str]:
        """Return how each member stands towards a message of PE's."""
        rows = self.json(f"almenara sent show {message_id} -o json")
        return {each["member"]: each["state"] for each in rows}

    def start(self, line: str, *, log: str) -> subprocess.Popen[bytes]:
        """Run a line in the background."""
        with (self.folder / log).open("wb") as file:
            daemon = subprocess.Popen(
                command(line), cwd=self.folder, env=self.environment, stdout=file, stderr=file
            )
        self.daemons.append(daemon)
        return daemon

    def wait_for(self, *files: str) -> None:
        """Wait until these files stand; fail with the logs if a daemon has ended."""
        until = time.monotonic() + START_S
        while not all((self.folder / file).exists() for file in files):
            ended = [daemon for daemon in self.daemons if daemon.poll() is not None]
            if ended or time.monotonic() > until:
                logs = {log.name: log.read_text()[-2000:] for log in self.folder.glob("*.log")}
                pytest.fail(f"{files} do not come: {logs}")
            time.sleep(0.1)

    def write(self, name: str, *documents: dict[str, Any]) -> None:
        (self.folder / name).write_text("".join(json.dumps(document) + "\n" for document in documents))


def command(line: str) -> list[str]:
    """Return the words of a line, with the program of this very environment."""
    program, *words = shlex.split(line)
    assert program == "almenara"
    return [sys.executable, "-m", "almenara.cli", *words]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Return the folder with a broker and the nodes of PE, AR and CL, all made by the command line."""
    made = Town(tmp_path_factory.mktemp("town"))
    try:
        made.type("almenara federation init --state D --name ams")
        made.start("almenara broker run --state D --ready-file broker.ready", log="broker.log")
        for member in MEMBERS:
            made.type(f"almenara member init --id {member} --state {member}")
        made.wait_for("broker.ready")
        for member in MEMBERS:
            shown = made.type(f"almenara member admit {member}/enrolment.json --federation D")
            assert "on the cluster" in shown
        for member in MEMBERS:
            how = "" if member == "PE" else " --single-process"
            line = f"almenara node run --config {member}/member.toml{how} --ready-file {member}.ready"
            made.start(line, log=f"{member}.log")
        made.wait_for(*(f"{member}.ready" for member in MEMBERS))
        made.write("alert.json", alert())
        yield made
        for daemon in reversed(made.daemons):
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(timeout=PATIENCE_S) == 0
        assert list(made.folder.glob("*.ready")) == []
    finally:
        for daemon in made.daemons:
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait(timeout=PATIENCE_S)


def test_an_alert_reaches_every_member_and_each_confirms(town: Town) -> None:
    (row,) = town.json("almenara publish alert.json --wait 60s -o json")
    assert (row["confirmed"], row["waiting"], row["not_opened"]) == (["AR", "CL"], [], [])
    for member in ("AR", "CL"):
        items = town.json(f"almenara inbox list --config {member} -o json")
        assert row["message_id"] in [item["message"]["message_id"] for item in items]
    assert town.states(row["message_id"]) == {"AR": "RECEIVED", "CL": "RECEIVED"}


def test_a_list_reaches_those_it_names_alone(town: Town) -> None:
    town.write("list.json", alert(reference="PE-LIST"))
    (row,) = town.json("almenara publish list.json --audience region --to AR --wait 60s -o json")
    assert (row["expected"], row["confirmed"]) == (["AR"], ["AR"])
    (item,) = [
        item
        for item in town.json("almenara inbox list --config AR -o json")
        if item["message"]["reference"] == "PE-LIST"
    ]
    assert item["recipients"] == ["AR"]
    town.type("almenara publish alert.json --wait 60s")
    held = town.json("almenara inbox list --config CL -o json")
    assert "PE-LIST" not in [item["message"]["reference"] for item in held]


def test_a_dry_run_says_to_whom_and_how_large_and_publishes_nothing(town: Town) -> None:
    before = own_head(town)
    (row,) = town.json("almenara publish alert.json --to AR,CL --dry-run -o json")
    assert (row["scope"], row["sealed_to"], row["bucket"]) == ("LIST", ["AR", "CL"], 1024)
    assert 100 < row["bytes"] < 1024
    assert own_head(town) == before


def own_head(town: Town) -> int:
    lines = town.type("almenara streams -o jsonl").splitlines()
    return next(int(row["head"]) for row in map(json.loads, lines) if row["own"])


def test_many_from_a_pipe_are_each_answered(town: Town) -> None:
    lines = [
        json.dumps(alert(reference="PE-A")),
        '{"kind": "RISK_ALERT"}',
        "{oops}",
        json.dumps(alert(reference="PE-B")),
    ]
    shown = town.type("almenara publish - -o jsonl", status=1, stdin="\n".join(lines))
    rows = [json.loads(line) for line in shown.splitlines()]
    assert [(row["place"], row["reference"]) for row in rows] == [("line 1", "PE-A"), ("line 4", "PE-B")]
    assert "line 2: $.body" in town.err or "line 2: $." in town.err
    assert "line 3: $: line 1" in town.err


def test_the_daemon_lives_through_bad_input(town: Town) -> None:
    bad = [
        ("{", "[JSON]"),
        (json.dumps(alert(colour="red")), "[SHAPE]"),
        (json.dumps(alert(recipients=["ZZ"])), "[UNKNOWN_MEMBER]"),
        (json.dumps(alert(body={**alert()["body"], "equipment": [{"container_no": "X"}]})), "$.body"),
        (json.dumps(alert(texts=[{"lang": "es", "title": "x" * 600_000}])), "[OVERSIZE]"),
    ]
    for text, words in bad:
        town.type("almenara publish -", status=1, stdin=f"\n{text}\n")
        assert words in town.err
    town.json("almenara publish alert.json --wait 60s -o json")


@contextmanager
def following(town: Town, line: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command(line), cwd=town.folder, env=town.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_follower_gets_each_message_as_it_comes_until_it_is_interrupted(town: Town) -> None:
    held = town.json("almenara inbox list --config AR --limit 1 -o json")
    after = held[0]["position"] if held else 0
    with following(town, f"almenara inbox follow --config AR --from PE -o jsonl --after {after}") as process:
        assert process.stdout is not None
        for number in range(3):
            town.write("follow.json", alert(reference=f"PE-F{number}"))
            town.type("almenara publish follow.json")
            item = json.loads(process.stdout.readline())
            assert item["message"]["reference"] == f"PE-F{number}"
            assert item["position"] > after
            after = item["position"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_S) == 130
        assert process.stdout.read() == ""


def test_a_record_is_verified_where_there_is_nothing_else(town: Town, tmp_path: Path) -> None:
    town.write("proof.json", alert(reference="PE-PROOF"))
    town.type("almenara publish proof.json --wait 60s")
    shown = town.type("almenara inbox export PE-PROOF --config AR --output r.bin --disclose")
    fingerprint = shown.split()[-1]
    assert fingerprint in town.type("almenara federation show --state D -o json")
    (tmp_path / "r.bin").write_bytes((town.folder / "r.bin").read_bytes())
    elsewhere = Town(tmp_path)
    elsewhere.environment.pop("ALMENARA_CONFIG")
    line = f"almenara verify r.bin --root-fingerprint {fingerprint} -o json"
    report = elsewhere.json(line)
    assert (report["author"], report["audience"], report["time"]) == ("PE", "region", "UNPROVEN")
    assert [each["message"]["reference"] for each in report["messages"]] == ["PE-PROOF"]
    whole = (tmp_path / "r.bin").read_bytes()
    for at in (10, len(whole) // 2, len(whole) - 10):
        (tmp_path / "r.bin").write_bytes(whole[:at] + bytes([whole[at] ^ 2]) + whole[at + 1 :])
        assert elsewhere.type(line, status=1) == ""
        assert elsewhere.err.startswith("error: ")


def test_streams_show_who_has_confirmed(town: Town) -> None:
    town.type("almenara publish alert.json --wait 60s")
    rows = [json.loads(line) for line in town.type("almenara streams -o jsonl").splitlines()]
    assert {(row["publisher"], row["own"]) for row in rows} == {("PE", True), ("AR", False), ("CL", False)}
    (own,) = (row for row in rows if row["own"])
    assert (sorted(own["confirmed"]), own["behind"]) == (["AR", "CL"], [])


def test_doctor_finds_all_well(town: Town) -> None:
    rows = town.json("almenara doctor -o json")
    assert [row for row in rows if row["verdict"] == "fail"] == []
    verdicts = {row["check"]: row["verdict"] for row in rows}
    wanted = (
        "broker",
        "write own streams",
        "read audiences",
        "refused elsewhere",
        "node",
        "round trip",
        "clock",
    )
    assert {check: verdicts.get(check) for check in wanted} == dict.fromkeys(wanted, "ok")


async def test_doctor_sees_rights_that_are_missing_and_rights_that_are_too_many(town: Town) -> None:
    federation = Federation.open(town.folder / "D")
    operator = federation.operator_path
    context = client_context(certificate=operator, key=operator, ca=federation.ca_path)
    own = AclRule(principal="User:PE.1", operation=Operation.WRITE, name="ams.region.pe")
    all_of_it = AclRule(
        principal="User:PE.1", operation=Operation.READ, name="ams.", pattern=Pattern.PREFIXED
    )
    async with Admin(federation.bootstrap(), context) as admin:
        await admin.delete_acls([own])
        await admin.create_acls([all_of_it])
    try:
        rows = {row["check"]: row for row in town.json("almenara doctor -o json", status=3)}
    finally:
        town.type("almenara coordinator sync --state D")
    assert "ams.region.pe" in rows["write own streams"]["seen"]
    assert "ams.no-audience.pe" in rows["refused elsewhere"]["seen"]
    assert rows["read audiences"]["verdict"] == "ok"
    assert rows["round trip"]["verdict"] == "fail"
    town.type("almenara publish alert.json --wait 60s")
    rows = {row["check"]: row for row in town.json("almenara doctor -o json")}
    assert rows["write own streams"]["verdict"] == rows["refused elsewhere"]["verdict"] == "ok"


def test_the_lines_of_the_issue_work_as_they_stand(town: Town) -> None:
    town.type("almenara publish alert.json --audience region --to AR,CL --dry-run --wait 10s -o json")
    town.type("almenara publish alert.json --audience region --to AR,CL --wait 60s -o json")
    (listed, *_) = town.json(
        "almenara inbox list --config AR --area TOBACCO --level HIGH --hs 24 --origin PY --from PE "
        "--kind RISK_ALERT -o json"
    )
    identity = listed["message"]["message_id"]
    assert town.type(f"almenara inbox show {identity} --config AR")
    assert town.type("almenara streams")
    assert town.type("almenara --version").startswith("almenara 0.")
    assert town.json("almenara quarantine list -o json") == []
    assert town.json("almenara quarantine evidence -o json") == []
    assert town.json("almenara member pending -o json") == []


def test_who_does_not_confirm_in_time_is_named(town: Town) -> None:
    (stopped,) = (daemon for daemon in town.daemons if "CL/member.toml" in daemon.args)  # type: ignore[operator]
    stopped.send_signal(signal.SIGSTOP)
    try:
        (row,) = town.json("almenara publish alert.json --wait 2s -o json", status=3)
        assert "CL" in row["waiting"]
        until = time.monotonic() + PATIENCE_S
        while (states := town.states(row["message_id"])) != {"AR": "RECEIVED", "CL": "WAITING"}:
            assert time.monotonic() < until, states
    finally:
        stopped.send_signal(signal.SIGCONT)
    states = town.json(f"almenara sent show {row['message_id']} --wait 60s -o json")
    assert {each["state"] for each in states} == {"RECEIVED"}


def test_what_reads_goes_on_without_the_node_and_a_restart_loses_nothing(town: Town) -> None:
    (node,) = (daemon for daemon in town.daemons if "AR/member.toml" in daemon.args)  # type: ignore[operator]
    before = town.json("almenara inbox list --config AR --limit 1000 -o json")
    node.send_signal(signal.SIGTERM)
    assert node.wait(timeout=PATIENCE_S) == 0
    assert not (town.folder / "AR.ready").exists()
    assert town.json("almenara inbox list --config AR --limit 1000 -o json") == before
    doctor = {row["check"]: row["verdict"] for row in town.json("almenara doctor --config AR -o json")}
    assert (doctor["node"], doctor["round trip"]) == ("warn", "ok")
    (row,) = town.json("almenara publish alert.json --to AR --wait 1s -o json", status=3)
    town.daemons.remove(node)
    town.start("almenara node run --config AR --single-process --ready-file AR.ready", log="AR.log")
    town.wait_for("AR.ready")
    assert town.json(f"almenara sent show {row['message_id']} --wait 60s -o json")[0]["state"] == "RECEIVED"


def test_the_shell_completes_commands_and_options(town: Town) -> None:
    script = town.type("almenara completion bash")
    assert "complete" in script
    shown = town.type(
        "almenara", _ALMENARA_COMPLETE="bash_complete", COMP_WORDS="almenara pub", COMP_CWORD="1"
    )
    assert "plain,publish" in shown
