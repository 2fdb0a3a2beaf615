"""Enrolments: only the member can say what its keys are, and in one form only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from almenara.errors import Code, DirectoryRefused
from almenara.trust.continuity import Continuity, judge_change
from almenara.trust.enrolment import (
    ENROLMENT_MAX,
    ENROLMENT_TYPE,
    EnrolmentSignature,
    SignedEnrolment,
    make_enrolment,
    read_enrolment,
    succeed,
    verify_enrolment,
)
from almenara.wire.records import pae
from unit.trust.federation import AR, DAY, KEYS, NOW, PE, enrol, new_keys

if TYPE_CHECKING:
    from almenara.trust.keys import SigningKey


def signed(payload: bytes, *keys: SigningKey) -> SignedEnrolment:
    """Return any payload signed as an enrolment."""
    return SignedEnrolment(
        payload=payload,
        signatures=tuple(
            EnrolmentSignature(key_id=key.key_id.hex(), signature=key.sign(pae(ENROLMENT_TYPE, payload)))
            for key in keys
        ),
    )


def canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def fields() -> dict[str, Any]:
    """Return what PE's enrolment says, as JSON values."""
    payload: dict[str, Any] = json.loads(enrol(PE).signed.payload)
    return payload


def test_an_enrolment_says_what_the_member_said() -> None:
    data = make_enrolment(
        federation="ams",
        member=PE,
        name="Superintendencia Nacional de Aduanas",
        signing_key=KEYS[PE].signing,
        sealing_key=KEYS[PE].sealing,
        tls_request=b"-----BEGIN CERTIFICATE REQUEST-----",
        now=NOW,
    )
    enrolment = read_enrolment(data)
    assert (enrolment.federation, enrolment.member) == ("ams", PE)
    assert enrolment.name == "Superintendencia Nacional de Aduanas"
    assert [key.key_id for key in enrolment.signing_keys] == [KEYS[PE].signing.key_id]
    assert enrolment.sealing_key is not None
    assert enrolment.sealing_key.key_id == KEYS[PE].sealing.key_id
    assert enrolment.tls_request.startswith("-----BEGIN CERTIFICATE REQUEST")
    assert enrolment.made_at == NOW


def test_sealing_keys_are_equal_by_their_halves() -> None:
    first, again, other = enrol(PE).sealing_key, enrol(PE).sealing_key, enrol(AR).sealing_key
    assert first == again
    assert len({first, again, other}) == 2
    assert first != other
    assert first != KEYS[PE].sealing.key_id


def test_a_member_without_a_sealing_key_may_enrol() -> None:
    assert enrol(PE, sealing=False).sealing_key is None


def test_a_retired_key_stays_listed_and_need_not_sign() -> None:
    retired = msgspec.structs.replace(enrol(PE).signing_keys[0], valid_until=NOW + DAY)
    new = new_keys()
    enrolment = enrol(PE, new, at=NOW + DAY, retired=(retired,))
    assert enrolment.signing_keys[0] == retired
    assert [key.key_id for key in enrolment.signing_keys_in_force()] == [new.signing.key_id]


def test_the_previous_key_signs_what_replaces_its_enrolment() -> None:
    new = new_keys()
    enrolment = enrol(PE, new, previous=KEYS[PE].signing)
    assert [signature.key_id for signature in enrolment.signed.signatures] == [
        new.signing.key_id.hex(),
        KEYS[PE].signing.key_id.hex(),
    ]
    assert json.loads(enrolment.signed.payload)["previous"] == KEYS[PE].signing.key_id.hex()


def test_a_new_signing_key_ends_the_one_before_and_both_sign() -> None:
    before, new = enrol(PE), new_keys().signing
    after = read_enrolment(succeed(before, held=[KEYS[PE].signing], signing_key=new, now=NOW + DAY))
    old, current = after.signing_keys
    assert old == msgspec.structs.replace(before.signing_keys[0], valid_until=NOW + DAY)
    assert (current.key_id, current.valid_from, current.valid_until) == (new.key_id, NOW + DAY, None)
    signers = {signature.key_id for signature in after.signed.signatures}
    assert signers == {new.key_id.hex(), KEYS[PE].signing.key_id.hex()}
    assert json.loads(after.signed.payload)["previous"] == KEYS[PE].signing.key_id.hex()
    assert (after.sealing_key, after.name) == (before.sealing_key, before.name)


def test_a_new_sealing_key_leaves_the_signing_key_and_its_start() -> None:
    before, new = enrol(PE), new_keys().sealing
    data = succeed(before, held=[KEYS[PE].signing], sealing_key=new, tls_request=b"another", now=NOW + DAY)
    after = read_enrolment(data)
    assert after.signing_keys == before.signing_keys
    assert after.sealing_key is not None
    assert (after.sealing_key.key_id, after.tls_request) == (new.key_id, "another")


def test_an_enrolment_that_succeeds_is_later_even_if_the_clock_went_back() -> None:
    before = enrol(PE)
    after = read_enrolment(succeed(before, held=[KEYS[PE].signing], now=NOW - DAY))
    assert after.made_at > before.made_at


