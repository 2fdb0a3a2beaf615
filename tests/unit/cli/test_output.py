"""A result reads well in a table and means the same in every format."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from almenara.cli.output import json_line, write_rows
from almenara.logs import printable

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
    assert read[1] == [f"'{printable(text)}", "a,b"]


HOSTILE = "\x1b[2J\x9b31m\u202ednarg\u2066\x07\r\n"


@pytest.mark.parametrize("output", ["table", "csv", "json", "jsonl"])
def test_no_format_lets_a_text_steer_the_terminal(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows([{"text": HOSTILE}], output)
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.splitlines())
    assert len(shown.splitlines()) == {"table": 2, "csv": 2, "json": 5, "jsonl": 1}[output]
    if output == "json":
        assert json.loads(shown) == [{"text": HOSTILE}]
    if output == "jsonl":
        assert json.loads(shown) == {"text": HOSTILE}


def test_json_escapes_what_does_not_print_beyond_the_first_plane_too() -> None:
    assert json_line({"t": "\U000e0001 é"}) == '{"t":"\\udb40\\udc01 é"}'


def test_no_rows_are_an_empty_list_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    for output, expected in (("json", "[]\n"), ("jsonl", ""), ("csv", ""), ("table", "")):
        write_rows([], output)
        assert capsys.readouterr().out == expected


def test_a_narrow_terminal_folds_long_texts_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    write_rows([{"at": "11-24 12:16Z", "id": "PE-2026-000103", "title": "word " * 30}], "table")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3
    assert lines[1].startswith("11-24 12:16Z  PE-2026-000103  word")
