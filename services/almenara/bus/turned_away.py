"""Which certificates must the embedded broker turn away? One file, written by the coordinator.

Kafka checks access at every request, but it ends no connection, and its names for certificates are
fixed when it starts (ADR 0011). So the broker is started anew when this file has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from almenara.errors import Code, Misconfigured
from almenara.trust.secretfile import replace_file

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_FILE = "turned-away.json"
_PUBLIC_MODE = 0o644


def turned_away(broker_folder: Path) -> frozenset[str]:
    """Return the names of the certificates, as in PE.1; raise Misconfigured for a file that is none."""
    path = broker_folder / _FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=frozenset[str])
    except FileNotFoundError:
        return frozenset()
    except (OSError, msgspec.DecodeError) as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{path}: cannot be read ({exc}); remove it, then: almenara coordinator sync",
        ) from exc


def turn_away(broker_folder: Path, names: Collection[str]) -> None:
    """Write the names of all certificates to be turned away; writing the same again changes nothing."""
    if turned_away(broker_folder) != frozenset(names):
        replace_file(broker_folder / _FILE, msgspec.json.encode(sorted(names)), mode=_PUBLIC_MODE)
