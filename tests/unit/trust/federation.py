"""A small federation, with keys in memory, for the tests of trust."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from almenara.model.ids import AudienceId, MemberId
from almenara.trust.directory import AudienceKind, Directory, Expiries, MemberStatus
from almenara.trust.enrolment import Enrolment, make_enrolment, read_enrolment
from almenara.trust.keys import CheckpointKey, SealingKey, SigningKey
from almenara.trust.targets import (
    FEDERATION_TARGET,
    AudienceFile,
    FederationFile,
    MemberFile,
    VerifiedTargets,
    audience_target,
    build_directory,
    encode_target,
    member_target,
)
from almenara.wire.avro import sha256_hex

if TYPE_CHECKING:
    from almenara.trust.enrolment import SigningKeyEntry

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)

PE, AR, CL, UY = (MemberId(name) for name in ("PE", "AR", "CL", "UY"))
REGION, CONDOR = AudienceId("region"), AudienceId("op-condor")

EXPIRES = Expiries(
    root=NOW + 365 * DAY, targets=NOW + 180 * DAY, snapshot=NOW + 14 * DAY, timestamp=NOW + DAY
)


class Keys(NamedTuple):
    """What a member holds."""

    signing: SigningKey
    sealing: SealingKey


def new_keys() -> Keys:
    return Keys(
        SigningKey(Ed25519PrivateKey.generate()),
        SealingKey(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()),
    )


KEYS = {member: new_keys() for member in (PE, AR, CL, UY)}


def enrol(
    member: MemberId,
    keys: Keys | None = None,
    *,
    at: datetime = NOW,
    federation: str = "ams",
    sealing: bool = True,
    previous: SigningKey | None = None,
    retired: tuple[SigningKeyEntry, ...] = (),
    checkpoint: CheckpointKey | None = None,
) -> Enrolment:
    keys = keys or KEYS[member]
    return read_enrolment(
        make_enrolment(
            federation=federation,
            member=member,
            name=f"Customs of {member}",
            signing_key=keys.signing,
            sealing_key=keys.sealing if sealing else None,
            tls_request=b"",
            now=at,
            previous=previous,
            retired=retired,
            checkpoint_key=checkpoint,
        )
    )


def member_file(enrolment: Enrolment, *, status: MemberStatus = MemberStatus.ACTIVE) -> bytes:
    return encode_target(
        MemberFile(enrolment=enrolment.signed, status=status, generation=1, admitted_at=enrolment.made_at)
    )


def audience_file(
    *members: MemberId, kind: AudienceKind = AudienceKind.OPERATION, closes_at: datetime | None = None
) -> bytes:
    return encode_target(
        AudienceFile(kind=kind, title="A title", members=members, retention_days=30, closes_at=closes_at)
    )


def federation_file() -> bytes:
    return encode_target(
        FederationFile(federation="ams", bootstrap="127.0.0.1:9094", schemas=(sha256_hex("Batch"),))
    )


def targets(*enrolments: Enrolment) -> dict[str, bytes]:
    """Return the files of a federation of these members, by default PE, AR and CL, with op-condor of two."""
    members = enrolments or tuple(ENROLMENTS[member] for member in (PE, AR, CL))
    return {
        FEDERATION_TARGET: federation_file(),
        audience_target(REGION): audience_file(kind=AudienceKind.REGION),
        audience_target(CONDOR): audience_file(*(enrolment.member for enrolment in members[:2])),
        **{member_target(enrolment.member): member_file(enrolment) for enrolment in members},
    }


def verified(files: dict[str, bytes] | None = None, *, version: int = 1) -> VerifiedTargets:
    return VerifiedTargets(version=version, targets=files or targets(), expires=EXPIRES)


def directory(files: dict[str, bytes] | None = None, *, version: int = 1) -> Directory:
    return build_directory(verified(files, version=version))


ENROLMENTS = {member: enrol(member) for member in KEYS}
