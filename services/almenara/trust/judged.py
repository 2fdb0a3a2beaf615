"""Is this proposal sound against what is published, and who has signed it?

To hold a `Judged` is to have checked: each byte that is signed is of one form, follows the published
version, and is signed by nobody who may not. Whether it makes a directory that readers take is asked
apart (`directory_of`), and whether it may take effect last (`require_complete`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from securesystemslib.signer import Signature
from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError, SerializationError

from almenara.errors import Code, DirectoryRefused, Unavailable
from almenara.trust.directory import Directory, Expiries
from almenara.trust.hybrid import HybridKey, RoleKey, require_hybrid
from almenara.trust.proposal import (
    TARGET_MAX,
    Base,
    Offline,
    Part,
    Proposal,
    RoleSignature,
    canonical,
    other_signers,
    refused,
)
from almenara.trust.targets import VerifiedTargets, build_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from securesystemslib.signer import Key

# Names become paths in the repository's folder: no part of one begins with a dot.
_TARGET_NAME = re.compile(r"([A-Za-z0-9_-][A-Za-z0-9._-]{0,63}/)?[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")

_Signed = TypeVar("_Signed", Root, Targets)

_DAY_S = 86_400.0
"""When to look again for signatures that people give."""


class Signers(NamedTuple):
    """One quorum that must sign a part: how many, who has and who could still."""

    part: Offline
    quorum: str
    threshold: int
    signed: tuple[HybridKey, ...]
    absent: tuple[HybridKey, ...]

    @property
    def keys(self) -> tuple[HybridKey, ...]:
        """Return all keys that may sign."""
        return (*self.signed, *self.absent)

    @property
    def missing(self) -> int:
        """Return how many signatures are still needed."""
        return max(0, self.threshold - len(self.signed))


class Judged(NamedTuple):
    """A proposal that is sound: what would be published, and who has signed it so far."""

    proposal: Proposal
    base: Base
    root: Root
    targets: Targets
    files: Mapping[str, bytes]
    quorums: tuple[Signers, ...]

    def has(self, role: Offline) -> bool:
        """Tell whether the proposal makes a new version of a role."""
        return any(part.role == role for part in self.proposal.parts)

    def file(self, role: Offline) -> bytes:
        """Return a role's metadata with its signatures so far, as it will be published."""
        (part,) = [part for part in self.proposal.parts if part.role == role]
        if role == "root":
            return Metadata(self.root, _signatures(part)).to_bytes()
        return Metadata(self.targets, _signatures(part)).to_bytes()


def judge(proposal: Proposal, base: Base, *, now: datetime) -> Judged:
    """Return the proposal with all that its bytes say, once they have been seen to be sound.

    Raises Refused: CONFLICT if it does not build on the published version, MALFORMED if its bytes
    are not of one form, UNKNOWN_KEY and BAD_SIGNATURE for a signature that is none,
    DIRECTORY_EXPIRED if what it makes has ended; DirectoryRefused for what no reader would take.
    """
    parts = _parts(proposal, base)
    root = _new(parts["root"], Root) if "root" in parts else base.root
    targets = _new(parts["targets"], Targets) if "targets" in parts else base.targets
    if root is None or targets is None:
        raise refused(Code.CONFLICT, "the first version needs both root and targets", "propose it anew")
    for role in parts:
        _require_life(root if role == "root" else targets, now)
    if "root" in parts:
        _require_sound(root)
        if "targets" not in parts and other_signers(base, root):
            raise refused(
                Code.CONFLICT, "others sign the targets, and there are none that they sign", "propose it anew"
            )
    files = _contents(proposal, base, targets) if "targets" in parts else base.files
    quorums = {role: _quorums(part, base, root) for role, part in parts.items()}
    for role, part in parts.items():
        _require_signatures(part, quorums[role])
    return Judged(
        proposal, base, root, targets, files, tuple(each for both in quorums.values() for each in both)
    )


def directory_of(judged: Judged) -> Directory:
    """Return the directory that would be in force; raise DirectoryRefused if no reader would take it."""
    directory = _directory(judged.targets, judged.files)
    if judged.base.targets is not None:
        published = _directory(judged.base.targets, judged.base.files)
        if published.federation != directory.federation:
            raise DirectoryRefused(
                Code.DIRECTORY_INVALID,
                f"proposal: for federation {directory.federation}, this is {published.federation}; "
                "ask for the right file",
            )
    return directory


