"""Where are the keys of the directory's roles, and how many of them must sign?

Each private half is a file (keyfile.py) in its holder's hands; its public half, a file beside it
named `.pub.json`, is what a root names. The folder `keys` of a directory holds those that are at
hand: the online roles' always, the others as `<role>-<n>.json` until they are taken to their holders.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from securesystemslib.signer import Key
from tuf.api.metadata import Role, Root

from almenara.errors import Code, Misconfigured
from almenara.trust.hybrid import HOLDER_MAX, HybridKey, RoleKey
from almenara.trust.keyfile import (
    inspect_key_file,
    read_key_file,
    require_same_key,
    rewrapped,
    write_key_file,
)
from almenara.trust.secretfile import read_secret, replace_file, unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

PUBLIC_SUFFIX = ".pub.json"

PUBLIC_MAX = 64 * 1024
"""Bytes of a public half's file: it is below 5 KiB."""

_ED25519_BYTES = 32
_MLDSA65_BYTES = 32
_PUBLIC_MODE = 0o644


class Quorum(NamedTuple):
    """How many of how many keys must sign for a role."""

    threshold: int
    keys: int

    def __str__(self) -> str:
        return f"{self.threshold} of {self.keys}"


_ONE = Quorum(1, 1)


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """The quorum of each role: one of one for a demonstration, `SERVICE` where it counts."""

    root: Quorum = _ONE
    targets: Quorum = _ONE
    snapshot: Quorum = _ONE
    timestamp: Quorum = _ONE


SERVICE = Thresholds(root=Quorum(3, 5), targets=Quorum(2, 3))
"""What a federation begins with unless it says otherwise (DESIGN 4)."""

ROLES: tuple[str, ...] = Thresholds.__struct_fields__
ONLINE: tuple[str, ...] = ("snapshot", "timestamp")
"""Roles whose keys stay with the coordinator's daemon, which signs with them every hour."""


def create_role_key(path: Path, *, holder: str, passphrase: bytes | None = None) -> RoleKey:
    """Create a role key: its private file of mode 0600, and its public half beside it.

    Raises Misconfigured CONFIGURATION if the file exists or cannot be written, or for a holder's
    name that a root cannot bear. A crash leaves a key without its public half: make another.
    """
    if not (holder.isprintable() and 0 < len(holder) <= HOLDER_MAX):
        raise Misconfigured(
            Code.CONFIGURATION, f"holder {holder!r}: not 1 to {HOLDER_MAX} printable characters; give another"
        )
    ed25519, mldsa65 = Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate()
    key = RoleKey(ed25519, mldsa65, holder=holder)
    secret = ed25519.private_bytes_raw() + mldsa65.private_bytes_raw()
    write_key_file(path, "role", bytes.fromhex(key.key_id), secret, passphrase=passphrase)
    replace_file(public_path(path), encode_role_key(key.public), mode=_PUBLIC_MODE)
    return key


def load_role_key(path: Path, *, passphrase: bytes | None = None) -> RoleKey:
    """Return the role key of a private file; raise Misconfigured KEY_UNREADABLE if it does not give one."""
    stated, secret = read_key_file(path, "role", _ED25519_BYTES + _MLDSA65_BYTES, passphrase=passphrase)
    key = RoleKey(
        Ed25519PrivateKey.from_private_bytes(secret[:_ED25519_BYTES]),
        MLDSA65PrivateKey.from_seed_bytes(secret[_ED25519_BYTES:]),
    )
    require_same_key(path, stated, bytes.fromhex(key.key_id))
    return key


def protect_role_key(path: Path, *, passphrase: bytes | None, new: bytes | None) -> None:
    """Put a private file under another passphrase, or in clear; a crash leaves it under one of the two.

    Raises Misconfigured KEY_UNREADABLE if the file does not give the key, or cannot be written.
    """
    load_role_key(path, passphrase=passphrase)
    try:
        replace_file(path, rewrapped(path, read_secret(path), passphrase=passphrase, new=new))
    except OSError as exc:
        raise unreadable(path, f"cannot be written ({exc.strerror})", "correct its folder's owner") from exc


