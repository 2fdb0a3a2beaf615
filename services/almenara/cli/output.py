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


def write_rows(rows: Sequence[Row], output: str) -> None:
    """Write the rows to standard output in one of the formats of `-o`; all have the same fields."""
    match output:
        case "json":
            click.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
        case "jsonl":
            for row in rows:
                click.echo(msgspec.json.encode(row).decode())
        case "csv":
            _write_csv(rows)
        case "table":
            _write_table(rows)
        case _:
            raise AssertionError(output)


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
    for field in rows[0]:
        table.add_column(field.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(_text(value))) for value in row.values()))
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
    return f"'{text}" if text.startswith(_FORMULA) else text
