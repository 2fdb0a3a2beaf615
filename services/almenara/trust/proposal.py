"""What do coordinators pass on and sign in turn, and when does it take effect?

A proposal is one file: the very bytes to be signed of a new root, of new targets or of both, the
target files that change, and the signatures so far. It goes by any channel, for nothing in it is
believed but what is signed: `judged.py` reads the bytes against the version that its reader knows
to be published, and `changes.py` tells what they would change. Both parts take effect together or not at
all: a root that lets others sign the targets comes with targets that they have signed.

Pure: a proposal and a published version in, a judgement or another proposal out.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import msgspec
from tuf.api.metadata import Root, TargetFile, Targets
from tuf.api.serialization.json import CanonicalJSONSerializer

from almenara.errors import Code, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Literal["almenara-proposal-v1"] = "almenara-proposal-v1"

PROPOSAL_MAX = 64 * 1024 * 1024
"""Bytes of a proposal: 192 members of 6 KiB, in base64, are below 2 MiB; this only stops a mistake."""

ROOT_LIFETIME = timedelta(days=365)
TARGETS_LIFETIME = timedelta(days=180)
"""A year and half a year: how often the holders of the offline keys must come together at least."""

Offline: TypeAlias = Literal["root", "targets"]
"""The roles whose keys are in people's hands; the online ones sign by themselves."""

TARGET_MAX = 900_000
"""Bytes of a target file: with its name it must fit a Kafka record of a million."""


class RoleSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key's signature of a part; its bytes are those of `hybrid.py`."""

    key_id: str
    signature: bytes


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A role's new version: on which it builds, its canonical bytes, who has signed them."""

    role: Offline
    base: int
    metadata: bytes
    signatures: tuple[RoleSignature, ...] = ()


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says. `proposed_by` and `proposed_at` are said by nobody's signature."""

    format: Literal["almenara-proposal-v1"] = FORMAT
    proposed_by: str
    proposed_at: datetime
    parts: tuple[Part, ...]
    files: dict[str, bytes]

    @property
    def name(self) -> str:
        """Return the proposal's file name: the role and version that it would make."""
        return "-".join(f"{part.role}-{part.base + 1}" for part in self.parts) + ".json"

    def to_bytes(self) -> bytes:
        """Return the bytes of the file."""
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"


# Made with the module: two threads that first decode a type at once crash msgspec (model/messages.py).
_PROPOSAL = msgspec.json.Decoder(Proposal)


class Base(NamedTuple):
    """The newest published version that somebody knows; `NOTHING` before the first."""

    root: Root | None
    targets: Targets | None
    files: Mapping[str, bytes]

    def version(self, role: Offline) -> int:
        """Return the published version of a role, 0 for none."""
        signed = self.root if role == "root" else self.targets
        return 0 if signed is None else signed.version


NOTHING = Base(None, None, {})


def parse_proposal(data: bytes) -> Proposal:
    """Return what the file says, nothing of it judged; raise Refused MALFORMED for another file."""
    if len(data) > PROPOSAL_MAX:
        raise Refused(Code.OVERSIZE, f"proposal: more than {PROPOSAL_MAX} bytes; name another file")
    try:
        return _PROPOSAL.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Refused(Code.MALFORMED, f"proposal: not one ({exc}); ask for the file again") from exc


def propose(
    base: Base, *, files: Mapping[str, bytes], root: Root | None = None, by: str, now: datetime
) -> Proposal:
    """Return the proposal of these target files and, if one is given, of a next root; nobody signs yet.

    Without a new root the targets are proposed in any case, if only to live on.
    """
    parts = []
    if root is not None:
        parts.append(Part(role="root", base=base.version("root"), metadata=canonical(root)))
    if root is None or files != base.files or other_signers(base, root):
        targets = Targets(
            version=base.version("targets") + 1,
            expires=now.replace(microsecond=0) + TARGETS_LIFETIME,
            targets={name: TargetFile.from_data(name, data, ["sha256"]) for name, data in files.items()},
        )
        parts.append(Part(role="targets", base=base.version("targets"), metadata=canonical(targets)))
    return Proposal(
        proposed_by=by,
        proposed_at=now,
        parts=tuple(parts),
        files={name: data for name, data in files.items() if base.files.get(name) != data},
    )


def merged(first: Proposal, second: Proposal) -> Proposal:
    """Return the first proposal with the signatures of both; raise Refused CONFLICT if they differ else."""
    if _unsigned(first) != _unsigned(second):
        raise refused(Code.CONFLICT, "two proposals that are not the same", "publish one of them")
    return msgspec.structs.replace(
        first,
        parts=tuple(
            msgspec.structs.replace(
                part,
                signatures=(*part.signatures, *_others(part, other)),
            )
            for part, other in zip(first.parts, second.parts, strict=True)
        ),
    )


def canonical(signed: Root | Targets) -> bytes:
    """Return the bytes of a role that are signed: OLPC canonical JSON, as TUF has it."""
    return CanonicalJSONSerializer().serialize(signed)


def other_signers(base: Base, root: Root) -> bool:
    """Tell whether a root lets others sign the targets than the published one."""
    return base.root is None or base.root.roles["targets"] != root.roles["targets"]


def _others(part: Part, other: Part) -> list[RoleSignature]:
    # By key: a key that signs twice gives two different signatures, for ML-DSA is randomized.
    given = {each.key_id for each in part.signatures}
    return [each for each in other.signatures if each.key_id not in given]


def _unsigned(proposal: Proposal) -> tuple[object, ...]:
    return tuple((part.role, part.base, part.metadata) for part in proposal.parts), proposal.files


def refused(code: Code, fault: str, remedy: str) -> Refused:
    """Return the refusal of a proposal."""
    return Refused(code, f"proposal: {fault}; {remedy}")