def public_path(path: Path) -> Path:
    """Return where the public half of a private file stands."""
    return path.with_name(f"{path.name.removesuffix('.json')}{PUBLIC_SUFFIX}")


def encode_role_key(key: HybridKey) -> bytes:
    """Return the file of a public half."""
    return msgspec.json.format(msgspec.json.encode({"keyid": key.keyid, **key.to_dict()})) + b"\n"


def read_role_key(path: Path) -> HybridKey:
    """Return the public half of a file; raise Misconfigured CONFIGURATION if it is none."""
    try:
        with path.open("rb") as file:
            entry: dict[str, Any] = json.loads(file.read(PUBLIC_MAX))
        key = Key.from_dict(entry.pop("keyid"), entry)
        if not isinstance(key, HybridKey):
            raise TypeError(f"its type is {key.keytype}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{path}: not the public half of a role key ({exc}); name the {PUBLIC_SUFFIX} file that "
            "`almenara directory key create` made",
        ) from exc
    return key


def keys_at_hand(folder: Path) -> tuple[RoleKey, ...]:
    """Return the role keys of a folder; those behind a passphrase wait for their holder.

    Raises Misconfigured KEY_UNREADABLE for a file that is damaged or open to others.
    """
    return tuple(
        load_role_key(path)
        for path in sorted(folder.glob("*.json"))
        if not path.name.endswith(PUBLIC_SUFFIX) and not inspect_key_file(path).protected
    )


def first_root(keys: Mapping[str, Sequence[HybridKey]], thresholds: Thresholds, *, expires: datetime) -> Root:
    """Return the first root, which names the keys of every role.

    Raises Misconfigured CONFIGURATION if a quorum cannot be met.
    """
    root = Root(version=1, expires=expires, consistent_snapshot=True)
    for role, quorum in msgspec.structs.asdict(thresholds).items():
        set_quorum(root, role, keys[role], quorum)
    return root


def set_quorum(root: Root, role: str, keys: Sequence[HybridKey], quorum: Quorum) -> None:
    """Let these keys sign for a role of a root that is being drafted.

    Raises Misconfigured CONFIGURATION if they cannot meet the quorum.
    """
    known = {key.keyid: key for key in keys}
    if not 1 <= quorum.threshold <= quorum.keys or len(known) != quorum.keys:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"quorum of {role}: {quorum} with {len(known)} keys; want one at least, all at most, and as many "
            "keys as it says",
        )
    root.roles[role] = Role(sorted(known), quorum.threshold)
    root.keys.update(known)
    used = {keyid for each in root.roles.values() for keyid in each.keyids}
    root.keys = {keyid: key for keyid, key in sorted(root.keys.items()) if keyid in used}


def rotate(root: Root, role: str, *, add: Sequence[HybridKey], remove: Sequence[str], threshold: int) -> None:
    """Let other keys sign for a role of a root that is being drafted.

    Raises Misconfigured CONFIGURATION for a key that is not there to remove or is there already, or if
    what is left cannot meet the threshold.
    """
    held = list(root.roles[role].keyids)
    for key_id in remove:
        if key_id not in held:
            raise Misconfigured(
                Code.CONFIGURATION, f"key {key_id}: does not sign {role}; name one that does, by its whole id"
            )
    for key in add:
        if key.keyid in held:
            raise Misconfigured(Code.CONFIGURATION, f"key {key.shown}: signs {role} already; leave it out")
    kept = [root.keys[key_id] for key_id in held if key_id not in remove]
    keys = [*(key for key in kept if isinstance(key, HybridKey)), *add]
    set_quorum(root, role, keys, Quorum(threshold, len(keys)))


def next_root(root: Root, *, expires: datetime) -> Root:
    """Return a copy of the root to draft the next version on."""
    draft = Root.from_dict(root.to_dict())
    draft.version += 1
    draft.expires = expires
    return draft
