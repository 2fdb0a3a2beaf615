"""`almenara import --dry-run` judges a file without a node, and says what is wrong with it."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest

from almenara import clock
from almenara.cli.app import run
from almenara.cli.import_ import import_
from almenara.node.member_folder import init_member
from unit.imports.seizures import HEADER, SOUND

if TYPE_CHECKING:
    from pathlib import Path

ROWS = f"""{HEADER}
1,Peru,2025-11-01 08:00:00,"Chile,Cuba",Bolivia,0.5,seized,a
1,Peru,2025-11-01 08:00:00,"Chile,Cuba",Bolivia,0.5,seized,b
2,Chile,2025-11-02 08:00:00,,Bolivia,,,c
3,Narnia,2025-11-03 08:00:00,,Bolivia,,,d
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "seizures.toml").write_text(SOUND)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ARGUMENTS = ["rows.csv", "--mapping", "./seizures.toml", "--rejects", "bad.csv", "--dry-run", "-o", "json"]


def test_dry_run_without_a_member_judges_all_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(import_, ARGUMENTS) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == [
        {"rows": 4, "to_publish": 3, "duplicates": 1, "rejected": 1, "not_ours": 0}
    ]
    assert "1 rows rejected: bad.csv says why" in shown.err
    with (folder / "bad.csv").open(newline="") as file:
        [reject] = csv.DictReader(file)
    assert (reject["row"], reject["field"], reject["id"]) == ("5", "who", "3")


def test_dry_run_of_a_member_judges_its_own_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init_member(folder / "PE", member="PE", federation="ams", name="Customs of Peru", now=clock.now())
    assert run(import_, [*ARGUMENTS, "--config", "PE/member.toml"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"rows": 4, "to_publish": 2, "duplicates": 1, "rejected": 1, "not_ours": 1}
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (
            ["none.csv", "--mapping", "rasff", "--rejects", "bad.csv", "--dry-run"],
            2,
            "none.csv: cannot be read",
        ),
        (["rows.csv", "--mapping", "rasff", "--rejects", "bad.csv", "--dry-run"], 2, "no column"),
        (["rows.csv", "--mapping", "rusff", "--rejects", "bad.csv", "--dry-run"], 2, "want cbp, rasff"),
        (["rows.csv", "--mapping", "./rows.csv", "--rejects", "bad.csv", "--dry-run"], 2, "rows.csv: "),
        ([*ARGUMENTS[:4], "no/bad.csv", "--dry-run"], 2, "no/bad.csv: cannot be written"),
        ([*ARGUMENTS[:4], "rows.csv", "--dry-run"], 2, "rows.csv: is the file of rows itself"),
        ([*ARGUMENTS, "--config", "none.toml"], 2, "none.toml: no such file"),
        (ARGUMENTS[:5], 2, "member.toml: no such file"),
        (["rows.csv", "--mapping", "rasff"], 2, "--rejects"),
    ],
)
def test_what_is_wrong_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, said: str
) -> None:
    assert run(import_, arguments) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert (folder / "rows.csv").read_text() == ROWS