def sign(judged: Judged, key: RoleKey) -> Proposal:
    """Return the proposal with the key's signature on each part that the key may sign.

    Raises Refused: UNKNOWN_KEY if it may sign none, CONFLICT if it has signed all it may.
    """
    if not any(key.key_id == each.keyid for quorum in judged.quorums for each in quorum.keys):
        raise refused(
            Code.UNKNOWN_KEY, f"key {key.key_id} is none of those that may sign it", "sign with one that may"
        )
    after = with_signatures(judged, (key,))
    if after == judged.proposal:
        raise refused(Code.CONFLICT, f"key {key.key_id} has signed it already", "pass it on to the next")
    return after


def with_signatures(judged: Judged, keys: Iterable[RoleKey]) -> Proposal:
    """Return the proposal with the signatures that these keys may give and have not given yet."""
    by_id = {key.key_id: key for key in keys}
    parts = []
    for part in judged.proposal.parts:
        absent = {
            each.keyid for quorum in judged.quorums if quorum.part == part.role for each in quorum.absent
        }
        given = tuple(
            RoleSignature(key_id=key_id, signature=bytes.fromhex(by_id[key_id].sign(part.metadata).signature))
            for key_id in sorted(absent & by_id.keys())
        )
        parts.append(msgspec.structs.replace(part, signatures=(*part.signatures, *given)))
    return msgspec.structs.replace(judged.proposal, parts=tuple(parts))


def require_complete(judged: Judged) -> None:
    """Return if every quorum has signed; raise Unavailable SIGNATURES_MISSING saying who could still."""
    missing = missing_signatures(judged)
    if missing:
        raise Unavailable(
            Code.SIGNATURES_MISSING,
            f"proposal {judged.proposal.name}: {', and '.join(missing)}; pass it on to them",
            retry_after_s=_DAY_S,
        )


def missing_signatures(judged: Judged) -> list[str]:
    """Return a line for each quorum that is not met: how many it lacks, and who could give them."""
    return [
        f"{quorum.quorum} has {len(quorum.signed)} of {quorum.threshold} signatures, {quorum.missing} more "
        f"of: {', '.join(key.shown for key in quorum.absent)}"
        for quorum in judged.quorums
        if quorum.missing
    ]


def _parts(proposal: Proposal, base: Base) -> dict[Offline, Part]:
    parts = {part.role: part for part in proposal.parts}
    if not parts or len(parts) != len(proposal.parts):
        raise refused(Code.MALFORMED, "no part, or two of one role", "ask for the file again")
    for part in proposal.parts:
        if part.base != base.version(part.role):
            raise refused(
                Code.CONFLICT,
                f"it builds on version {part.base} of {part.role}, and the newest published one known here "
                f"is {base.version(part.role)}",
                "get the newest directory; if that is what is known here, propose the change anew",
            )
    return parts


def _new(part: Part, kind: type[_Signed]) -> _Signed:
    try:
        # python-tuf turns every fault of hostile JSON into one error, for a whole file only.
        signed = Metadata.from_bytes(b'{"signatures":[],"signed":' + part.metadata + b"}").signed
    except DeserializationError as exc:
        raise refused(
            Code.MALFORMED, f"its {part.role} are no metadata ({exc.__cause__})", "ask for the file again"
        ) from exc
    if not isinstance(signed, kind) or _canonical(signed) != part.metadata:
        raise refused(
            Code.NOT_CANONICAL, f"its {part.role} are not in their only form", "ask for the file again"
        )
    if signed.version != part.base + 1 or signed.unrecognized_fields:
        raise refused(
            Code.MALFORMED, f"its {part.role} are not version {part.base + 1}, or say more", "propose it anew"
        )
    return signed


def _canonical(signed: Root | Targets) -> bytes:
    try:
        return canonical(signed)
    except SerializationError:  # a number with a fraction, for one
        return b""


def _directory(targets: Targets, files: Mapping[str, bytes]) -> Directory:
    ends = Expiries(
        root=targets.expires, targets=targets.expires, snapshot=targets.expires, timestamp=targets.expires
    )
    return build_directory(VerifiedTargets(version=targets.version, targets=dict(files), expires=ends))


