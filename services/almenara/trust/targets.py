"""What do the directory's target files say, and which `Directory` do they make together?

One small JSON file per member and per audience and one for the federation: a single file would
pass Kafka's record limit at 186 members (DESIGN 4). TUF proves that the coordinators published
them; here each member's own signature is proven too.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from almenara.clock import is_usable
from almenara.errors import Code, DirectoryRefused, Refused
from almenara.model.ids import REGION, AudienceId, MemberId, audience_id, federation_name, member_id
from almenara.trust.directory import Audience, AudienceKind, Directory, Expiries, Member, MemberStatus
from almenara.trust.enrolment import Enrolment, SignedEnrolment, verify_enrolment

if TYPE_CHECKING:
    from collections.abc import Mapping

FEDERATION_TARGET = "federation.json"
MEMBERS = "members/"
AUDIENCES = "audiences/"
SUFFIX = ".json"

PAIR_MEMBERS = 2

_Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
_Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_T = TypeVar("_T")


DAYS_MAX = 36_500
"""Days of an audience's retention that a reader accepts: a century, which every sum of times can hold."""


class MemberFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`members/<ID>.json`: the member's signed enrolment and the coordinator's word on its standing."""

    enrolment: SignedEnrolment
    status: MemberStatus
    generation: _Count
    admitted_at: datetime
    reason: str = ""
    revoked_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When its certificates were last revoked: what the member asked up to then gets none any more."""


class AudienceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`audiences/<id>.json`; the region lists no members, for it is all that are active."""

    kind: AudienceKind
    title: str
    members: tuple[str, ...] = ()
    retention_days: _Count
    opens_at: datetime | None = None
    closes_at: datetime | None = None


class FederationFile(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """`federation.json`: the federation's name, where its brokers are, the batch schemas it allows."""

    federation: str
    bootstrap: str = ""
    schemas: tuple[_Hex32, ...]


# Now, for two threads that first decode a type at once crash msgspec (model/messages.py).
for _shape in (MemberFile, AudienceFile, FederationFile):
    msgspec.json.Decoder(_shape)


class VerifiedTargets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The target files of one directory version, proven by TUF, and when its roles expire."""

    version: int
    targets: dict[str, bytes]
    expires: Expiries

    def to_bytes(self) -> bytes:
        """Return the bytes to keep in the store."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> VerifiedTargets:
        """Return what `to_bytes` was called on; raise DirectoryRefused for other bytes."""
        return _decode(data, cls, "stored directory")


def member_target(member: MemberId) -> str:
    """Return the target name of a member's file."""
    return f"{MEMBERS}{member}{SUFFIX}"


def audience_target(audience: AudienceId) -> str:
    """Return the target name of an audience's file."""
    return f"{AUDIENCES}{audience}{SUFFIX}"


def encode_target(file: MemberFile | AudienceFile | FederationFile) -> bytes:
    """Return the bytes of a target file."""
    return msgspec.json.format(msgspec.json.encode(file, order="sorted")) + b"\n"


def build_directory(
    verified: VerifiedTargets, *, accepted: Mapping[MemberId, SignedEnrolment] | None = None
) -> Directory:
    """Return the directory that the files make; raise DirectoryRefused DIRECTORY_INVALID if none.

    With `accepted`, a member speaks by its accepted enrolment whatever its file says, and one
    without is left out (`continuity`). Files of other names are passed over: they grant nothing,
    and a later version may add some.
    """
    federation = _federation(verified.targets)
    members: dict[MemberId, Member] = {}
    files: dict[AudienceId, AudienceFile] = {}
    for target, data in sorted(verified.targets.items()):
        if target.startswith(MEMBERS):
            member = _member(target, data, federation.federation)
            if accepted is None:
                members[member.id] = member
            elif member.id in accepted:
                members[member.id] = _as_enrolled(member, verify_enrolment(accepted[member.id]))
        elif target.startswith(AUDIENCES):
            files[AudienceId(_name_in(target, AUDIENCES))] = _decode(data, AudienceFile, target)
    return Directory(
        federation=federation.federation,
        version=verified.version,
        members=members,
        audiences={name: _audience(name, file, members, verified.targets) for name, file in files.items()},
        schemas=frozenset(federation.schemas),
        expires=verified.expires,
        bootstrap=federation.bootstrap,
    )


