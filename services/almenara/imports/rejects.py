"""Where do rows go that cannot become messages? Into a CSV file: row, field, reason, the row itself.

The file appears whole or not at all: it is written beside its place and moved there at the end. Run
again and it is written anew, since nothing is lost by reading the rows again. Corrected, it can be
imported itself: a mapping ignores columns that it does not name.
"""

from __future__ import annotations

import csv
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from almenara.errors import Fault

COLUMNS = ("row", "field", "reason")

# OWASP, CSV injection: what Excel, LibreOffice and Google Sheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Rejects:
    """An open file of rejects; `open_rejects` lends one."""

    def __init__(self, path: Path, file: TextIO, header: Sequence[str]) -> None:
        self._path = path
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._write([*COLUMNS, *header])

    def add(self, number: int, cells: Sequence[str], faults: Sequence[Fault]) -> None:
        """Write one row with its faults: the first names the field, the reason tells them all.

        Raises Misconfigured CONFIGURATION if the disk does not take it.
        """
        first, *others = faults
        reason = "; ".join([first.text, *(f"{fault.path}: {fault.text}" for fault in others)])
        self._write([str(number), first.path, reason, *cells])

    def _write(self, cells: Sequence[str]) -> None:
        with _writing(self._path):
            self._writer.writerow([_inert(cell) for cell in cells])


@contextmanager
def open_rejects(path: Path, header: Sequence[str]) -> Iterator[Rejects]:
    """Lend a file of rejects with this header, which replaces the one before if no error comes.

    Raises Misconfigured CONFIGURATION if it cannot be written. A crash leaves a `.new-...` file.
    """
    draft = path.with_name(f".new-{secrets.token_hex(8)}")
    with _writing(path):
        # Bytes that are no UTF-8 stand escaped: the file can be read by anything.
        file = draft.open("x", encoding="utf-8", errors="backslashreplace", newline="")
    try:
        with file:
            yield Rejects(path, file, header)
            with _writing(path):
                file.flush()
                os.fsync(file.fileno())
        with _writing(path):
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{path}: cannot be written ({exc.strerror}); name a file in a folder you own"
        ) from exc


def _inert(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
