"""A CSV file is read row by row; one bad row does not spoil the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.errors import Misconfigured
from almenara.imports.csvfile import CELL_MAX, open_csv, tidy

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, data: bytes) -> list[tuple[int, list[str], str]]:
    path.write_bytes(data)
    with open_csv(path) as file:
        assert file.header == ("a", "b")
        return [
            (line.number, list(line.cells), line.fault.text if line.fault else "") for line in file.lines()
        ]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        pytest.param(b"a,b\n1,2\n", [(2, ["1", "2"], "")], id="plain"),
        pytest.param(b"\xef\xbb\xbf a ,b\r\n1,2\r\n", [(2, ["1", "2"], "")], id="byte order mark, CRLF"),
        pytest.param(b'a,b\n"x,\n""y""",2', [(2, ['x,\n"y"', "2"], "")], id="quotes, no last line end"),
        pytest.param(b"a,b\n\n1,2\n", [(3, ["1", "2"], "")], id="blank line counts"),
        pytest.param(b"a,b\n", [], id="header alone"),
    ],
)
def test_rows_are_read(tmp_path: Path, data: bytes, rows: list[tuple[int, list[str], str]]) -> None:
    assert read(tmp_path / "f.csv", data) == rows


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        pytest.param(b"1", "1 cells, the header has 2", id="too few cells"),
        pytest.param(b"1,2,3", "3 cells, the header has 2", id="too many cells"),
        pytest.param(b"1,\xe9", "not UTF-8", id="Latin-1"),
        pytest.param(b'1,"2"x', "cannot be read as CSV", id="text after a quote"),
        pytest.param(b"1," + b"x" * (CELL_MAX + 1), "cannot be read as CSV", id="too long"),
    ],
)
def test_bad_row_is_named_and_the_next_one_read(tmp_path: Path, bad: bytes, said: str) -> None:
    first, second, third = read(tmp_path / "f.csv", b"a,b\n1,2\n" + bad + b"\n3,4\n")
    assert (first, third) == ((2, ["1", "2"], ""), (4, ["3", "4"], ""))
    assert second[0] == 3
    assert said in second[2]


def test_quote_never_closed_is_named(tmp_path: Path) -> None:
    assert [(n, "CSV" in said) for n, _, said in read(tmp_path / "f.csv", b'a,b\n1,"2\n3,4\n')] == [(2, True)]


def test_fault_of_encoding_names_the_column(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"a,b\nx,\xff\n")
    with open_csv(path) as file:
        [line] = file.lines()
    assert line.fault is not None
    assert line.fault.path == "b"


def test_share_grows_to_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 50_000)
    with open_csv(path) as file:
        shares = [line.share for line in file.lines()]
    assert shares == sorted(shares)
    assert shares[0] < 0.5
    assert shares[-1] == 1.0


@pytest.mark.parametrize("data", [b"", b"\n\n", b",,\n1,2,3\n"])
def test_file_without_header_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "f.csv").write_bytes(data)
    with pytest.raises(Misconfigured, match=r"f\.csv: empty"), open_csv(tmp_path / "f.csv"):
        pass


def test_header_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_bytes(b'a,"b')
    with (
        pytest.raises(Misconfigured, match=r"f\.csv: its header cannot be read"),
        open_csv(tmp_path / "f.csv"),
    ):
        pass


def test_file_that_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"), open_csv(tmp_path / "none.csv"):
        pass
    with pytest.raises(Misconfigured, match="cannot be read"), open_csv(tmp_path):
        pass


@pytest.mark.parametrize(
    ("cell", "tidied"),
    [
        ("  two  words \t", "two words"),
        ("hard\u00a0space and\nline", "hard space and line"),
        ("\u200bno width\ufeff", "no width"),
        (" \u200b ", ""),
    ],
)
def test_cells_are_tidied(cell: str, tidied: str) -> None:
    assert tidy(cell) == tidied
