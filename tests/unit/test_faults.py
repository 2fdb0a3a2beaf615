"""Every row of docs/FAULTS.md says everything of its fault, in words that the code knows, and has tests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from almenara.errors import Code
from almenara.node.answers import Confirmed, StreamState
from almenara.subscriber.deliver import CLOCK_AHEAD
from almenara.trust.directory import Standing
from conftest import REPOSITORY
from proofs import wrong_proofs

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("fault", "caller", "daemon", "shown", "heals")

KNOWN = {*Code, *StreamState, *Confirmed, *Standing, CLOCK_AHEAD, "AFTER_GAP"}
NAME = re.compile(r"`([A-Z]{2,}(?:_[A-Z]+)*)`")

LATER = re.compile(r"Unavailable\(\s*Code\.([A-Z_]+)")
NODE = re.compile(r"(node|publisher|store|subscriber|bus/kafka)/|client\.py|trust/(directory|token)\.py")
"""Where a member's node, and who asks it, is told to come again later."""


class Row(NamedTuple):
    """One fault as the page tells it; `said` are its cells but the tests."""

    said: tuple[str, ...]
    tests: str


def rows(text: str) -> list[Row]:
    """Return the rows of the page's table, whose faults are bold."""
    found = []
    for line in text.splitlines():
        if line.startswith("| **"):
            *said, tests = (cell.strip() for cell in line.split("|")[1:-1])
            found.append(Row(tuple(said), tests))
    return found


def faults(found: list[Row], repository: Path) -> list[str]:
    """Return what is wrong with the rows."""
    wrong = []
    for row in found:
        fault = row.said[0]
        if len(row.said) != len(COLUMNS):
            wrong.append(f"{fault}: it has {len(row.said) + 1} cells")
        said = zip(COLUMNS, row.said, strict=False)
        wrong += [f"{fault}: nothing is said of {name}" for name, text in said if not text]
        names = {name for text in row.said for name in NAME.findall(text)}
        wrong += [f"{fault}: nothing is called {name}" for name in sorted(names - KNOWN)]
        wrong += [f"{fault}: {proof}" for proof in wrong_proofs(row.tests, repository)]
        if "**OPEN**" in row.tests:
            wrong.append(f"{fault}: it is open")
    return wrong


PAGE = (REPOSITORY / "docs" / "FAULTS.md").read_text()


def test_every_fault_has_a_stated_behaviour_and_tests_that_exist() -> None:
    assert len(rows(PAGE)) > 30
    assert faults(rows(PAGE), REPOSITORY) == []


def test_every_reason_to_come_again_later_is_told_of() -> None:
    source = REPOSITORY / "services" / "almenara"
    files = [file for file in source.rglob("*.py") if NODE.match(file.relative_to(source).as_posix())]
    asked = {name for file in files for name in LATER.findall(file.read_text())}
    told = {name for row in rows(PAGE) for name in NAME.findall(row.said[1])}
    assert {"STORE_FULL", "BROKER_DOWN", "KEY_AWAY"} <= asked
    assert asked - told == set()


HERE = "`tests/unit/test_faults.py::test_every_fault_has_a_stated_behaviour_and_tests_that_exist`"
GOOD = f"| **Disk full** | `STORE_FULL` | waits | a problem | with space | {HERE} |"
WRONG = {
    "a row without a test": (HERE, "", "no test"),
    "a row that is open": (HERE, "**OPEN**", "it is open"),
    "a path that does not exist": ("test_faults.py", "test_fault.py", "there is no"),
    "a name that is not in its file": ("that_exist`", "that_exists`", "has no test_every"),
    "a test without its path": ("`tests/unit/", "`unit/", "is not written as"),
    "nothing said of what shows it": ("| a problem |", "|  |", "nothing is said of shown"),
    "a word that the code does not know": ("`STORE_FULL`", "`DISK_FULL`", "nothing is called DISK_FULL"),
    "a cell too few": ("| waits |", "|", "it has 5 cells"),
}


@pytest.mark.parametrize(("right", "wrong", "fault"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_a_row_is_named(right: str, wrong: str, fault: str) -> None:
    assert faults(rows(GOOD), REPOSITORY) == []
    assert right in GOOD
    assert fault in "\n".join(faults(rows(GOOD.replace(right, wrong, 1)), REPOSITORY))
