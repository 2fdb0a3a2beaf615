"""Which options mean the same in every command?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("table", "json", "jsonl", "csv")

federation_folder: Any = click.Path(path_type=Path)
"""A federation's folder; `Federation.open` says what to do if it is none."""


def output_format(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o`, which is a format everywhere, passed on as `output`."""
    return click.option(
        "-o",
        "--format",
        "output",
        type=click.Choice(FORMATS),
        default="table",
        help="How to write the result.",
    )(command)