def _federation(targets: dict[str, bytes]) -> FederationFile:
    data = targets.get(FEDERATION_TARGET)
    if data is None:
        raise _refused(FEDERATION_TARGET, "missing")
    file = _decode(data, FederationFile, FEDERATION_TARGET)
    try:
        federation_name(file.federation)
    except Refused as exc:
        raise _refused(FEDERATION_TARGET, exc.text) from exc
    return file


def _member(target: str, data: bytes, federation: str) -> Member:
    file = _decode(data, MemberFile, target)
    enrolment = verify_enrolment(file.enrolment)
    if enrolment.federation != federation:
        raise _refused(target, f"its enrolment is for federation {enrolment.federation}, not {federation}")
    if enrolment.member != _name_in(target, MEMBERS):
        raise _refused(target, f"its enrolment is that of {enrolment.member}")
    return Member(
        id=enrolment.member,
        name=enrolment.name,
        status=file.status,
        generation=file.generation,
        reason=file.reason,
        signing_keys=enrolment.signing_keys,
        sealing_key=enrolment.sealing_key,
        checkpoint_keys=enrolment.checkpoint_keys,
        enrolment=enrolment.signed,
    )


def _as_enrolled(member: Member, enrolment: Enrolment) -> Member:
    return msgspec.structs.replace(
        member,
        name=enrolment.name,
        signing_keys=enrolment.signing_keys,
        sealing_key=enrolment.sealing_key,
        checkpoint_keys=enrolment.checkpoint_keys,
        enrolment=enrolment.signed,
    )


def _audience(
    name: AudienceId, file: AudienceFile, members: dict[MemberId, Member], targets: dict[str, bytes]
) -> Audience:
    target = audience_target(name)
    if not (is_usable(file.opens_at) and is_usable(file.closes_at) and 0 < file.retention_days <= DAYS_MAX):
        raise _refused(target, f"a time that is none, or a retention outside 1 to {DAYS_MAX} days")
    try:
        audience_id(name)
        listed = frozenset(member_id(member) for member in file.members)
    except Refused as exc:
        raise _refused(target, exc.text) from exc
    if (file.kind is AudienceKind.REGION) != (name == REGION):
        raise _refused(target, f"kind {file.kind}; the audience {REGION} is the one of kind REGION")
    if file.kind is AudienceKind.REGION:
        if listed:
            raise _refused(target, "lists members; the region is all that are active")
        listed = frozenset(members)
    if file.kind is AudienceKind.PAIR and len(listed) != PAIR_MEMBERS:
        raise _refused(target, f"a pair of {len(listed)}")
    unknown = [member for member in sorted(listed) if member_target(member) not in targets]
    if unknown:
        raise _refused(target, f"names {unknown[0]}, which has no file")
    return Audience(
        id=name,
        kind=file.kind,
        title=file.title,
        members=frozenset(
            member for member in listed if member in members and members[member].status is MemberStatus.ACTIVE
        ),
        retention_days=file.retention_days,
        opens_at=file.opens_at,
        closes_at=file.closes_at,
    )


def _name_in(target: str, folder: str) -> str:
    return target.removeprefix(folder).removesuffix(SUFFIX)


def _decode(data: bytes, shape: type[_T], subject: str) -> _T:
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _refused(subject, f"not of its shape ({exc})") from exc


def _refused(target: str, fault: str) -> DirectoryRefused:
    return DirectoryRefused(
        Code.DIRECTORY_INVALID, f"directory file {target}: {fault}; the coordinator must publish it again"
    )
