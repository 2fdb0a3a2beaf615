"""Key files: private halves come back, nobody else reads them, and every fault names file and remedy."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64decode
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from almenara.errors import Code, DirectoryRefused, Misconfigured
from almenara.trust import keyfile
from almenara.trust.keyfile import SCRYPT_N
from almenara.trust.keys import (
    SealingKey,
    SigningKey,
    create_sealing_key,
    create_signing_key,
    load_sealing_key,
    load_signing_key,
    sealing_public,
    signing_public,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PASSPHRASE = b"a long sentence that an officer remembers"
SEALED = ("salt", "nonce", "secret")
SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["in clear", "with a passphrase"])
def test_a_signing_key_comes_back_from_its_file(tmp_path: Path, passphrase: bytes | None) -> None:
    path = tmp_path / "signing.json"
    created = create_signing_key(path, passphrase=passphrase)
    loaded = load_signing_key(f"file:{path}", passphrase=passphrase)
    assert loaded.key_id == created.key_id
    created.public.verify(loaded.sign(b"an alert"), b"an alert")


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE], ids=["in clear", "with a passphrase"])
def test_a_sealing_key_comes_back_from_its_file(tmp_path: Path, passphrase: bytes | None) -> None:
    path = tmp_path / "sealing.json"
    created = create_sealing_key(path, passphrase=passphrase)
    loaded = load_sealing_key(path, passphrase=passphrase)
    assert loaded.key_id == created.key_id
    wrap = SUITE.encrypt(b"a sender key", created.public)
    assert SUITE.decrypt(wrap, loaded.private) == b"a sender key"


def test_a_key_id_is_the_hash_of_the_public_keys_in_der(tmp_path: Path) -> None:
    signing = create_signing_key(tmp_path / "signing.json", passphrase=None)
    sealing = create_sealing_key(tmp_path / "sealing.json", passphrase=None)
    assert signing.key_id == hashlib.sha256(signing.spki).digest()
    assert sealing.key_id == hashlib.sha256(sealing.mlkem_spki + sealing.x25519_spki).digest()


def test_public_keys_come_back_from_their_der(tmp_path: Path) -> None:
    signing = create_signing_key(tmp_path / "signing.json", passphrase=None)
    sealing = create_sealing_key(tmp_path / "sealing.json", passphrase=None)
    assert signing_public(signing.spki) == signing.public
    wrap = SUITE.encrypt(b"a sender key", sealing_public(sealing.mlkem_spki, sealing.x25519_spki))
    assert SUITE.decrypt(wrap, sealing.private) == b"a sender key"


def test_public_keys_of_another_kind_are_refused(tmp_path: Path) -> None:
    signing = create_signing_key(tmp_path / "signing.json", passphrase=None)
    sealing = create_sealing_key(tmp_path / "sealing.json", passphrase=None)
    attempts: dict[str, Callable[[], object]] = {
        "X25519 to verify with": lambda: signing_public(sealing.x25519_spki),
        "Ed25519 in place of X25519": lambda: sealing_public(sealing.mlkem_spki, signing.spki),
        "the halves exchanged": lambda: sealing_public(sealing.x25519_spki, sealing.mlkem_spki),
        "no key at all": lambda: signing_public(b"not DER"),
    }
    for name, attempt in attempts.items():
        with pytest.raises(DirectoryRefused) as refusal:
            attempt()
        assert refusal.value.code is Code.DIRECTORY_INVALID, name


def test_a_new_key_file_is_for_its_owner_alone_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "signing.json"
    create_signing_key(path, passphrase=None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["signing.json"]


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "signing.json"
    create_signing_key(path, passphrase=None)
    before = path.read_bytes()
    with pytest.raises(Misconfigured, match=r"signing\.json: exists already") as refusal:
        create_sealing_key(path, passphrase=None)
    assert refusal.value.code is Code.CONFIGURATION
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["signing.json"]


def test_a_key_needs_a_folder_that_exists(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="No such file or directory"):
        create_signing_key(tmp_path / "nowhere" / "signing.json", passphrase=None)


def test_a_passphrase_hides_the_key_and_neither_kind_shows_it_in_its_repr(tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    assert private.private_bytes_raw().hex() not in repr(SigningKey(private))
    path = tmp_path / "signing.json"
    create_signing_key(path, passphrase=PASSPHRASE)
    assert json.loads(path.read_bytes())["protection"] == "scrypt-131072-8-1+aes-256-gcm"


def test_a_guess_at_a_passphrase_costs_what_the_format_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyfile, "SCRYPT_N", SCRYPT_N)
    path = tmp_path / "signing.json"
    created = create_signing_key(path, passphrase=PASSPHRASE)
    held = {name: b64decode(text) for name, text in json.loads(path.read_bytes()).items() if name in SEALED}
    key = hashlib.scrypt(PASSPHRASE, salt=held["salt"], n=131_072, r=8, p=1, maxmem=2**28, dklen=32)
    bound = f"almenara-key-v1/signing/{created.key_id.hex()}".encode()
    secret = AESGCM(key).decrypt(held["nonce"], held["secret"], bound)
    assert SigningKey(Ed25519PrivateKey.from_private_bytes(secret)).key_id == created.key_id


def edited(**changes: object) -> Callable[[Path], None]:
    """Return an edit of a key file that changes these fields."""

    def edit(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))

    return edit


def exchanged(path: Path) -> None:
    """Put another key's secret under this file's key id."""
    other = path.with_name("other.json")
    create_signing_key(other, passphrase=None)
    edited(secret=json.loads(other.read_bytes())["secret"])(path)


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (os.unlink, "no such file"),
    "open to the group": (lambda path: path.chmod(0o640), "chmod 600"),
    "open to all": (lambda path: path.chmod(0o604), "chmod 600"),
    "too large": (lambda path: path.write_bytes(bytes(70_000)), "more than 65536 bytes"),
    "not JSON": (lambda path: path.write_bytes(b"-----BEGIN PRIVATE KEY-----"), "not a key file"),
    "another format": (edited(format="almenara-key-v2"), "not a key file"),
    "an unknown field": (edited(extra=1), "not a key file"),
    "a sealing key": (edited(kind="sealing"), "holds a sealing key, not a signing key"),
    "a short key": (edited(secret="AAAA"), "wrong length"),
    "another key": (exchanged, "not the one its key_id names"),
    "a nonce missing": (edited(protection="scrypt-131072-8-1+aes-256-gcm"), "damaged"),
}


@pytest.mark.parametrize(("damage", "text"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_key_file_that_cannot_serve_is_named_with_what_to_do(
    tmp_path: Path, damage: Callable[[Path], object], text: str
) -> None:
    path = tmp_path / "signing.json"
    create_signing_key(path, passphrase=None)
    damage(path)
    with pytest.raises(Misconfigured, match=text) as refusal:
        load_signing_key(f"file:{path}", passphrase=PASSPHRASE)
    assert refusal.value.code is Code.KEY_UNREADABLE
    assert refusal.value.text.startswith(f"{path}: ")


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="Is a directory") as refusal:
        load_sealing_key(tmp_path, passphrase=None)
    assert refusal.value.code is Code.KEY_UNREADABLE


@pytest.mark.parametrize(
    ("passphrase", "text"),
    [(None, "none was given"), (b"a guess", "wrong passphrase")],
    ids=["no passphrase", "a wrong one"],
)
def test_a_protected_key_opens_to_its_passphrase_alone(
    tmp_path: Path, passphrase: bytes | None, text: str
) -> None:
    path = tmp_path / "signing.json"
    create_signing_key(path, passphrase=PASSPHRASE)
    with pytest.raises(Misconfigured, match=text) as refusal:
        load_signing_key(f"file:{path}", passphrase=passphrase)
    assert refusal.value.code is Code.KEY_UNREADABLE


def test_a_protected_key_is_bound_to_the_key_id_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "signing.json"
    create_signing_key(path, passphrase=PASSPHRASE)
    edited(key_id="00" * 32)(path)
    with pytest.raises(Misconfigured, match="damaged"):
        load_signing_key(f"file:{path}", passphrase=PASSPHRASE)


def test_a_key_uri_of_another_scheme_is_not_guessed() -> None:
    with pytest.raises(Misconfigured, match="want file:<path>") as refusal:
        load_signing_key("pkcs11:token=almenara", passphrase=None)
    assert refusal.value.code is Code.CONFIGURATION


def test_the_same_halves_make_the_same_sealing_key() -> None:
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

    seed, raw = bytes(range(64)), bytes(range(32))
    first, second = (
        SealingKey(MLKEM768PrivateKey.from_seed_bytes(seed), X25519PrivateKey.from_private_bytes(raw))
        for _ in range(2)
    )
    assert first.key_id == second.key_id
