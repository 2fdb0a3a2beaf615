"""What do the directory's files in a folder prove?

The coordinators' own copy and the copy of somebody who signs are judged alike, from the first root
on, as a reader would. Only time does not count: what has expired is still what the next version builds
on. Whoever asks if it may be worked with asks `refresh` or `Directory.standing`.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from almenara.errors import AlmenaraError, Code, DirectoryRefused, Misconfigured
from almenara.trust.proposal import Base
from almenara.trust.refresh import METADATA, published_name, refresh, root_fingerprint, root_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from almenara.trust.targets import VerifiedTargets

TIMESTAMP_FILE = f"{METADATA}timestamp.json"

_ROOT_SUFFIX = ".root.json"

_BEFORE_ANY_END = datetime.min.replace(tzinfo=UTC)

_Role = TypeVar("_Role", Root, Targets, Snapshot, Timestamp)


class Published(NamedTuple):
    """A published version, proven: what each role says, and the target files by their own names."""

    root: Root
    targets: Targets
    snapshot: Snapshot
    timestamp: Timestamp
    files: Mapping[str, bytes]

    @property
    def base(self) -> Base:
        """Return what a proposal builds on."""
        return Base(self.root, self.targets, self.files)


def read_published(folder: Path) -> Published:
    """Return what the files of a folder prove; raise Misconfigured CONFIGURATION if they prove nothing."""
    try:
        files = _proven(published_files(folder))
        timestamp = _parse(files[TIMESTAMP_FILE], Timestamp)
        snapshot = _parse(files[metadata_name("snapshot", timestamp.snapshot_meta.version)], Snapshot)
        version = snapshot.meta["targets.json"].version
        targets = _parse(files[metadata_name("targets", version)], Targets)
        root = _parse(files[root_name(max(_root_versions(files)))], Root)
    except (OSError, KeyError, ValueError, DeserializationError, AlmenaraError) as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{folder}: holds no directory ({exc}); create one or name its folder"
        ) from exc
    contents = {name: files[published_name(file)] for name, file in targets.targets.items()}
    return Published(root, targets, snapshot, timestamp, contents)


def verify_folder(folder: Path, *, fingerprint: str) -> VerifiedTargets:
    """Return what the files of a folder prove from the root of this fingerprint (SHA-256, in hex) on.

    Whether it has expired its `expires` say. Raises Misconfigured CONFIGURATION if there are no such
    files, DirectoryRefused if they prove another directory, or none.
    """
    files = folder_files(folder)
    first = files[root_name(1)]
    found = root_fingerprint(first)
    if found != fingerprint:
        raise DirectoryRefused(
            Code.DIRECTORY_INVALID,
            f"{folder}: its directory begins with root {found}, not {fingerprint}; ask the coordinator for "
            "the federation's fingerprint, over the telephone",
        )
    with tempfile.TemporaryDirectory(prefix="almenara-") as cache:
        return refresh(files, cache=Path(cache), root=first, now=_BEFORE_ANY_END)


def folder_files(folder: Path) -> dict[str, bytes]:
    """Return the directory's files of a folder, unproven; raise Misconfigured CONFIGURATION without them."""
    try:
        files = published_files(folder)
        files[root_name(1)]
    except (OSError, KeyError, ValueError, DeserializationError) as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{folder}: holds no directory ({exc}); name the folder with its metadata/"
        ) from exc
    return files


def published_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder to which its timestamp leads, and all its roots; nothing is proven.

    Raises OSError, KeyError or DeserializationError if it leads nowhere.
    """
    names = [f"{METADATA}{path.name}" for path in (folder / METADATA).glob(f"*{_ROOT_SUFFIX}")]
    files = {name: (folder / name).read_bytes() for name in (*names, TIMESTAMP_FILE)}
    name = metadata_name("snapshot", _parse(files[TIMESTAMP_FILE], Timestamp).snapshot_meta.version)
    files[name] = (folder / name).read_bytes()
    name = metadata_name("targets", _parse(files[name], Snapshot).meta["targets.json"].version)
    files[name] = (folder / name).read_bytes()
    for target in _parse(files[name], Targets).targets.values():
        name = published_name(target)
        files[name] = (folder / name).read_bytes()
    return files


def metadata_name(role: str, version: int) -> str:
    """Return the name under which a version of a role is published."""
    return f"{METADATA}{version}.{role}.json"


def _proven(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files with the newest root under which they prove themselves, and none beyond it.

    A later root is one whose publication was cut short. Raises what `refresh` raises.
    """
    first, versions = files[root_name(1)], sorted(_root_versions(files))
    while True:
        try:
            with tempfile.TemporaryDirectory(prefix="almenara-") as cache:
                refresh(files, cache=Path(cache), root=first, now=_BEFORE_ANY_END)
        except AlmenaraError:
            if len(versions) == 1:
                raise
            beyond = root_name(versions.pop())
            files = {name: data for name, data in files.items() if name != beyond}
        else:
            return files


def _parse(data: bytes, kind: type[_Role]) -> _Role:
    metadata: Metadata[_Role] = Metadata.from_bytes(data)
    if not isinstance(metadata.signed, kind):
        raise DeserializationError(f"of type {metadata.signed.type}, not {kind.type}")
    return metadata.signed


def _root_versions(names: Iterable[str]) -> list[int]:
    return [
        int(name.removeprefix(METADATA).removesuffix(_ROOT_SUFFIX))
        for name in names
        if name.endswith(_ROOT_SUFFIX)
    ]
