"""Which options mean the same in every command?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from almenara.model.ids import MemberId

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


def member_config(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--config`, which says for which member the command speaks, passed on as `config`."""
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        default="member.toml",
        envvar="ALMENARA_CONFIG",
        show_envvar=True,
        help="The member's settings, or its folder.",
    )(command)


_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of an option's 10s, 500ms, 2m or plain number; fail as a usage error."""
    if value is None:
        return None
    found = _TIME.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no time; write 10s, 500ms or 2m", ctx, param)
    return float(found[1]) * _UNITS[found[2]]


def members(text: str | None) -> list[MemberId] | None:
    """Return the member ids of `AR,CL`; None stays None, and means the whole audience."""
    if text is None:
        return None
    from almenara.model.ids import member_id

    return [member_id(part.strip()) for part in text.split(",") if part.strip()]
