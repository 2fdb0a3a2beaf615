"""The demonstration as a newcomer runs it: one command, and then looking at what it left."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections import Counter
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from almenara.demo.revocation import ENDED_S
from almenara.demo.samples import AUDIENCES, SUSPENDED
from demo_runs import COMMAND, Ran, almenara, environment, processes_of, run_demo
from patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.model.ids import MemberId

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MEMBERS = AUDIENCES["region"]  # type: ignore[index]

BUDGET_S = 75.0
"""Processor time of a demonstration, Kafka's second start included: on two it is over within a minute."""


def lines_of(sender: str) -> list[dict[str, Any]]:
    samples = resources.files("almenara.demo.samples").joinpath(f"{sender}.jsonl")
    return [json.loads(line) for line in samples.read_bytes().splitlines()]


LINES = [line for sender in MEMBERS for line in lines_of(sender)]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_demo(tmp_path_factory.mktemp("demo") / "S", timeout_s=280)


def table(ran: Ran) -> dict[str, dict[str, int]]:
    """Return the table of members, row by row."""
    names = ("published", "held", "opened", "not for me", "refused")
    header = next(
        n for n, line in enumerate(ran.lines) if line.split() == ["member", *" ".join(names).split()]
    )
    rows = [line.split() for line in ran.lines[header + 1 : header + 1 + len(MEMBERS)]]
    return {row[0]: dict(zip(names, map(int, row[1:]), strict=True)) for row in rows}


def test_it_ends_well_and_says_so_in_its_last_line(ran: Ran) -> None:
    assert (
        ran.lines[-1] == f"demo: {len(LINES)} published, {len(LINES)} held once, 0 held elsewhere, 2 refused"
    )
    assert ran.status == 0
    assert not [line for line in ran.lines if line.startswith("discrepancy")]


def test_it_is_over_within_a_minute_if_it_has_two_processors_to_itself(ran: Ran) -> None:
    # Not the minutes on the wall: beside other work they say nothing about the demonstration.
    assert 0 < ran.processor_s < BUDGET_S
    assert ran.seconds > 0


def test_nothing_is_left_running(ran: Ran) -> None:
    assert processes_of(ran.folder) == []


def test_its_table_says_what_the_samples_say(ran: Ran) -> None:
    rows = table(ran)
    for member in MEMBERS:
        holds = [line for line in LINES if member in holders(line)]
        assert rows[member]["published"] == len(lines_of(member))
        assert rows[member]["held"] == len(holds)
        assert rows[member]["not for me"] <= sum("to" in line for line in LINES)
    assert [rows[member]["refused"] for member in MEMBERS] == [0, 2, 1, 2, 1, 2]


def holders(line: dict[str, Any]) -> set[str]:
    """Return who must hold the message of a line, by the line alone."""
    out = {SUSPENDED} if line.get("later") else set()
    return set(line.get("to") or AUDIENCES[line["audience"]]) - {line["from"]} - out


def test_who_was_suspended_holds_what_came_before_and_nothing_of_what_came_after(ran: Ran) -> None:
    later = [line for line in LINES if line.get("later")]
    meant = [line for line in later if SUSPENDED in AUDIENCES[line["audience"]] and not line.get("to")]
    assert len(meant) >= 9
    listed = almenara(
        "inbox", "list", "--limit", "1000", "-o", "json", "--config", str(ran.folder / SUSPENDED)
    )
    held = {item["message"]["reference"] for item in json.loads(listed.stdout)}
    assert held.isdisjoint(line["message"]["reference"] for line in later)
    assert len(held) >= 30
    (step,) = [line for line in ran.lines if "revocation: " in line]
    times = [float(found) for found in re.findall(r"after ([0-9.]+) s", step)]
    assert len(times) == 3
    assert times == sorted(times)
    assert times[-1] < ENDED_S
    assert any("turns this certificate away" in line for line in ran.lines)


@pytest.mark.parametrize("member", MEMBERS)
def test_each_inbox_holds_what_the_samples_say_when_no_node_runs(ran: Ran, member: MemberId) -> None:
    listed = almenara("inbox", "list", "--limit", "1000", "-o", "json", "--config", str(ran.folder / member))
    assert listed.returncode == 0, listed.stderr
    held = Counter(
        (item["publisher"], item["message"]["reference"], item["message"]["kind"])
        for item in json.loads(listed.stdout)
    )
    expected = Counter(
        (line["from"], line["message"]["reference"], line["message"]["kind"])
        for line in LINES
        if member in holders(line)
    )
    assert held == expected


def test_the_forgery_and_the_replay_are_in_quarantine(ran: Ran) -> None:
    listed = almenara("quarantine", "list", "-o", "json", "--config", str(ran.folder / "AR"))
    assert {(row["audience"], row["code"], row["proven"]) for row in json.loads(listed.stdout)} == {
        ("region", "BAD_SIGNATURE", False),
        ("op-condor", "WRONG_STREAM", True),
    }


def test_the_commands_that_it_prints_work(ran: Ran) -> None:
    printed = [line.split()[1:] for line in ran.lines if re.match("  [^ ]", line)]
    looks = [command for command in printed if command[1] != "run"]
    assert [command[0] for command in looks] == ["inbox", "streams", "quarantine", "inbox", "inbox", "verify"]
    for command in looks:
        shown = almenara(*command)
        assert shown.returncode == 0, shown.stderr
        assert shown.stdout


def test_it_does_not_begin_in_a_folder_that_is_in_use(ran: Ran) -> None:
    again = almenara("demo", "--state", str(ran.folder))
    assert again.returncode == 2
    assert "not empty; name another folder" in again.stderr


def test_interrupted_it_ends_what_it_started(tmp_path: Path) -> None:
    folder = tmp_path / "S"
    with subprocess.Popen(
        [*COMMAND, "demo", "--state", str(folder)], env=environment(), stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "members: " in line:
                break
        deadline = time.monotonic() + PATIENCE_S
        while not [command for command in processes_of(folder) if "node run" in command]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        demo.send_signal(signal.SIGINT)
        rest = demo.stdout.read()
    assert demo.returncode == 130
    assert f"nothing is left running, its files are in {folder}" in rest
    assert processes_of(folder) == []
    assert (folder / "PE" / "member.toml").exists()
