"""Is the directory that the coordinators show us the newest one that they signed?

The TUF client's side, over files that were fetched already, from the directory topic or a folder.
python-tuf refuses rollback, freeze, mix-and-match and too few signatures. It keeps what it has
seen in `cache`; a cache that is lost loses rollback protection there, so `continuity.merge` also
compares with the store.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from almenara.errors import Code, DirectoryRefused, Unavailable
from almenara.trust.directory import Expiries
from almenara.trust.hybrid import require_hybrid
from almenara.trust.targets import VerifiedTargets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

METADATA = "metadata/"
TARGETS = "targets/"
"""Where the two kinds of files stand, in the topic's keys as in a folder."""

TIMESTAMP_MAX = 64 * 1024
"""Bytes of the timestamp: two hybrid signatures alone come near python-tuf's own cap of 16 KiB."""

_NOT_FOUND = 404


class _Files(FetcherInterface):
    """Serve the files that were fetched already, in place of a web server."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        data = self._files.get(url)
        if data is None:
            raise DownloadHTTPError(f"{url} is not among the files", _NOT_FOUND)
        return iter((data,))


def root_fingerprint(root: bytes) -> str:
    """Return the SHA-256, in hex, of the first root's file: what members compare by hand."""
    return hashlib.sha256(root).hexdigest()


def root_name(version: int) -> str:
    """Return the name under which a version of the root is published."""
    return f"{METADATA}{version}.root.json"


def refresh(files: Mapping[str, bytes], *, cache: Path, root: bytes, now: datetime) -> VerifiedTargets:
    """Return the newest target files, proven from the first root on, which was compared by hand.

    Raises DirectoryRefused DIRECTORY_INVALID if the files do not prove themselves, Unavailable
    DIRECTORY_MISSING if some have not come yet, Unavailable DIRECTORY_EXPIRED if none newer than
    an expired one are shown, Unavailable STORE_FULL if the cache cannot be written. A crash leaves a
    cache that the next refresh goes on from.
    """
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_hybrid_roots(files, root)
        updater = Updater(
            str(cache),
            METADATA,
            target_base_url=TARGETS,
            fetcher=_Files(files),
            config=UpdaterConfig(timestamp_max_length=TIMESTAMP_MAX),
            bootstrap=root,
        )
        # python-tuf reads the clock when it starts; here time is a value, as everywhere.
        updater._trusted_set.reference_time = now  # noqa: SLF001
        updater.refresh()
        return _verified(files, cache)
    except ExpiredMetadataError as exc:
        raise Unavailable(
            Code.DIRECTORY_EXPIRED,
            f"directory: {exc}; the coordinator must sign a newer one",
            retry_after_s=60,
        ) from exc
    except OSError as exc:
        raise Unavailable(
            Code.STORE_FULL, f"{cache}: cannot be written ({exc.strerror}); free some space on its disk"
        ) from exc
    except (RepositoryError, DownloadLengthMismatchError) as exc:
        raise DirectoryRefused(
            Code.DIRECTORY_INVALID, f"directory: {exc}; ask the coordinator, the last one stays in force"
        ) from exc
    except DownloadError as exc:
        raise Unavailable(
            Code.DIRECTORY_MISSING, f"directory: {exc}; it is still being published, or was cut short"
        ) from exc


def _require_hybrid_roots(files: Mapping[str, bytes], first: bytes) -> None:
    """Return if no root on the way names another kind of key; raise DirectoryRefused if one does.

    python-tuf knows a dozen kinds and would accept any that a root names. It reads the versions one
    after the other; what is no root is left to it to refuse.
    """
    data: bytes | None = first
    while data is not None:
        try:
            signed = Metadata[Root].from_bytes(data).signed
        except DeserializationError:
            return
        if signed.type != Root.type:
            return
        require_hybrid(signed)
        data = files.get(root_name(signed.version + 1))


def _verified(files: Mapping[str, bytes], cache: Path) -> VerifiedTargets:
    # The updater has just written here what it has verified.
    root = Metadata[Root].from_bytes((cache / "root.json").read_bytes()).signed
    timestamp = Metadata[Timestamp].from_bytes((cache / "timestamp.json").read_bytes()).signed
    snapshot = Metadata[Snapshot].from_bytes((cache / "snapshot.json").read_bytes()).signed
    targets = Metadata[Targets].from_bytes((cache / "targets.json").read_bytes()).signed
    return VerifiedTargets(
        version=targets.version,
        targets={name: _target(files, target) for name, target in targets.targets.items()},
        expires=Expiries(
            root=root.expires,
            targets=targets.expires,
            snapshot=snapshot.expires,
            timestamp=timestamp.expires,
        ),
    )


def _target(files: Mapping[str, bytes], target: TargetFile) -> bytes:
    name = published_name(target)
    data = files.get(name)
    if data is None:
        raise DownloadError(f"{name} is not among the files")
    target.verify_length_and_hashes(data)
    return data


def published_name(target: TargetFile) -> str:
    """Return the name under which a target file is published: its hash before its own name."""
    folder, slash, name = target.path.rpartition("/")
    return f"{TARGETS}{folder}{slash}{target.hashes['sha256']}.{name}"
