"""Every row of a file with its outcome, for tests that read whole files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.imports.rows import open_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from almenara.imports.mapping import Mapping
    from almenara.imports.rows import Row


def read_rows(path: Path, mapping: Mapping, *, now: datetime) -> Iterator[Row]:
    """Yield the rows, whoever sent them; raises what `open_rows` raises."""
    with open_rows(path, mapping) as file:
        yield from file.rows(now=now)
