"""How does a member ask for its next TLS certificate, so that nobody else can ask in its name?

`renewal.json` is a certificate request signed by the member's signing keys, of which one must be in
force:

    {"renewal": base64, "signatures": [{"key_id": hex, "signature": base64}]}

over PAE("application/vnd.almenara.renewal.v1+json", renewal). What is signed is JSON: federation,
member, tls_request, made_at. It changes nothing in the directory, so the coordinator needs no key of
the directory for it. The key may be the old one or a new one: the certificate says nothing of who wrote
a message, it only opens connections.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec
from cryptography.exceptions import InvalidSignature

from almenara.errors import Code, Refused
from almenara.model.ids import MemberId, federation_name, member_id
from almenara.trust.enrolment import ENROLMENT_MAX, EnrolmentSignature
from almenara.wire.records import pae

if TYPE_CHECKING:
    from collections.abc import Sequence

    from almenara.trust.enrolment import Enrolment
    from almenara.trust.keyuri import Signer

RENEWAL_TYPE = "application/vnd.almenara.renewal.v1+json"

RENEWAL_LIFETIME = timedelta(days=30)
"""How old a request may be: post and holidays, and no more, since its key may have been stolen since."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far the member's clock may be ahead of the coordinator's."""


class _Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    federation: str
    member: str
    tls_request: str
    made_at: Annotated[datetime, msgspec.Meta(tz=True)]


class SignedRenewal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A renewal request as it travels: not verified by itself."""

    renewal: bytes
    signatures: tuple[EnrolmentSignature, ...]


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """What a renewal request says; whoever holds one has not verified it yet."""

    federation: str
    member: MemberId
    tls_request: bytes
    made_at: datetime
    signed: SignedRenewal


_ENCODER = msgspec.json.Encoder(order="sorted")
_PAYLOAD = msgspec.json.Decoder(_Payload)
_SIGNED = msgspec.json.Decoder(SignedRenewal)


def make_renewal(
    *, federation: str, member: MemberId, tls_request: bytes, signing_keys: Sequence[Signer], now: datetime
) -> bytes:
    """Return the file that asks for a certificate for the key of this request."""
    payload = _ENCODER.encode(
        _Payload(federation=federation, member=member, tls_request=tls_request.decode("ascii"), made_at=now)
    )
    signed = SignedRenewal(
        renewal=payload,
        signatures=tuple(
            EnrolmentSignature(key_id=key.key_id.hex(), signature=key.sign(pae(RENEWAL_TYPE, payload)))
            for key in signing_keys
        ),
    )
    return msgspec.json.format(_ENCODER.encode(signed)) + b"\n"


def is_renewal(data: bytes) -> bool:
    """Tell whether a file is a renewal request and not an enrolment."""
    try:
        _SIGNED.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def read_renewal(data: bytes) -> Renewal:
    """Return what a renewal request says, not yet verified; raise Refused FORMAT if it is none."""
    if len(data) > ENROLMENT_MAX:
        raise _refused("renewal", f"{len(data)} bytes, the cap is {ENROLMENT_MAX}")
    try:
        signed = _SIGNED.decode(data)
        payload = _PAYLOAD.decode(signed.renewal)
        federation = federation_name(payload.federation)
        member = member_id(payload.member)
    except (msgspec.DecodeError, UnicodeDecodeError, Refused) as exc:
        raise _refused("renewal", f"not of its shape ({exc})") from exc
    return Renewal(
        federation=federation,
        member=member,
        tls_request=payload.tls_request.encode(),
        made_at=payload.made_at,
        signed=signed,
    )


def verify_renewal(renewal: Renewal, *, enrolment: Enrolment, now: datetime) -> None:
    """Return if the member asks for it now, with a signing key in force.

    Raises Refused FORMAT for another member's, an old one or one of tomorrow, UNKNOWN_KEY for a key that
    is not in force, BAD_SIGNATURE.
    """
    if (renewal.federation, renewal.member) != (enrolment.federation, enrolment.member):
        raise _refused(renewal.member, f"for federation {renewal.federation}, not {enrolment.federation}")
    if not now - RENEWAL_LIFETIME <= renewal.made_at <= now + CLOCK_TOLERANCE:
        made = f"{renewal.made_at:%Y-%m-%d %H:%MZ}"
        raise _refused(renewal.member, f"made {made}, more than {RENEWAL_LIFETIME.days} days off")
    in_force = {entry.key_id.hex(): entry.public for entry in enrolment.signing_keys_in_force()}
    for each in renewal.signed.signatures:
        if each.key_id in in_force:
            try:
                in_force[each.key_id].verify(each.signature, pae(RENEWAL_TYPE, renewal.signed.renewal))
            except InvalidSignature as exc:
                raise _refused(renewal.member, "its signature is wrong", Code.BAD_SIGNATURE) from exc
            return
    raise _refused(renewal.member, "no signing key in force has signed it", Code.UNKNOWN_KEY)


def _refused(subject: str, fault: str, code: Code = Code.FORMAT) -> Refused:
    return Refused(code, f"renewal of {subject}: {fault}; ask the member to run: almenara member renew")
