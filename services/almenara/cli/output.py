"""How is a result written: a table for people, JSON or CSV for programs?

Texts come from other administrations. On a terminal control characters are escaped; in CSV a cell
that a spreadsheet would take for a formula gets an apostrophe before it.
"""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import click
import msgspec

from almenara.logs import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Value: TypeAlias = "str | int | float | bool | datetime | Sequence[str] | None"
Row: TypeAlias = "Mapping[str, Value]"

# OWASP, CSV injection: what Excel, LibreOffice and Google Sheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_WHOLE_CELL = 24
"""Characters of a cell that is never folded: a time, a reference, a code."""


def write_rows(rows: Sequence[Row], output: str) -> None:
    """Write the rows to standard output in one of the formats of `-o`; all have the same fields."""
    match output:
        case "json":
            click.echo(json_document(rows))
        case "jsonl":
            for row in rows:
                click.echo(json_line(row))
        case "csv":
            _write_csv(rows)
        case "table":
            _write_table(rows)
        case _:
            raise AssertionError(output)


def json_document(value: object) -> str:
    """Return the value as JSON for people and programs, over several lines."""
    return _inert_json(msgspec.json.format(msgspec.json.encode(value)).decode())


def json_line(value: object) -> str:
    """Return the value as JSON on one line."""
    return _inert_json(msgspec.json.encode(value).decode())


def _inert_json(text: str) -> str:
    r"""Return the JSON with what does not print as `\uXXXX`: only texts hold it, so the value is the same.

    JSON itself escapes control characters below U+0020, not the C1 controls and the marks that turn
    the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _json_escape(c) for c in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _write_csv(rows: Sequence[Row]) -> None:
    if not rows:
        return
    writer = csv.writer(sys.stdout)
    writer.writerow(rows[0])
    writer.writerows([_inert_cell(_text(value)) for value in row.values()] for row in rows)


def _write_table(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        click.echo("nothing to show", err=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    cells = [[printable(_text(value)) for value in row.values()] for row in rows]
    for field, column in zip(rows[0], zip(*cells, strict=True), strict=True):
        # Short cells stay whole, so that a narrow terminal folds the long texts and nothing else.
        whole = max(map(len, column)) <= _WHOLE_CELL
        table.add_column(field.replace("_", " "), overflow="fold", no_wrap=whole)
    for line in cells:
        table.add_row(*map(Text, line))
    # A pipe has no width: lines are then as long as their cells.
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def _text(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%SZ}"
        case str():
            return value
        case int() | float():
            return str(value)
        case _:
            return ", ".join(value)


def _inert_cell(text: str) -> str:
    shown = printable(text)
    return f"'{shown}" if text.startswith(_FORMULA) else shown


def count(number: int, thing: str) -> str:
    """Return `1 message`, `2 messages`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
