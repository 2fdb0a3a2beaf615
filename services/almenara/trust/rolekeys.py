"""Which keys sign for a role of the directory, and how many of them must?

Role keys stand in a folder as `<role>-<n>.json`, in the same container as a member's signing key.
Those that are kept offline are simply not there until they are needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from securesystemslib.signer import Signature, SSlibKey
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Role, Root, Snapshot, Targets, Timestamp

from almenara.errors import Code, Misconfigured
from almenara.trust.keys import create_signing_key, load_signing_key

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from almenara.trust.keys import SigningKey

SignedRole = TypeVar("SignedRole", Root, Targets, Snapshot, Timestamp)


class Quorum(NamedTuple):
    """How many of how many keys must sign for a role."""

    threshold: int
    keys: int


_ONE = Quorum(1, 1)


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """The quorum of each role: one of one for a demonstration, 3 of 5 and 2 of 3 in service."""

    root: Quorum = _ONE
    targets: Quorum = _ONE
    snapshot: Quorum = _ONE
    timestamp: Quorum = _ONE


def create_role_keys(folder: Path, thresholds: Thresholds, *, expires: datetime) -> Root:
    """Create every role's keys in the folder, and return the first root, which names them.

    Raises Misconfigured CONFIGURATION if a quorum cannot be met or a key file exists.
    """
    root = Root(version=1, expires=expires, consistent_snapshot=True)
    for kind, quorum in msgspec.structs.asdict(thresholds).items():
        if not 1 <= quorum.threshold <= quorum.keys:
            raise Misconfigured(
                Code.CONFIGURATION,
                f"quorum of {kind}: {quorum.threshold} of {quorum.keys}; want one at least, all at most",
            )
        root.roles[kind] = Role([], quorum.threshold)
        for number in range(1, quorum.keys + 1):
            key = create_signing_key(folder / f"{kind}-{number}.json", passphrase=None)
            root.add_key(_tuf_key(key), kind)
    return root


def sign_role(metadata: Metadata[SignedRole], *, folder: Path, root: Root) -> bytes:
    """Return the metadata as a file, signed by each key of its role that is in the folder.

    Raises Misconfigured KEY_UNREADABLE if they are too few.
    """
    kind = metadata.signed.type
    role = root.roles[kind]
    for path in sorted(folder.glob(f"{kind}-*.json")):
        key = load_signing_key(f"file:{path}", passphrase=None)
        key_id = _tuf_key(key).keyid
        if key_id in role.keyids:
            metadata.signatures[key_id] = Signature(key_id, key.sign(metadata.signed_bytes).hex())
    try:
        root.verify_delegate(kind, metadata.signed_bytes, metadata.signatures)
    except UnsignedMetadataError as exc:
        raise Misconfigured(
            Code.KEY_UNREADABLE,
            f"{folder}: {len(metadata.signatures)} of the {role.threshold} keys that {kind} needs; "
            "bring the others",
        ) from exc
    return metadata.to_bytes()


def _tuf_key(key: SigningKey) -> SSlibKey:
    return SSlibKey.from_crypto(key.public)
