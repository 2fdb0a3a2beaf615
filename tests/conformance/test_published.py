"""The primitives agree with vectors that others published (published/*.json say where)."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from almenara.wire.records import pae
from conformance import hpke
from conformance.announcements import ANNOUNCEMENTS
from conformance.cases import wraps
from conformance.federation import HERE, KEYS, PE, SENDER_KEYS, context, secret

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet


def published(name: str) -> list[ParameterSet]:
    vectors = json.loads((HERE / "published" / f"{name}.json").read_text(encoding="utf-8"))
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


@pytest.mark.parametrize("vector", published("dsse"))
def test_the_signed_bytes_are_those_of_dsse(vector: dict[str, Any]) -> None:
    assert pae(vector["payload_type"], vector["payload"].encode()) == vector["pae"].encode()


@pytest.mark.parametrize("vector", published("hkdf_sha256"))
def test_hkdf_is_that_of_rfc_5869(vector: dict[str, Any]) -> None:
    ikm, salt, info = (bytes.fromhex(vector[name]) for name in ("ikm", "salt", "info"))
    derived = HKDF(algorithm=hashes.SHA256(), length=vector["length"], salt=salt, info=info).derive(ikm)
    assert derived.hex() == vector["okm"]
    # Statement keys are derived with no salt, which the RFC defines as 32 zero bytes.
    assert hmac.digest(salt or bytes(32), ikm, sha256).hex() == vector["prk"]


@pytest.mark.parametrize("vector", published("hpke"))
def test_hpke_written_from_the_rfc_opens_what_others_sealed(vector: dict[str, Any]) -> None:
    """No published vector has exactly our suite; these two cover its KEM and KDF, its KDF and AEAD."""
    private, enc = bytes.fromhex(vector["skRm"]), bytes.fromhex(vector["enc"])
    assert hpke.shared_secret(vector["kem_id"], private, enc).hex() == vector["shared_secret"]
    sealed = hpke.Sealed(
        kem_id=vector["kem_id"],
        aead_id=vector["aead_id"],
        enc=enc,
        ciphertext=bytes.fromhex(vector["ct"]),
        info=bytes.fromhex(vector["info"]),
        aad=bytes.fromhex(vector["aad"]),
    )
    assert hpke.open_sealed(sealed, private).hex() == vector["pt"]


@pytest.mark.parametrize("name", ANNOUNCEMENTS)
def test_hpke_written_from_the_rfc_opens_every_golden_slot(name: str) -> None:
    epoch, entitled = ANNOUNCEMENTS[name]
    where, key = context(PE, epoch=epoch), SENDER_KEYS[name]
    slots = {slot.key_id: slot.wrap for slot in wraps(name)}
    for member, keys in KEYS.items():
        key_id = keys.sealing.key_id
        parts = (b"almenara/v1/key-wrap", *where.parts(), key.id, key_id)
        sealed = hpke.Sealed(
            kem_id=hpke.XWING,
            aead_id=0x0002,
            enc=slots[key_id][:1120],
            ciphertext=slots[key_id][1120:],
            info=b"".join(len(part).to_bytes(4, "big") + part for part in parts),
        )
        opened = hpke.open_sealed(sealed, secret(f"{member} sealing"))
        assert (opened == key.key) == (member in entitled)
        assert len(opened) == len(key.key)
