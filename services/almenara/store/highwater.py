"""How far has this member spoken on each stream, by a file that is not in the store?

    {"region": [epoch, seq], ...}

It stands with the keys and follows the store by a second, never ahead of it. So a store that is
behind it was restored from a backup, and one that lacks a stream of it was lost: then what was said
in between would be said a second time, and only a new epoch may go on (SPEC, chain).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from almenara.model.ids import AudienceId
from almenara.trust.secretfile import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from almenara.store.outbox import OwnHead

Marks = dict[AudienceId, tuple[int, int]]

_MARKS = msgspec.json.Decoder(dict[str, tuple[int, int]])

log = structlog.get_logger()


def read_marks(path: Path) -> Marks:
    """Return the furthest place signed on each stream; nothing where the file is missing or damaged."""
    try:
        return {AudienceId(name): place for name, place in _MARKS.decode(path.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as exc:
        log.warning("marks.not_read", file=path.name, error=str(exc))
        return {}


def write_marks(path: Path, heads: Mapping[AudienceId, OwnHead]) -> None:
    """Write where the heads stand; a file that cannot be written is a warning, not a fault."""
    try:
        replace_file(
            path, msgspec.json.encode({name: (head.epoch, head.seq) for name, head in heads.items()})
        )
    except OSError as exc:
        log.warning("marks.not_written", file=path.name, error=str(exc))


def behind(heads: Mapping[AudienceId, OwnHead], marks: Marks) -> tuple[AudienceId, ...]:
    """Return the streams whose head in the store is below what was signed: the store was restored."""
    return tuple(
        audience
        for audience, place in sorted(marks.items())
        if audience in heads and (heads[audience].epoch, heads[audience].seq) < place
    )


def lost(heads: Mapping[AudienceId, OwnHead], marks: Marks) -> frozenset[AudienceId]:
    """Return the streams on which this member has spoken and of which the store knows nothing."""
    return frozenset(marks.keys() - heads.keys())
