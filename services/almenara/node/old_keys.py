"""Which key files open and sign nothing any more? Those put aside, once all retention since then is over.

A rotation leaves the older sealing key beside the new one, `sealing-<id>.json`, and what signed in
`retired/` (rotation.py). The last change of a file's inode is its rename, or later: never too early.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from almenara.errors import Misconfigured
from almenara.node.rotation import RETIRED
from almenara.trust.keyfile import inspect_key_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from almenara.node.settings import MemberSettings
    from almenara.trust.directory import Directory

# As rotation.py names what it puts aside; a new key that waits for the directory bears a time.
_PUT_ASIDE = re.compile(r"(signing|sealing|checkpoint)-[0-9a-f]{16}")

log = structlog.get_logger()


def drop_old_keys(settings: MemberSettings, directory: Directory, *, before: datetime) -> int:
    """Delete the key files that were put aside before then, and return how many.

    What a disk keeps of a deleted file is beyond this: an encrypted disk forgets it. A file that cannot
    be deleted is a warning, for a person put it there with other rights.
    """
    gone = 0
    for path in old_keys(settings, directory):
        try:
            if datetime.fromtimestamp(path.stat().st_ctime, UTC) >= before:
                continue
            path.unlink()
        except OSError as exc:
            log.warning("key.not_dropped", file=path.name, error=str(exc))
        else:
            log.info("key.dropped", file=path.name)
            gone += 1
    return gone


def old_keys(settings: MemberSettings, directory: Directory) -> Iterator[Path]:
    """Yield the files of keys that were put aside and that the directory does not have in force."""
    entry = directory.members.get(settings.member)
    if entry is None or entry.sealing_key is None:
        return
    listed = {*entry.signing_key_ids(), entry.sealing_key.key_id, entry.checkpoint_key_id}
    places = (settings.sealing_key_path.parent, settings.keys / RETIRED)
    for path in (path for place in places for path in sorted(place.glob("*.json"))):
        if not _PUT_ASIDE.fullmatch(path.stem):
            continue
        try:
            key_id = bytes.fromhex(inspect_key_file(path).key_id)
        except (Misconfigured, ValueError):
            continue  # not ours to judge
        if key_id not in listed:
            yield path
