"""How do the coordinators sign and publish the directory?

A TUF repository in a folder: `metadata/`, `targets/`, and in `keys/` the role keys at hand. What a
version says is a proposal (proposal.py), whoever signs it; the online roles are signed here, when it
is published. Every file of a version is written before the timestamp that leads to it, which is
replaced whole. So the timestamp on disk is the state: what a crash or a missing key leaves beyond it,
a new root too, is overwritten by the next version and never published.

    root       m of n, offline   a year
    targets    m of n, offline   half a year: the members', audiences' and federation's files
    snapshot   online            two weeks, signed again when half of it is over
    timestamp  online            24 hours, signed again hourly (DESIGN 4)
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import msgspec
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, Targets, Timestamp

from almenara.errors import Code, Misconfigured
from almenara.model.ids import federation_name
from almenara.trust.directory import Expiries
from almenara.trust.judged import judge, require_complete, with_signatures
from almenara.trust.proposal import (
    NOTHING,
    ROOT_LIFETIME,
    TARGET_MAX,
    TARGETS_LIFETIME,
    Base,
    propose,
)
from almenara.trust.published import TIMESTAMP_FILE, Published, metadata_name, read_published
from almenara.trust.refresh import published_name, root_name
from almenara.trust.rolekeys import Thresholds, create_role_key, first_root, keys_at_hand
from almenara.trust.secretfile import replace_file
from almenara.trust.targets import FEDERATION_TARGET, FederationFile, encode_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from almenara.trust.hybrid import HybridKey
    from almenara.trust.proposal import Proposal

SNAPSHOT_LIFETIME = timedelta(days=14)
TIMESTAMP_LIFETIME = timedelta(hours=24)

_PUBLIC_MODE = 0o644

_Online = TypeVar("_Online", Snapshot, Timestamp)


class Repository:
    """The coordinators' copy of the directory, proven when it is opened; `create`, `open` or `new` one."""

    def __init__(self, folder: Path, *, published: Published | None) -> None:
        self._folder = folder
        self._published = published
        self._draft = dict(self.base.files)

    @classmethod
    def new(cls, folder: Path) -> Repository:
        """Return a repository of which nothing is published yet.

        Raises Misconfigured CONFIGURATION if the folder holds one.
        """
        if (folder / TIMESTAMP_FILE).exists():
            raise Misconfigured(
                Code.CONFIGURATION, f"{folder}: holds a directory already; open it or name another folder"
            )
        return cls(folder, published=None)

    @classmethod
    def create(
        cls, folder: Path, *, federation: str, now: datetime, thresholds: Thresholds | None = None
    ) -> Repository:
        """Create all role keys and the first version, which holds the federation's file alone.

        No schema is allowed until that file is set to allow it. Raises Refused FORMAT for the name,
        Misconfigured CONFIGURATION if the folder holds a repository or a quorum cannot be met. A
        crash leaves a folder to remove.
        """
        federation_name(federation)
        repository = cls.new(folder)
        file = encode_target(FederationFile(federation=federation, schemas=()))
        repository.set_target(FEDERATION_TARGET, file)
        proposal = repository.founding(thresholds or Thresholds(), named={}, by="", now=now)
        repository.install(proposal, now)
        return repository

    @classmethod
    def open(cls, folder: Path) -> Repository:
        """Return the repository of a folder, proven from its first root on, whether it has expired or not.

        Raises Misconfigured CONFIGURATION if there is none.
        """
        return cls(folder, published=read_published(folder))

    @property
    def base(self) -> Base:
        """Return what is published: what the next version builds on."""
        return NOTHING if self._published is None else self._published.base

    def copy_to(self, folder: Path) -> None:
        """Write the published files into a folder, in their order; raise OSError if it cannot be written.

        A crash leaves the version that stood there before, or this one.
        """
        for name, data in self.files():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            replace_file(folder / name, data, mode=_PUBLIC_MODE)

    @property
    def in_force(self) -> Published:
        """Return what is published; raise Misconfigured CONFIGURATION before the first version."""
        if self._published is None:
            raise Misconfigured(
                Code.CONFIGURATION,
                f"{self._folder}: nothing is published yet; sign and publish the first version",
            )
        return self._published

    @property
    def version(self) -> int:
        """Return the published version of the directory, 0 before the first."""
        return self.base.version("targets")

    @property
    def expires(self) -> Expiries:
        """Return when each role of the published version expires."""
        now = self.in_force
        return Expiries(
            root=now.root.expires,
            targets=now.targets.expires,
            snapshot=now.snapshot.expires,
            timestamp=now.timestamp.expires,
        )

    @property
    def targets(self) -> Mapping[str, bytes]:
        """Return the target files as the next version will have them."""
        return dict(self._draft)

    @property
    def changed(self) -> bool:
        """Tell whether a target file was set since the published version."""
        return self._draft != self.base.files

    @property
    def first_root(self) -> bytes:
        """Return the first root's file, from which members start."""
        return (self._folder / root_name(1)).read_bytes()

    @property
    def keys(self) -> Path:
        """Return the folder of the role keys at hand."""
        return self._folder / "keys"

    def set_target(self, name: str, data: bytes) -> None:
        """Take a target file into the next version; raise Misconfigured CONFIGURATION if too large."""
        if len(data) > TARGET_MAX:
            raise Misconfigured(
                Code.CONFIGURATION, f"{name}: {len(data)} bytes, the cap is {TARGET_MAX}; make it smaller"
            )
        self._draft[name] = data

    def founding(
        self, thresholds: Thresholds, *, named: Mapping[str, Sequence[HybridKey]], by: str, now: datetime
    ) -> Proposal:
        """Create the keys of roles for which none are named, and return the first version, signed by them.

        Raises Misconfigured CONFIGURATION if a quorum cannot be met. A crash leaves keys to remove.
        """
        keys = {role: list(public) for role, public in named.items()}
        for role, quorum in msgspec.structs.asdict(thresholds).items():
            if role not in keys:
                self.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
                names = [f"{role}-{number}" for number in range(1, quorum.keys + 1)]
                keys[role] = [
                    create_role_key(self.keys / f"{name}.json", holder=name).public for name in names
                ]
        root = first_root(keys, thresholds, expires=_end(now, ROOT_LIFETIME))
        return self.propose(by=by, now=now, root=root)

    def propose(self, *, by: str, now: datetime, root: Root | None = None) -> Proposal:
        """Return what was set, and a next root if one is given, as a proposal signed by the keys at hand.

        Raises what `judge` raises, Misconfigured KEY_UNREADABLE for a key file that gives no key.
        """
        proposal = propose(self.base, files=self._draft, root=root, by=by, now=now)
        return with_signatures(judge(proposal, self.base, now=now), keys_at_hand(self.keys))

    def install(self, proposal: Proposal, now: datetime) -> int:
        """Publish a proposal that its quorums have signed, and return the version of the directory.

        Raises Unavailable SIGNATURES_MISSING if they have not, what `judge` raises for a proposal that
        is not sound, Misconfigured KEY_UNREADABLE if a key of an online role is not here.
        """
        judged = judge(proposal, self.base, now=now)
        require_complete(judged)
        targets = judged.targets
        written = {published_name(targets.targets[name]): data for name, data in proposal.files.items()}
        snapshot, signed = None if self._published is None else self._published.snapshot, b""
        if judged.has("targets"):
            signed = judged.file("targets")
            written[metadata_name("targets", targets.version)] = signed
        if snapshot is None or judged.has("targets") or self._signs_anew("snapshot", judged.root):
            signed = signed or self._read(metadata_name("targets", targets.version))
            snapshot = self._next_snapshot(signed, targets.version, now)
            written[metadata_name("snapshot", snapshot.version)] = self._signed(snapshot, judged.root)
        if judged.has("root"):
            written[root_name(judged.root.version)] = judged.file("root")
        self._write(written, judged.root, targets, snapshot, judged.files, now=now)
        self._draft = dict(judged.files)
        return self.version

    def publish(self, now: datetime) -> int:
        """Sign what was set with the keys at hand; return the version, the old one if nothing changed.

        Raises Unavailable SIGNATURES_MISSING if too few keys of the targets are here to sign; what was
        set stays set.
        """
        if self.changed or self.renewal_due(now):
            return self.install(self.propose(by="", now=now), now)
        self.sign_timestamp(now)
        return self.version

    def renewal_due(self, now: datetime) -> bool:
        """Tell whether half of the life of the published targets is over."""
        return self.in_force.targets.expires - now < TARGETS_LIFETIME / 2

    def sign_timestamp(self, now: datetime) -> None:
        """Sign the timestamp for 24 hours more, and the snapshot when half of its life is over.

        Raises Misconfigured KEY_UNREADABLE if too few keys of a role are here to sign.
        """
        root, targets, snapshot, _timestamp, files = self.in_force
        written = {}
        if snapshot.expires - now < SNAPSHOT_LIFETIME / 2:
            signed = self._read(metadata_name("targets", targets.version))
            snapshot = self._next_snapshot(signed, targets.version, now)
            written[metadata_name("snapshot", snapshot.version)] = self._signed(snapshot, root)
        self._write(written, root, targets, snapshot, files, now=now)

    def files(self) -> list[tuple[str, bytes]]:
        """Return what readers need, in the order to publish: what leads to a file comes after it."""
        root, targets, snapshot, _timestamp, _contents = self.in_force
        names = [
            *(root_name(version) for version in range(1, root.version + 1)),
            *(published_name(file) for _name, file in sorted(targets.targets.items())),
            metadata_name("targets", targets.version),
            metadata_name("snapshot", snapshot.version),
            TIMESTAMP_FILE,
        ]
        return [(name, self._read(name)) for name in names]

    def _signs_anew(self, role: str, root: Root) -> bool:
        return self.base.root is None or self.base.root.roles[role] != root.roles[role]

    def _next_snapshot(self, targets: bytes, version: int, now: datetime) -> Snapshot:
        return Snapshot(
            version=1 if self._published is None else self._published.snapshot.version + 1,
            expires=_end(now, SNAPSHOT_LIFETIME),
            meta={"targets.json": MetaFile.from_data(version, targets, ["sha256"])},
        )

    def _write(
        self,
        written: dict[str, bytes],
        root: Root,
        targets: Targets,
        snapshot: Snapshot,
        files: Mapping[str, bytes],
        *,
        now: datetime,
    ) -> None:
        """Sign the timestamp that leads to this state, then write the files in their order and it last."""
        name = metadata_name("snapshot", snapshot.version)
        timestamp = Timestamp(
            version=1 if self._published is None else self._published.timestamp.version + 1,
            expires=_end(now, TIMESTAMP_LIFETIME),
            snapshot_meta=MetaFile.from_data(
                snapshot.version, written.get(name) or self._read(name), ["sha256"]
            ),
        )
        for path, data in (*written.items(), (TIMESTAMP_FILE, self._signed(timestamp, root))):
            (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._folder / path, data, mode=_PUBLIC_MODE)
        self._published = Published(root, targets, snapshot, timestamp, files)

    def _signed(self, online: _Online, root: Root) -> bytes:
        """Return the file of an online role, signed by its keys at hand; raise KEY_UNREADABLE if too few."""
        metadata = Metadata(online)
        role = root.roles[online.type]
        for key in keys_at_hand(self.keys):
            if key.key_id in role.keyids:
                metadata.signatures[key.key_id] = key.sign(metadata.signed_bytes)
        try:
            root.verify_delegate(online.type, metadata.signed_bytes, metadata.signatures)
        except UnsignedMetadataError as exc:
            raise Misconfigured(
                Code.KEY_UNREADABLE,
                f"{self.keys}: {len(metadata.signatures)} of the {role.threshold} keys that {online.type} "
                "needs; bring the others",
            ) from exc
        return metadata.to_bytes()

    def _read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()


def _end(now: datetime, lifetime: timedelta) -> datetime:
    # TUF writes whole seconds.
    return now.replace(microsecond=0) + lifetime
