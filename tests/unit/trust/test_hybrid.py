"""A role key is two keys: a signature counts if both halves verify, and no other kind of key counts."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import CryptoSigner, Key, Signature
from tuf.api.metadata import Metadata, Root

from almenara.errors import Code, DirectoryRefused
from almenara.trust.hybrid import ED25519_SIGNATURE, MLDSA65_SIGNATURE, ROLE_TYPE, HybridKey, RoleKey
from almenara.trust.refresh import refresh, root_name
from almenara.trust.repository import Repository
from almenara.trust.rolekeys import keys_at_hand, next_root
from almenara.wire.records import pae
from unit.trust.federation import DAY, NOW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ED25519, MLDSA65 = Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate()
ANA = RoleKey(ED25519, MLDSA65, holder="Ana")
OTHER = RoleKey(Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate())
DATA = b'{"version":1}'


def test_a_signature_is_both_and_verifies_over_the_role_s_own_payload_type() -> None:
    signature = ANA.sign(DATA)
    both = bytes.fromhex(signature.signature)
    assert len(both) == ED25519_SIGNATURE + MLDSA65_SIGNATURE
    ANA.public.verify_signature(signature, DATA)
    ED25519.public_key().verify(both[:ED25519_SIGNATURE], pae(ROLE_TYPE, DATA))
    MLDSA65.public_key().verify(both[ED25519_SIGNATURE:], pae(ROLE_TYPE, DATA))


def spoiled(change: Callable[[bytes], bytes]) -> Signature:
    return Signature(ANA.key_id, change(bytes.fromhex(ANA.sign(DATA).signature)).hex())


def mixed(ed25519: RoleKey, mldsa65: RoleKey) -> Signature:
    halves = (bytes.fromhex(key.sign(DATA).signature) for key in (ed25519, mldsa65))
    first, second = halves
    return Signature(ANA.key_id, (first[:ED25519_SIGNATURE] + second[ED25519_SIGNATURE:]).hex())


REFUSED: dict[str, Signature] = {
    "the Ed25519 half alone": spoiled(lambda both: both[:ED25519_SIGNATURE]),
    "the ML-DSA half alone": spoiled(lambda both: both[ED25519_SIGNATURE:]),
    "a byte of the Ed25519 half": spoiled(lambda both: bytes([both[0] ^ 1]) + both[1:]),
    "a byte of the ML-DSA half": spoiled(lambda both: both[:-1] + bytes([both[-1] ^ 1])),
    "a byte more": spoiled(lambda both: both + b"\0"),
    "nothing": Signature(ANA.key_id, ""),
    "no hexadecimal": Signature(ANA.key_id, "z"),
    "the Ed25519 half of another key": mixed(OTHER, ANA),
    "the ML-DSA half of another key": mixed(ANA, OTHER),
    "without the payload type": Signature(ANA.key_id, (ED25519.sign(DATA) + MLDSA65.sign(DATA)).hex()),
    "over other bytes": ANA.sign(DATA + b" "),
}


@pytest.mark.parametrize("signature", REFUSED.values(), ids=REFUSED.keys())
def test_a_signature_that_is_not_both_is_none(signature: Signature) -> None:
    with pytest.raises(UnverifiedSignatureError):
        ANA.public.verify_signature(signature, DATA)


def test_a_key_comes_back_from_the_root_that_names_it() -> None:
    back = Key.from_dict(ANA.key_id, ANA.public.to_dict())
    assert isinstance(back, HybridKey)
    assert back == ANA.public
    assert (back.holder, back.shown) == ("Ana", f"Ana ({ANA.key_id})")
    assert (OTHER.public.holder, OTHER.public.shown) == ("", OTHER.key_id)
    ders = (
        half.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for half in (ED25519, MLDSA65)
    )
    assert hashlib.sha256(b"".join(ders)).hexdigest() == ANA.key_id


def entry(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field
    return {**json.loads(json.dumps(ANA.public.to_dict())), **changes}


KEYVAL: dict[str, str] = dict(ANA.public.keyval)
NO_KEYS: dict[str, dict[str, Any]] = {
    "a half missing": entry(keyval={"ed25519": KEYVAL["ed25519"]}),
    "upper case": entry(keyval={**KEYVAL, "ed25519": KEYVAL["ed25519"].upper()}),
    "a short half": entry(keyval={**KEYVAL, "mldsa65": KEYVAL["mldsa65"][:-2]}),
    "something more": entry(keyval={**KEYVAL, "rsa": ""}),
    "a field more": entry(note="x"),
    "a holder that is no text": entry(holder=1),
    "a holder that steers the terminal": entry(holder="Ana\x1b[2J"),
    "a long holder": entry(holder="A" * 101),
    "another scheme": entry(scheme="ed25519"),
    "another key's half": entry(keyval={**KEYVAL, "ed25519": OTHER.public.keyval["ed25519"]}),
}


@pytest.mark.parametrize("named", NO_KEYS.values(), ids=NO_KEYS.keys())
def test_a_key_in_another_form_is_none(named: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Key.from_dict(ANA.key_id, named)


def test_one_key_under_two_names_does_not_count_twice() -> None:
    with pytest.raises(ValueError, match="only form"):
        Key.from_dict("00" * 32, ANA.public.to_dict())


def of_one_algorithm(folder: Path) -> tuple[dict[str, bytes], bytes]:
    """Return a directory whose own quorum has let a key of Ed25519 alone sign its timestamp."""
    repository = Repository.create(folder, federation="ams", now=NOW)
    held = {key.key_id: key for key in keys_at_hand(repository.keys)}
    root = next_root(repository.in_force.root, expires=NOW + 300 * DAY)
    signer = CryptoSigner.generate_ed25519()
    (before,) = root.roles["timestamp"].keyids
    root.revoke_key(before, "timestamp")
    root.add_key(signer.public_key, "timestamp")
    files = dict(repository.files())
    files[root_name(2)] = signed(root, held)
    timestamp: Metadata[Any] = Metadata.from_bytes(files["metadata/timestamp.json"])
    timestamp.sign(signer)
    return {**files, "metadata/timestamp.json": timestamp.to_bytes()}, repository.first_root


def signed(root: Root, held: dict[str, RoleKey]) -> bytes:
    metadata = Metadata(root)
    for key_id in root.roles["root"].keyids:
        metadata.signatures[key_id] = held[key_id].sign(metadata.signed_bytes)
    return metadata.to_bytes()


def test_a_root_that_lets_in_another_algorithm_is_refused_by_readers(tmp_path: Path) -> None:
    """THREATS 4: python-tuf alone would follow it, for the old quorum has signed it."""
    files, first = of_one_algorithm(tmp_path / "directory")
    with pytest.raises(DirectoryRefused, match="is ed25519/ed25519, not almenara-hybrid") as caught:
        refresh(files, cache=tmp_path / "cache", root=first, now=NOW)
    assert caught.value.code is Code.DIRECTORY_INVALID


def test_a_first_root_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    signer = CryptoSigner.generate_ed25519()
    root = Root(expires=NOW + DAY)
    for role in root.roles:
        root.add_key(signer.public_key, role)
    metadata = Metadata(root)
    metadata.sign(signer)
    with pytest.raises(DirectoryRefused, match="not almenara-hybrid"):
        refresh({}, cache=tmp_path, root=metadata.to_bytes(), now=NOW)