def test_a_second_rotation_before_the_first_was_taken_follows_from_what_is_in_force() -> None:
    first, second = new_keys().signing, new_keys().signing
    once = read_enrolment(succeed(enrol(PE), held=[KEYS[PE].signing], signing_key=first, now=NOW + DAY))
    held = [KEYS[PE].signing, first]
    twice = read_enrolment(succeed(once, held=held, signing_key=second, now=NOW + 2 * DAY))
    assert [key.valid_until for key in twice.signing_keys] == [NOW + DAY, NOW + 2 * DAY, None]
    for accepted in (enrol(PE), once):
        assert judge_change(accepted.signed, twice.signed) is Continuity.CONTINUOUS


def test_without_the_key_in_force_nothing_succeeds_and_a_lost_one_is_no_continuity() -> None:
    before, new = enrol(PE), new_keys()
    with pytest.raises(DirectoryRefused, match="has not signed"):
        succeed(before, held=[new.signing], sealing_key=new.sealing, now=NOW + DAY)
    anew = read_enrolment(succeed(before, held=(), signing_key=new.signing, now=NOW + DAY))
    assert judge_change(before.signed, anew.signed) is Continuity.KEY_RESET


def test_a_member_cannot_make_what_readers_would_refuse() -> None:
    with pytest.raises(DirectoryRefused, match="printable"):
        make_enrolment(
            federation="ams",
            member=PE,
            name="Customs\x1b[2J",
            signing_key=KEYS[PE].signing,
            sealing_key=None,
            tls_request=b"",
            now=NOW,
        )


PAYLOADS: dict[str, tuple[dict[str, Any], str]] = {
    "no federation name": ({"federation": "AMS"}, "federation name"),
    "no member id": ({"member": "pe"}, "member id"),
    "an unknown field": ({"colour": "red"}, "unknown field"),
    "a name of nothing": ({"name": ""}, "1 to 200 printable"),
    "a name too long": ({"name": "x" * 201}, "1 to 200 printable"),
    "a name that moves the cursor": ({"name": "PE\r"}, "1 to 200 printable"),
    "no signing key": ({"signing_keys": []}, "no signing key in force"),
    "a key that is none": (
        {"signing_keys": [{"spki": "AAAA", "valid_from": "2026-11-24T09:30:00Z"}]},
        "not a SubjectPublicKeyInfo",
    ),
    "a default stated": ({"previous": ""}, "not in canonical form"),
    "another form of a time": ({"made_at": "2026-11-24T09:30:00.000000Z"}, "not in canonical form"),
}


@pytest.mark.parametrize(("changes", "text"), PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_payload_that_breaks_its_shape_is_refused_though_signed(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(DirectoryRefused, match=text) as refusal:
        verify_enrolment(signed(canonical({**fields(), **changes}), KEYS[PE].signing))
    assert refusal.value.code is Code.DIRECTORY_INVALID


def test_only_the_retired_key_listed_is_no_key_in_force() -> None:
    payload = fields()
    payload["signing_keys"][0]["valid_until"] = "2026-11-25T09:30:00Z"
    with pytest.raises(DirectoryRefused, match="no signing key in force"):
        verify_enrolment(signed(canonical(payload), KEYS[PE].signing))


def test_a_field_stated_twice_is_refused() -> None:
    payload = canonical(fields())
    twice = payload.replace(b'"member":"PE"', b'"member":"AR","member":"PE"')
    assert json.loads(twice) == json.loads(payload)
    with pytest.raises(DirectoryRefused, match="not in canonical form"):
        verify_enrolment(signed(twice, KEYS[PE].signing))


def test_the_coordinator_cannot_forge_an_enrolment() -> None:
    genuine = enrol(PE).signed
    forged = genuine.payload.replace(b"Customs of PE", b"Customs of XX")
    for name, attempt in {
        "the old signature": SignedEnrolment(payload=forged, signatures=genuine.signatures),
        "no signature": SignedEnrolment(payload=forged, signatures=()),
        "another's signature": signed(forged, KEYS[AR].signing),
        "its signature under the member's key id": SignedEnrolment(
            payload=forged,
            signatures=(
                EnrolmentSignature(
                    key_id=KEYS[PE].signing.key_id.hex(),
                    signature=KEYS[AR].signing.sign(pae(ENROLMENT_TYPE, forged)),
                ),
            ),
        ),
        "signed as another type": SignedEnrolment(
            payload=forged,
            signatures=(
                EnrolmentSignature(
                    key_id=KEYS[PE].signing.key_id.hex(),
                    signature=KEYS[PE].signing.sign(pae("application/octet-stream", forged)),
                ),
            ),
        ),
    }.items():
        with pytest.raises(DirectoryRefused) as refusal:
            verify_enrolment(attempt)
        assert refusal.value.code is Code.DIRECTORY_INVALID, name


def test_every_key_in_force_must_sign() -> None:
    payload = fields()
    other = json.loads(enrol(AR).signed.payload)["signing_keys"][0]
    payload["signing_keys"].append(other)
    with pytest.raises(DirectoryRefused, match="has not signed"):
        verify_enrolment(signed(canonical(payload), KEYS[PE].signing))
    both = verify_enrolment(signed(canonical(payload), KEYS[PE].signing, KEYS[AR].signing))
    assert len(both.signing_keys_in_force()) == 2


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"payload":"AA","signatures":[{}]}', bytes(100)])
def test_a_file_that_is_no_enrolment_is_refused(data: bytes) -> None:
    with pytest.raises(DirectoryRefused, match="not of its shape"):
        read_enrolment(data)


def test_a_huge_file_is_not_parsed() -> None:
    with pytest.raises(DirectoryRefused, match="the cap is"):
        read_enrolment(b" " * (ENROLMENT_MAX + 1))
