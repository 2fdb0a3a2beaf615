"""What will the rows of a file need of this machine before anything of them is done: disk, and time?"""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

from almenara.errors import Code, Misconfigured
from almenara.wire.seal import WRAP_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from almenara.demo.samples import Sample

STATEMENT_BYTES = 4_000
"""What a statement of one message takes with its row in a store."""

LINK_BYTES = 1_000
"""What a store keeps of a statement that is not for its member."""

MEMBER_BYTES = 10_000_000
"""A member's empty store, keys and directory, and its topic on the broker."""


def require_space(folder: Path, samples: Sequence[Sample], members: int) -> str:
    """Return in a sentence what the rows will need; raise Misconfigured STORE_FULL if that is not free."""
    need = disk_bytes(samples, members)
    free = shutil.disk_usage(next(parent for parent in folder.parents if parent.exists())).free
    if need > free:
        raise Misconfigured(
            Code.STORE_FULL,
            f"{folder}: {members} members will keep {need / 1e9:.0f} GB, {free / 1e9:.0f} GB are free; "
            "name a folder on a larger disk with --state, or fewer --members",
        )
    return (
        f"{len(samples)} messages to {members} members: up to {need / 1e9:.1f} GB in {folder}; "
        "rows are taken in their order for as long as half an hour allows"
    )


def disk_bytes(samples: Iterable[Sample], members: int) -> int:
    """Return what broker and stores keep if every message is published.

    The key of every list is announced once, with a slot for each member; whom the list names keeps that.
    """
    copies = Counter((sample.sender, sample.message.recipients) for sample in samples)
    total = members * MEMBER_BYTES
    for (_, recipients), number in copies.items():
        readers = len(recipients) or members - 1
        kept = readers + 2  # and its author, and the broker
        total += kept * (members * WRAP_BYTES + number * STATEMENT_BYTES)
        total += (members - 1 - readers) * number * LINK_BYTES
    return total
