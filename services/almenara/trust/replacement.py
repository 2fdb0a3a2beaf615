"""How do several files change together, so that no crash leaves some old and some new?

    each written beside its place -> plan written whole -> each takes its place -> plan gone

Crash points: before the plan stands nothing has changed, and what was written beside is written again
the next time. Once it stands, `finish` carries it out, as often as need be; whoever reads the
files calls it first.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara.trust.secretfile import move_file, replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping


class Content(NamedTuple):
    """What a file is to hold, and its mode."""

    data: bytes
    mode: int


def replace_together(plan: Path, files: Mapping[Path, Content]) -> None:
    """Replace all of these files or none; `plan` is where the plan stands meanwhile.

    Raises OSError if one cannot be written; `finish` then says which state counts.
    """
    for path, content in files.items():
        _draft(path).unlink(missing_ok=True)
        replace_file(_draft(path), content.data, mode=content.mode)
    replace_file(plan, msgspec.json.encode([str(path) for path in files]))
    finish(plan)


def finish(plan: Path) -> None:
    """Carry out a plan that a crash interrupted, if there is one; raise OSError if it cannot be done."""
    try:
        paths = [Path(path) for path in msgspec.json.decode(plan.read_bytes(), type=list[str])]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # none that we may carry out
    for path in paths:
        # Not there: it has taken its place already, by an earlier try or by another process.
        with suppress(FileNotFoundError):
            move_file(_draft(path), path)
    plan.unlink(missing_ok=True)


def _draft(path: Path) -> Path:
    return path.with_name(f".next-{path.name}")
