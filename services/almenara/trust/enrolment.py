"""What does a member say of itself, so that nobody else can say it: its name and its keys.

An enrolment is JSON: `{"payload": base64, "signatures": [{"key_id", "signature"}]}`. The payload
is canonical JSON, signed over PAE("application/vnd.almenara.enrolment.v1+json", payload) by every
signing key in force that it lists, and by the member's previous signing key when it replaces an
enrolment (`continuity` judges that one). The coordinator can withhold an enrolment, not forge it.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PublicKey

from almenara.clock import is_usable
from almenara.errors import Code, DirectoryRefused, Refused
from almenara.model.ids import MemberId, federation_name, member_id
from almenara.trust.keys import checkpoint_public, sealing_public, signing_public
from almenara.wire.records import pae

if TYPE_CHECKING:
    from collections.abc import Sequence

    from almenara.trust.keys import CheckpointKey, SealingKey
    from almenara.trust.keyuri import Signer

ENROLMENT_TYPE = "application/vnd.almenara.enrolment.v1+json"

ENROLMENT_MAX = 64 * 1024
"""Bytes of an enrolment: with four signing keys, two checkpoint keys and a TLS request below 12 KiB."""

VERIFIED_MAX = 1024
"""Enrolments remembered as proven: a federation of all customs administrations has some 190."""

NAME_MAX = 200
"""Characters of a member's name: the longest official ones of the region are below 100."""


_TICK = timedelta(microseconds=1)


class SigningKeyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One Ed25519 key of a member and when it speaks for it; no end means it still does."""

    key_id: bytes
    spki: bytes
    public: Ed25519PublicKey
    valid_from: datetime
    valid_until: datetime | None


class SealingKeyEntry(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The hybrid key to which sender keys are wrapped for a member."""

    key_id: bytes
    public: MLKEM768X25519PublicKey
    mlkem_spki: bytes
    x25519_spki: bytes

    # The key id is the digest of both halves, and `cryptography` compares hybrid keys by identity.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, SealingKeyEntry) and self.key_id == other.key_id

    def __hash__(self) -> int:
        return hash(self.key_id)


class CheckpointKeyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An ML-DSA-65 key that signs a member's checkpoints, or signed them before another took over."""

    key_id: bytes
    spki: bytes
    public: MLDSA65PublicKey


_Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class EnrolmentSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signature of an enrolment; `key_id` in hex."""

    key_id: _Hex32
    signature: bytes


class SignedEnrolment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An enrolment as it travels and is kept: not verified by itself."""

    payload: bytes
    signatures: tuple[EnrolmentSignature, ...]

    @property
    def digest(self) -> bytes:
        """Return the SHA-256 of what is signed: the identity of the enrolment."""
        return hashlib.sha256(self.payload).digest()


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A verified enrolment: each signing key in force has signed it."""

    federation: str
    member: MemberId
    name: str
    signing_keys: tuple[SigningKeyEntry, ...]
    sealing_key: SealingKeyEntry | None
    checkpoint_keys: tuple[CheckpointKeyEntry, ...]
    """The first signs checkpoints; those behind it prove the ones that they signed."""
    tls_request: str
    made_at: datetime
    signed: SignedEnrolment

    def signing_keys_in_force(self) -> tuple[SigningKeyEntry, ...]:
        """Return the keys without an end: those that sign, and may vouch for what follows."""
        return tuple(entry for entry in self.signing_keys if entry.valid_until is None)


class _SigningKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    spki: bytes
    valid_from: datetime
    valid_until: datetime | None = None


class _SealingKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mlkem_spki: bytes
    x25519_spki: bytes


class _Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    federation: str
    member: str
    name: str
    signing_keys: tuple[_SigningKey, ...]
    sealing_key: _SealingKey | None = None
    checkpoint_keys: tuple[bytes, ...] = ()
    tls_request: str = ""
    made_at: datetime
    previous: str = ""


_ENCODER = msgspec.json.Encoder(order="sorted")
_PAYLOAD = msgspec.json.Decoder(_Payload)
_SIGNED = msgspec.json.Decoder(SignedEnrolment)


def make_enrolment(
    *,
    federation: str,
    member: MemberId,
    name: str,
    signing_key: Signer,
    sealing_key: SealingKey | None,
    tls_request: bytes,
    now: datetime,
    checkpoint_key: CheckpointKey | None = None,
    previous: Signer | None = None,
    retired: Sequence[SigningKeyEntry] = (),
) -> bytes:
    """Return the enrolment file of a member, signed, for the coordinator.

    `previous` is the signing key that vouched until now, and signs too; `retired` are keys that
    still prove what they signed in their time. Raises DirectoryRefused if the result would be
    refused by a reader.
    """
    payload = _Payload(
        federation=federation,
        member=member,
        name=name,
        signing_keys=(*map(_stated, retired), _SigningKey(spki=signing_key.spki, valid_from=now)),
        sealing_key=_halves(sealing_key),
        checkpoint_keys=() if checkpoint_key is None else (checkpoint_key.spki,),
        tls_request=tls_request.decode("ascii"),
        made_at=now,
        previous="" if previous is None else previous.key_id.hex(),
    )
    return _sign(payload, (signing_key,) if previous is None else (signing_key, previous))


def succeed(
    before: Enrolment,
    *,
    held: Sequence[Signer],
    now: datetime,
    signing_key: Signer | None = None,
    sealing_key: SealingKey | None = None,
    checkpoint_key: CheckpointKey | None = None,
    tls_request: bytes | None = None,
) -> bytes:
    """Return the enrolment file that takes the place of another; what is not given stays.

    A new signing key ends those in force, which stay listed: they prove what they said until then,
    and so do the checkpoint keys behind a new one.
    All that are `held` sign, so that it follows from whichever enrolment readers have accepted:
    two rotations may be made before the coordinator takes the second. Raises DirectoryRefused
    where the signing key that is to be in force is not held.
    """
    made_at = max(now, before.made_at + _TICK)
    keys = tuple(map(_stated, before.signing_keys))
    signers = [key for key in held if key.key_id in {entry.key_id for entry in before.signing_keys}]
    previous = ""
    if signing_key is not None:
        ended = (
            key if key.valid_until else msgspec.structs.replace(key, valid_until=made_at) for key in keys
        )
        keys = (*ended, _SigningKey(spki=signing_key.spki, valid_from=made_at))
        signers = [signing_key, *signers]
        previous = before.signing_keys_in_force()[0].key_id.hex()
    payload = _Payload(
        federation=before.federation,
        member=before.member,
        name=before.name,
        signing_keys=keys,
        sealing_key=_halves(sealing_key or before.sealing_key),
        checkpoint_keys=_listed(checkpoint_key, before.checkpoint_keys),
        tls_request=before.tls_request if tls_request is None else tls_request.decode("ascii"),
        made_at=made_at,
        previous=previous,
    )
    return _sign(payload, signers)


def read_enrolment(data: bytes) -> Enrolment:
    """Return the verified enrolment of a file; raise DirectoryRefused DIRECTORY_INVALID if it is none."""
    if len(data) > ENROLMENT_MAX:
        raise _refused("enrolment", f"{len(data)} bytes, the cap is {ENROLMENT_MAX}")
    try:
        return verify_enrolment(_SIGNED.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _refused("enrolment", f"not of its shape ({exc})") from exc


@lru_cache(maxsize=VERIFIED_MAX)
def verify_enrolment(signed: SignedEnrolment) -> Enrolment:
    """Return what the enrolment says, once every signing key in force has been seen to say it.

    What was proven of the same bytes is not proven again: a node reads its directory at every refresh.

    Raises DirectoryRefused DIRECTORY_INVALID for a payload that is not canonical or not of its
    shape, no key in force, or a signature that is missing or wrong.
    """
    payload = _decode_payload(signed.payload)
    enrolment = Enrolment(
        federation=payload.federation,
        member=MemberId(payload.member),
        name=payload.name,
        signing_keys=tuple(_signing_entry(key) for key in payload.signing_keys),
        sealing_key=None if payload.sealing_key is None else _sealing_entry(payload.sealing_key),
        checkpoint_keys=tuple(map(_checkpoint_entry, payload.checkpoint_keys)),
        tls_request=payload.tls_request,
        made_at=payload.made_at,
        signed=signed,
    )
    in_force = enrolment.signing_keys_in_force()
    if not in_force:
        raise _refused(payload.member, "no signing key in force")
    for entry in in_force:
        verify_signature(signed, entry)
    return enrolment


def verify_signature(signed: SignedEnrolment, entry: SigningKeyEntry) -> None:
    """Return if the key has signed the enrolment; raise DirectoryRefused if not, or wrongly."""
    stated = entry.key_id.hex()
    for signature in signed.signatures:
        if signature.key_id == stated:
            try:
                entry.public.verify(signature.signature, pae(ENROLMENT_TYPE, signed.payload))
            except InvalidSignature as exc:
                raise _refused(f"signing key {stated}", "its signature is wrong") from exc
            return
    raise _refused(f"signing key {stated}", "has not signed")


def _sign(payload: _Payload, signers: Sequence[Signer]) -> bytes:
    data = _ENCODER.encode(payload)
    signed = SignedEnrolment(
        payload=data,
        signatures=tuple(
            EnrolmentSignature(key_id=key.key_id.hex(), signature=key.sign(pae(ENROLMENT_TYPE, data)))
            for key in signers
        ),
    )
    verify_enrolment(signed)
    return msgspec.json.format(_ENCODER.encode(signed)) + b"\n"


def _stated(entry: SigningKeyEntry) -> _SigningKey:
    return _SigningKey(spki=entry.spki, valid_from=entry.valid_from, valid_until=entry.valid_until)


def _halves(key: SealingKey | SealingKeyEntry | None) -> _SealingKey | None:
    return None if key is None else _SealingKey(mlkem_spki=key.mlkem_spki, x25519_spki=key.x25519_spki)


def _listed(new: CheckpointKey | None, before: Sequence[CheckpointKeyEntry]) -> tuple[bytes, ...]:
    return (*(() if new is None else (new.spki,)), *(entry.spki for entry in before))


def _decode_payload(data: bytes) -> _Payload:
    try:
        payload = _PAYLOAD.decode(data)
        federation_name(payload.federation)
        member_id(payload.member)
    except (msgspec.DecodeError, UnicodeDecodeError, Refused) as exc:
        raise _refused("enrolment payload", f"not of its shape ({exc})") from exc
    # One form only: a JSON object can state a field twice, and readers could differ in which counts.
    if _ENCODER.encode(payload) != data:
        raise _refused(payload.member, "its payload is not in canonical form")
    times = [time for key in payload.signing_keys for time in (key.valid_from, key.valid_until)]
    if not all(map(is_usable, (*times, payload.made_at))):
        raise _refused(payload.member, "a time without its zone, or outside 1970 to 8999")
    if not (payload.name.isprintable() and 0 < len(payload.name) <= NAME_MAX):
        raise _refused(payload.member, f"its name is not 1 to {NAME_MAX} printable characters")
    return payload


def _signing_entry(key: _SigningKey) -> SigningKeyEntry:
    return SigningKeyEntry(
        key_id=hashlib.sha256(key.spki).digest(),
        spki=key.spki,
        public=signing_public(key.spki),
        valid_from=key.valid_from,
        valid_until=key.valid_until,
    )


def _checkpoint_entry(spki: bytes) -> CheckpointKeyEntry:
    return CheckpointKeyEntry(key_id=hashlib.sha256(spki).digest(), spki=spki, public=checkpoint_public(spki))


def _sealing_entry(key: _SealingKey) -> SealingKeyEntry:
    return SealingKeyEntry(
        key_id=hashlib.sha256(key.mlkem_spki + key.x25519_spki).digest(),
        public=sealing_public(key.mlkem_spki, key.x25519_spki),
        mlkem_spki=key.mlkem_spki,
        x25519_spki=key.x25519_spki,
    )


def _refused(subject: str, fault: str) -> DirectoryRefused:
    return DirectoryRefused(
        Code.DIRECTORY_INVALID, f"enrolment of {subject}: {fault}; the member must enrol again"
    )
