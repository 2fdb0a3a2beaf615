"""How do the coordinators sign and publish the directory?

A TUF repository in a folder: `metadata/`, `targets/` and `keys/`. Every file of a version is
written before the timestamp that leads to it, which is replaced whole. So the timestamp on disk
is the state: what a crash or a missing key leaves beyond it is overwritten by the next version and
never published.

    root       m of n, offline   a year
    targets    m of n            half a year: the members', audiences' and federation's files
    snapshot   online            two weeks, signed again when half of it is over
    timestamp  online            24 hours, signed again hourly (DESIGN 4)
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from almenara.errors import Code, Misconfigured
from almenara.model.ids import federation_name
from almenara.trust.directory import Expiries
from almenara.trust.refresh import METADATA, published_name
from almenara.trust.rolekeys import SignedRole, Thresholds, create_role_keys, sign_role
from almenara.trust.secretfile import replace_file
from almenara.trust.targets import FEDERATION_TARGET, FederationFile, encode_target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

ROOT_LIFETIME = timedelta(days=365)
TARGETS_LIFETIME = timedelta(days=180)
SNAPSHOT_LIFETIME = timedelta(days=14)
TIMESTAMP_LIFETIME = timedelta(hours=24)

TARGET_MAX = 900_000
"""Bytes of a target file: with its name it must fit a Kafka record of a million."""

_ROOT_SUFFIX = ".root.json"
_TIMESTAMP_FILE = f"{METADATA}timestamp.json"
_PUBLIC_MODE = 0o644


def root_fingerprint(root: bytes) -> str:
    """Return the SHA-256, in hex, of the first root's file: what members compare by hand."""
    return hashlib.sha256(root).hexdigest()


