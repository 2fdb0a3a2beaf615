"""How is a CSV file read row by row, in bounded memory, when one bad row must not spoil the others?

UTF-8 with or without a byte order mark, commas, quotes as in RFC 4180. Rows are counted as a spreadsheet
counts them: the header is row 1. Blank lines count and hold nothing.
"""

from __future__ import annotations

import csv
import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from almenara.errors import Code, Fault, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CELL_MAX = 131_072
"""Characters a cell: the csv module's own limit. More is a quote that was never closed."""

# Marks without width, which sources leave behind: they are no part of any text.
_WIDTHLESS = {0x200B: None, 0x2060: None, 0xFEFF: None}


class Line(NamedTuple):
    """One row below the header as it stands, and what is wrong with it, None if it can be read."""

    number: int
    cells: Sequence[str]
    fault: Fault | None
    share: float
    """How much of the file is read, 0 to 1."""


class CsvFile:
    """An open CSV file whose header is read."""

    def __init__(self, path: Path, raw: io.BufferedReader) -> None:
        self._raw = raw
        self._size = os.fstat(raw.fileno()).st_size
        # A byte that is not UTF-8 becomes a lone surrogate, by which its row is found.
        text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._reader = csv.reader(text, strict=True)
        try:
            self.header = tuple(tidy(cell) for cell in next(self._reader, ()))
        except csv.Error as exc:
            raise Misconfigured(Code.CONFIGURATION, f"{path}: its header cannot be read ({exc})") from exc
        if not any(self.header):
            raise Misconfigured(Code.CONFIGURATION, f"{path}: empty; want a header and rows below it")

    def lines(self) -> Iterator[Line]:
        """Yield the rows below the header."""
        number = 1
        while True:
            number += 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as exc:
                fault = Fault(Code.FORMAT, "row", f"cannot be read as CSV ({exc}); look at its quotes")
                yield Line(number, (), fault, self._share())
                continue
            if cells:
                yield Line(number, cells, self._fault(cells), self._share())

    def _fault(self, cells: Sequence[str]) -> Fault | None:
        if len(cells) != len(self.header):
            return Fault(Code.FORMAT, "row", f"{len(cells)} cells, the header has {len(self.header)}")
        try:
            "".join(cells).encode()
        except UnicodeEncodeError:
            column = next(c for c, cell in zip(self.header, cells, strict=True) if not _is_unicode(cell))
            return Fault(Code.FORMAT, column, "not UTF-8; save the file as UTF-8")
        return None

    def _share(self) -> float:
        return min(self._raw.tell() / self._size, 1.0) if self._size else 0.0


@contextmanager
def open_csv(path: Path) -> Iterator[CsvFile]:
    """Open a CSV file; raise Misconfigured if it cannot be read or has no header."""
    try:
        raw = path.open("rb")
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{path}: cannot be read ({exc.strerror}); name a CSV file"
        ) from exc
    with raw:
        yield CsvFile(path, raw)


def tidy(cell: str) -> str:
    """Return a cell without marks of no width, and its spaces single and none around it."""
    return " ".join(cell.translate(_WIDTHLESS).split())


def _is_unicode(cell: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in cell)
