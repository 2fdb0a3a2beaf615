"""Every row of THREATS.md has its control, and tests that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from conftest import REPOSITORY
from proofs import wrong_proofs

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {
    "spoofing",
    "tampering",
    "repudiation",
    "disclosure",
    "denial",
    "elevation",
    "injection",
    "crash",
}


class Row(NamedTuple):
    """One threat as the page tells it."""

    number: int
    kind: str
    threat: str
    control: str
    proof: str


def rows(text: str) -> list[Row]:
    """Return the rows of the page's table; raise ValueError for a line with other cells than five."""
    found = []
    for line in text.splitlines():
        if re.match(r"\| *\d", line):
            number, kind, threat, control, proof = (cell.strip() for cell in line.split("|")[1:-1])
            found.append(Row(int(number), kind, threat, control, proof))
    return found


def faults(found: list[Row], repository: Path) -> list[str]:
    """Return what is wrong with the rows."""
    numbers = [row.number for row in found]
    wrong = [] if numbers == list(range(1, 31)) else [f"the numbers are {numbers}"]
    for row in found:
        if row.kind not in KINDS:
            wrong.append(f"{row.number}: there is no kind {row.kind}")
        if not row.threat or not row.control:
            wrong.append(f"{row.number}: no threat or no control")
        wrong += [f"{row.number}: {fault}" for fault in wrong_proofs(row.proof, repository)]
    return wrong


PAGE = (REPOSITORY / "THREATS.md").read_text()


def test_every_threat_has_a_control_and_tests_that_exist() -> None:
    assert faults(rows(PAGE), REPOSITORY) == []


HERE = "`tests/unit/test_threats.py::test_every_threat_has_a_control_and_tests_that_exist`"
WRONG = {
    "a row without a test": (HERE, "", "no test"),
    "a path that does not exist": ("test_threats.py", "test_threat.py", "there is no"),
    "a name that is not in its file": ("that_exist`", "that_exists`", "has no test_every"),
    "a function that is no test": ("test_every_threat_has_a_control_and_tests_that_exist", "rows", "has no"),
    "a test without its path": ("`tests/unit/", "`unit/", "is not written as"),
    "a row without a control": ("| control |", "|  |", "no control"),
    "another kind": ("| denial |", "| mischief |", "no kind mischief"),
    "a number that is missing": ("| 7 |", "| 8 |", "the numbers are"),
}


@pytest.mark.parametrize(("right", "wrong", "fault"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_with_a_row_is_named(right: str, wrong: str, fault: str) -> None:
    good = "\n".join(f"| {number} | denial | threat | control | {HERE} |" for number in range(1, 31))
    assert faults(rows(good), REPOSITORY) == []
    assert right in good
    assert fault in "\n".join(faults(rows(good.replace(right, wrong, 1)), REPOSITORY))