def _require_life(signed: Root | Targets, now: datetime) -> None:
    if signed.expires <= now:
        raise refused(
            Code.DIRECTORY_EXPIRED,
            f"its {signed.type} ended {signed.expires:%Y-%m-%d %H:%MZ} already",
            "propose the change anew",
        )


def _require_sound(root: Root) -> None:
    require_hybrid(root)
    used = set()
    for name, role in root.roles.items():
        used.update(role.keyids)
        # Exactly an int, for JSON's true would count as one; nothing more, for no line would show it.
        if type(role.threshold) is not int or role.unrecognized_fields:
            raise refused(Code.MALFORMED, f"its signers of {name} are none", "propose it anew")
        if role.threshold > len(role.keyids):
            raise refused(
                Code.DIRECTORY_INVALID,
                f"{name} needs {role.threshold} signatures of {len(role.keyids)} keys",
                "propose it anew",
            )
    if used != root.keys.keys() or not root.consistent_snapshot:
        raise refused(
            Code.DIRECTORY_INVALID,
            "its root names keys without a role, or a role without keys",
            "propose it anew",
        )


def _contents(proposal: Proposal, base: Base, targets: Targets) -> dict[str, bytes]:
    if targets.delegations is not None or not proposal.files.keys() <= targets.targets.keys():
        raise refused(
            Code.MALFORMED, "it delegates, or brings a file that nothing signed speaks of", "propose it anew"
        )
    files = {}
    for name, target in targets.targets.items():
        data = proposal.files.get(name, base.files.get(name))
        if (
            _TARGET_NAME.fullmatch(name) is None
            or target.hashes.keys() != {"sha256"}
            or target.unrecognized_fields
        ):
            raise refused(Code.MALFORMED, f"the target {name!r} is none", "propose it anew")
        if data is None or len(data) > TARGET_MAX:
            raise refused(
                Code.MALFORMED, f"{name} is not in it, or above {TARGET_MAX} bytes", "ask for the file again"
            )
        try:
            target.verify_length_and_hashes(data)
        except LengthOrHashMismatchError as exc:
            raise refused(
                Code.DIRECTORY_INVALID,
                f"{name} is not the file whose hash is signed",
                "ask for the file again",
            ) from exc
        files[name] = data
    return files


def _quorums(part: Part, base: Base, root: Root) -> tuple[Signers, ...]:
    if part.role == "targets":
        return (_signers(part, "targets", root),)
    after = _signers(part, "root", root)
    if base.root is None or base.root.roles["root"] == root.roles["root"]:
        return (after,)
    # TUF: the old quorum lets the new one in, and the new one shows that it has its keys.
    return (_signers(part, "root before", base.root), after)


def _signers(part: Part, quorum: str, root: Root) -> Signers:
    result = root.get_verification_result(part.role, part.metadata, _signatures(part))
    return Signers(
        part=part.role,
        quorum=quorum,
        threshold=result.threshold,
        signed=tuple(_hybrid(result.signed)),
        absent=tuple(_hybrid(result.unsigned)),
    )


def _hybrid(keys: Mapping[str, Key]) -> list[HybridKey]:
    return sorted((key for key in keys.values() if isinstance(key, HybridKey)), key=lambda key: key.shown)


def _require_signatures(part: Part, quorums: tuple[Signers, ...]) -> None:
    signed = {key.keyid for quorum in quorums for key in quorum.signed}
    absent = {key.keyid for quorum in quorums for key in quorum.absent}
    given = [signature.key_id for signature in part.signatures]
    if len(set(given)) != len(given):
        raise refused(Code.MALFORMED, "two signatures of one key", "ask for the file again")
    for key_id in given:
        if key_id not in signed | absent:
            raise refused(
                Code.UNKNOWN_KEY,
                f"signed by key {key_id}, which may not sign {part.role}",
                "ask who added that signature, and for the file without it",
            )
        if key_id not in signed:
            raise refused(
                Code.BAD_SIGNATURE,
                f"the signature of key {key_id} is wrong",
                "ask who changed the file, and for the file as it was",
            )


def _signatures(part: Part) -> dict[str, Signature]:
    return {each.key_id: Signature(each.key_id, each.signature.hex()) for each in part.signatures}