class Repository:
    """The coordinators' copy of the directory; `create` or `open` one."""

    def __init__(
        self,
        folder: Path,
        *,
        root: Root,
        targets: Targets,
        snapshot: Snapshot,
        timestamp: Timestamp,
        files: Mapping[str, bytes],
    ) -> None:
        self._folder = folder
        self._root = root
        self._targets = targets
        self._snapshot = snapshot
        self._timestamp = timestamp
        self._draft = dict(files)

    @classmethod
    def create(
        cls, folder: Path, *, federation: str, now: datetime, thresholds: Thresholds | None = None
    ) -> Repository:
        """Create role keys and the first version, which holds the federation's file alone.

        No schema is allowed until that file is set to allow it. Raises Refused FORMAT for the name,
        Misconfigured CONFIGURATION if the folder holds a repository or a quorum cannot be met. A
        crash leaves a folder to remove.
        """
        federation_name(federation)
        if (folder / _root_name(1)).exists():
            raise Misconfigured(
                Code.CONFIGURATION, f"{folder}: holds a directory already; open it or name another folder"
            )
        keys = _keys(folder)
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = create_role_keys(keys, thresholds or Thresholds(), expires=_end(now, ROOT_LIFETIME))
        _write(folder / _root_name(1), sign_role(Metadata(root), folder=keys, root=root))
        file = encode_target(FederationFile(federation=federation, schemas=()))
        # Version 0 stands for nothing published: the first of each is made by `publish`.
        blank = cls(
            folder,
            root=root,
            targets=_version(Targets(expires=now), 0),
            snapshot=_version(Snapshot(expires=now), 0),
            timestamp=_version(Timestamp(expires=now), 0),
            files={FEDERATION_TARGET: file},
        )
        blank.publish(now)
        return blank

    @classmethod
    def open(cls, folder: Path) -> Repository:
        """Return the repository of a folder; raise Misconfigured CONFIGURATION if there is none."""
        try:
            root = _load(folder, _root_name(max(_root_versions(folder), default=1)), Root)
            timestamp = _load(folder, _TIMESTAMP_FILE, Timestamp)
            snapshot = _load(folder, _name("snapshot", timestamp.snapshot_meta.version), Snapshot)
            targets = _load(folder, _name("targets", snapshot.meta["targets.json"].version), Targets)
            files = {
                name: (folder / published_name(file)).read_bytes() for name, file in targets.targets.items()
            }
        except (OSError, DeserializationError) as exc:
            raise Misconfigured(
                Code.CONFIGURATION, f"{folder}: holds no directory ({exc}); create one or name its folder"
            ) from exc
        return cls(folder, root=root, targets=targets, snapshot=snapshot, timestamp=timestamp, files=files)

    @property
    def version(self) -> int:
        """Return the published version of the directory."""
        return self._targets.version

    @property
    def expires(self) -> Expiries:
        """Return when each role of the published version expires."""
        return Expiries(
            root=self._root.expires,
            targets=self._targets.expires,
            snapshot=self._snapshot.expires,
            timestamp=self._timestamp.expires,
        )

    @property
    def targets(self) -> Mapping[str, bytes]:
        """Return the target files as the next `publish` will publish them."""
        return dict(self._draft)

    @property
    def first_root(self) -> bytes:
        """Return the first root's file, from which members start."""
        return (self._folder / _root_name(1)).read_bytes()

    def set_target(self, name: str, data: bytes) -> None:
        """Take a target file into the next version; raise Misconfigured CONFIGURATION if too large."""
        if len(data) > TARGET_MAX:
            raise Misconfigured(
                Code.CONFIGURATION, f"{name}: {len(data)} bytes, the cap is {TARGET_MAX}; make it smaller"
            )
        self._draft[name] = data

    def remove_target(self, name: str) -> None:
        """Leave a target file out of the next version; nothing happens if there is none."""
        self._draft.pop(name, None)

    def publish(self, now: datetime) -> int:
        """Sign what was set and return the version of the directory, the old one if nothing changed.

        Raises Misconfigured KEY_UNREADABLE if too few keys of a role are here to sign; what was set
        stays set.
        """
        files = {name: TargetFile.from_data(name, data, ["sha256"]) for name, data in self._draft.items()}
        targets, snapshot = self._targets, self._snapshot
        if files != targets.targets or _is_due(targets, TARGETS_LIFETIME, now):
            for name, file in files.items():
                _write(self._folder / published_name(file), self._draft[name])
            targets = Targets(version=targets.version + 1, expires=_end(now, TARGETS_LIFETIME), targets=files)
            snapshot = self._next_snapshot(self._sign("targets", targets), targets.version, now)
        self._sign_timestamp(targets, snapshot, now)
        return self.version

    def sign_timestamp(self, now: datetime) -> None:
        """Sign the timestamp for 24 hours more, and the snapshot when half of its life is over.

        Raises Misconfigured KEY_UNREADABLE if too few keys of a role are here to sign.
        """
        self._sign_timestamp(self._targets, self._snapshot, now)

    def files(self) -> list[tuple[str, bytes]]:
        """Return what readers need, in the order to publish: what leads to a file comes after it."""
        names = [
            *(_root_name(version) for version in sorted(_root_versions(self._folder))),
            *(published_name(file) for _name, file in sorted(self._targets.targets.items())),
            _name("targets", self._targets.version),
            _name("snapshot", self._snapshot.version),
            _TIMESTAMP_FILE,
        ]
        return [(name, (self._folder / name).read_bytes()) for name in names]

    def _next_snapshot(self, targets: bytes, version: int, now: datetime) -> Snapshot:
        return Snapshot(
            version=self._snapshot.version + 1,
            expires=_end(now, SNAPSHOT_LIFETIME),
            meta={"targets.json": MetaFile.from_data(version, targets, ["sha256"])},
        )

    def _sign_timestamp(self, targets: Targets, snapshot: Snapshot, now: datetime) -> None:
        if snapshot is self._snapshot and _is_due(snapshot, SNAPSHOT_LIFETIME, now):
            snapshot = self._next_snapshot(self._read("targets", targets.version), targets.version, now)
        if snapshot is self._snapshot:
            file = self._read("snapshot", snapshot.version)
        else:
            file = self._sign("snapshot", snapshot)
        timestamp = Timestamp(
            version=self._timestamp.version + 1,
            expires=_end(now, TIMESTAMP_LIFETIME),
            snapshot_meta=MetaFile.from_data(snapshot.version, file, ["sha256"]),
        )
        data = sign_role(Metadata(timestamp), folder=_keys(self._folder), root=self._root)
        _write(self._folder / _TIMESTAMP_FILE, data)
        self._targets, self._snapshot, self._timestamp = targets, snapshot, timestamp

    def _sign(self, role: str, signed: SignedRole) -> bytes:
        data = sign_role(Metadata(signed), folder=_keys(self._folder), root=self._root)
        _write(self._folder / _name(role, signed.version), data)
        return data

    def _read(self, role: str, version: int) -> bytes:
        return (self._folder / _name(role, version)).read_bytes()


def _load(folder: Path, name: str, kind: type[SignedRole]) -> SignedRole:
    metadata: Metadata[SignedRole] = Metadata.from_bytes((folder / name).read_bytes())
    if not isinstance(metadata.signed, kind):
        raise DeserializationError(f"{name} is of type {metadata.signed.type}")
    return metadata.signed


def _version(signed: SignedRole, version: int) -> SignedRole:
    signed.version = version
    return signed


def _is_due(signed: Targets | Snapshot, lifetime: timedelta, now: datetime) -> bool:
    return signed.expires - now < lifetime / 2


def _end(now: datetime, lifetime: timedelta) -> datetime:
    # TUF writes whole seconds.
    return now.replace(microsecond=0) + lifetime


def _keys(folder: Path) -> Path:
    return folder / "keys"


def _name(role: str, version: int) -> str:
    return f"{METADATA}{version}.{role}.json"


def _root_name(version: int) -> str:
    return f"{METADATA}{version}{_ROOT_SUFFIX}"


def _root_versions(folder: Path) -> list[int]:
    return [
        int(path.name.removesuffix(_ROOT_SUFFIX)) for path in (folder / METADATA).glob(f"*{_ROOT_SUFFIX}")
    ]


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data, mode=_PUBLIC_MODE)
