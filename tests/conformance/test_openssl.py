"""The openssl command, which shares no code with us, accepts every golden signature and no other."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from almenara.wire.records import pae, parse_record
from conformance.cases import ACCEPTED, good, refused
from conformance.federation import KEYS, directory

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.wire.records import SignedRecord

pytestmark = pytest.mark.openssl

DIRECTORY = directory()
GOOD = {case.name: case for case in [*good(), *refused()] if case.admit == ACCEPTED}
BAD = {
    case.name: case
    for case in refused()
    if case.admit == "BAD_SIGNATURE" and len(parse_record(case.record).signatures) == 1
}


def openssl_says(record: SignedRecord, folder: Path) -> subprocess.CompletedProcess[str]:
    signature = record.signatures[0]
    _, entry = DIRECTORY.signer(signature.key_id)
    (folder / "k.pem").write_bytes(entry.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / "pae.bin").write_bytes(pae(record.payload_type, record.payload))
    (folder / "s.bin").write_bytes(signature.signature)
    command = "openssl pkeyutl -verify -pubin -inkey k.pem -rawin -in pae.bin -sigfile s.bin"
    return subprocess.run(
        command.split(), cwd=folder, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize("name", GOOD)
def test_openssl_accepts_the_signature_of_a_golden_record(name: str, tmp_path: Path) -> None:
    said = openssl_says(parse_record(GOOD[name].record), tmp_path)
    assert (said.returncode, said.stdout.strip()) == (0, "Signature Verified Successfully"), said.stderr


@pytest.mark.parametrize("name", BAD)
def test_openssl_refuses_the_signature_of_a_forged_record(name: str, tmp_path: Path) -> None:
    assert openssl_says(parse_record(BAD[name].record), tmp_path).returncode == 1


def test_a_key_id_is_what_openssl_says_of_the_key(tmp_path: Path) -> None:
    for keys in KEYS.values():
        pem = keys.signing.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        command = "openssl pkey -pubin -outform DER"
        der = subprocess.run(
            command.split(), input=pem, capture_output=True, check=True, timeout=30, cwd=tmp_path
        ).stdout
        digest = subprocess.run(
            ["openssl", "dgst", "-sha256", "-binary"], input=der, capture_output=True, check=True, timeout=30
        ).stdout
        assert digest == keys.signing.key_id
