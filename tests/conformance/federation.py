"""The federation of the vectors: four members, two audiences, and keys that anybody can make again.

TEST KEYS: every secret here follows from its public name. Never use one anywhere else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256, shake_256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from almenara.model.ids import REGION, AudienceId, MemberId
from almenara.trust.directory import Audience, AudienceKind, Directory, Expiries, Member, MemberStatus
from almenara.trust.enrolment import SigningKeyEntry, make_enrolment, read_enrolment
from almenara.trust.keys import CheckpointKey, SealingKey, SigningKey
from almenara.wire.avro import sha256_hex
from almenara.wire.seal import SenderKey, StreamContext, sender_key_id

if TYPE_CHECKING:
    from collections.abc import Iterable

FEDERATION = "ams"
PE, AR, CL, UY = (MemberId(name) for name in ("PE", "AR", "CL", "UY"))
CONDOR = AudienceId("op-condor")

BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
"""Since when the keys in force speak for their members."""

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
"""When the records are judged."""

DIRECTORY_VERSION = 3
EPOCHS = (1_793_610_000_000, 1_793_620_000_000, 1_793_630_000_000)
"""The starts of three epochs of PE, on 2 November 2026."""


class TestKeys(NamedTuple):
    """What a member holds."""

    signing: SigningKey
    sealing: SealingKey


def secret(name: str) -> bytes:
    """Return the 32 bytes of a test key: the hash of what it is called."""
    return sha256(f"almenara conformance TEST KEY, not a secret: {name}".encode()).digest()


def sealing_key(name: str) -> SealingKey:
    """Return the key of an X-Wing seed, expanded as its draft says: d and z of ML-KEM, then X25519."""
    expanded = shake_256(secret(name)).digest(96)
    return SealingKey(
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
    )


def signing_key(name: str) -> SigningKey:
    """Return the Ed25519 key of that name."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(secret(name)))


def sender_key(name: str) -> SenderKey:
    """Return the sender key of that name."""
    key = secret(name)
    return SenderKey(key=key, id=sender_key_id(key))


KEYS = {
    name: TestKeys(signing_key(f"{name} signing"), sealing_key(f"{name} sealing")) for name in (PE, AR, CL)
}
CHECKPOINT_KEY = CheckpointKey(MLDSA65PrivateKey.from_seed_bytes(secret("PE checkpoint")))
KEYLESS = signing_key("UY signing")
RETIRED = signing_key("PE signing, retired")
STRANGER = signing_key("nobody's signing")
SENDER_KEYS = {name: sender_key(f"sender key {name}") for name in ("K1", "K2", "K3", "K4", "K5", "K6")}

RETIRED_ENTRY = SigningKeyEntry(
    key_id=RETIRED.key_id,
    spki=RETIRED.spki,
    public=RETIRED.public,
    valid_from=BEGIN - timedelta(days=365),
    valid_until=BEGIN,
)


def context(publisher: MemberId, *, epoch: int, audience: AudienceId = REGION) -> StreamContext:
    """Return the context of an epoch of a member's stream."""
    return StreamContext(federation=FEDERATION, audience=audience, publisher=publisher, epoch=epoch)


def directory() -> Directory:
    """Return the directory by which the vectors are judged."""
    members = {name: _member(name) for name in (PE, AR, CL, UY)}
    return Directory(
        federation=FEDERATION,
        version=DIRECTORY_VERSION,
        members=members,
        audiences={
            REGION: _audience(REGION, AudienceKind.REGION, members.keys()),
            CONDOR: _audience(CONDOR, AudienceKind.OPERATION, {PE, CL}),
        },
        schemas=frozenset({sha256_hex("Batch")}),
        expires=Expiries(**dict.fromkeys(Expiries.__struct_fields__, NOW + timedelta(days=1))),
    )


def _member(name: MemberId) -> Member:
    keys = KEYS.get(name)
    enrolment = read_enrolment(
        make_enrolment(
            federation=FEDERATION,
            member=name,
            name=f"Test administration {name}",
            signing_key=keys.signing if keys else KEYLESS,
            sealing_key=keys.sealing if keys else None,
            tls_request=b"",
            now=BEGIN,
            retired=[RETIRED_ENTRY] if name == PE else [],
            checkpoint_key=CHECKPOINT_KEY if name == PE else None,
        )
    )
    return Member(
        id=name,
        name=enrolment.name,
        status=MemberStatus.ACTIVE,
        generation=1,
        signing_keys=enrolment.signing_keys,
        sealing_key=enrolment.sealing_key,
        checkpoint_keys=enrolment.checkpoint_keys,
        enrolment=enrolment.signed,
    )


def _audience(name: AudienceId, kind: AudienceKind, members: Iterable[MemberId]) -> Audience:
    return Audience(id=name, kind=kind, title=name, members=frozenset(members), retention_days=90)


def described() -> dict[str, Any]:
    """Return the federation as the vectors tell it to other implementations."""
    known = directory()
    return {
        "WARNING": "TEST KEYS. Every secret below is public; never use one anywhere else.",
        "federation": known.federation,
        "directory_version": known.version,
        "now": NOW.isoformat(),
        "schemas_sha256": sorted(known.schemas),
        "audiences": {name: sorted(audience.members) for name, audience in known.audiences.items()},
        "members": {name: _described(member) for name, member in known.members.items()},
        "sender_keys": {
            name: {"id": key.id.hex(), "key": key.key.hex()} for name, key in SENDER_KEYS.items()
        },
    }


def _described(member: Member) -> dict[str, Any]:
    sealing = member.sealing_key
    return {
        "signing_keys": [
            {
                "key_id": key.key_id.hex(),
                "spki": key.spki.hex(),
                "valid_from": key.valid_from.isoformat(),
                "valid_until": key.valid_until.isoformat() if key.valid_until else None,
            }
            for key in member.signing_keys
        ],
        "checkpoint_keys": [
            {
                "key_id": key.key_id.hex(),
                "spki": key.spki.hex(),
                "mldsa65_seed": secret(f"{member.id} checkpoint").hex(),
            }
            for key in member.checkpoint_keys
        ],
        "signing_secret": secret(f"{member.id} signing").hex(),
        "sealing_key": sealing
        and {
            "key_id": sealing.key_id.hex(),
            "mlkem_spki": sealing.mlkem_spki.hex(),
            "x25519_spki": sealing.x25519_spki.hex(),
            "xwing_seed": secret(f"{member.id} sealing").hex(),
        },
    }


HERE = Path(__file__).parent


def to_json(value: object) -> str:
    """Return the one form in which the vectors stand as JSON."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
