"""A result reads well in a table and means the same in every format."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from almenara.cli.output import write_rows

if TYPE_CHECKING:
    from almenara.cli.output import Row

ROWS: list[Row] = [
    {"id": "region", "members": ["AR", "PE"], "open": True, "at": datetime(2026, 11, 24, tzinfo=UTC), "n": 1},
    {"id": "op\x1b[2J", "members": [], "open": False, "at": None, "n": 2.5},
]


def test_json_is_a_list_and_jsonl_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(ROWS, "json")
    listed = json.loads(capsys.readouterr().out)
    write_rows(ROWS, "jsonl")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == listed
    assert listed[0] == {
        "id": "region",
        "members": ["AR", "PE"],
        "open": True,
        "at": "2026-11-24T00:00:00Z",
        "n": 1,
    }


def test_a_table_has_a_line_each_and_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(ROWS, "table")
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "members", "open", "at", "n"]
    assert first.split() == ["region", "AR,", "PE", "yes", "2026-11-24", "00:00:00Z", "1"]
    assert second.split() == ["op\\x1b[2J", "no", "2.5"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_holds_no_formula(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows([{"text": text, "other": "a,b"}], "csv")
    read = list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))
    assert read[0] == ["text", "other"]
    assert read[1] == [f"'{text}", "a,b"]


def test_no_rows_are_an_empty_list_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    for output, expected in (("json", "[]\n"), ("jsonl", ""), ("csv", ""), ("table", "")):
        write_rows([], output)
        assert capsys.readouterr().out == expected
