"""A key that stays in a token signs what others accept; each fault of a token says what to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from almenara.errors import Code, Misconfigured, Unavailable
from almenara.model.ids import Stream
from almenara.trust.admit import VerifiedStatement, admit
from almenara.trust.keyuri import open_signer
from unit.trust.federation import AR, CL, ENROLMENTS, KEYS, NOW, PE, REGION, Keys, directory, enrol, targets
from unit.trust.statements import statement

if TYPE_CHECKING:
    from pathlib import Path

    from soft_token import SoftToken


@pytest.mark.softhsm
def test_a_statement_signed_in_a_token_is_admitted(token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    signer: Any = open_signer(token.uri(), passphrase=None)
    monkeypatch.setitem(KEYS, PE, Keys(signer, KEYS[PE].sealing))
    federation = directory(targets(enrol(PE), ENROLMENTS[AR], ENROLMENTS[CL]))
    verified = admit(statement().record, stream=Stream(REGION, PE), directory=federation, now=NOW)
    assert isinstance(verified, VerifiedStatement)


@pytest.mark.softhsm
def test_two_keys_of_one_token_serve_one_process(token: SoftToken) -> None:
    token.make_key("next", b"\x02")
    first, second = (open_signer(token.uri(label), passphrase=None) for label in ("signing", "next"))
    assert first.key_id != second.key_id
    first.public.verify(first.sign(b"an alert"), b"an alert")
    second.public.verify(second.sign(b"an alert"), b"an alert")


@pytest.mark.softhsm
def test_the_pin_may_stand_in_the_environment(token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = token.uri(**{"pin-source": ""})
    with pytest.raises(Misconfigured, match=r"no PIN; .*ALMENARA_PKCS11_PIN"):
        open_signer(uri, passphrase=None)
    monkeypatch.setenv("ALMENARA_PKCS11_PIN", "5678")
    assert open_signer(uri, passphrase=None).key_id


@pytest.mark.softhsm
def test_a_refused_pin_is_said_and_not_repeated(token: SoftToken) -> None:
    token.pin.write_text("9999\n")
    with pytest.raises(Misconfigured, match="refuses the PIN") as caught:
        open_signer(token.uri(), passphrase=None)
    assert caught.value.code is Code.KEY_UNREADABLE
    assert "9999" not in str(caught.value)


@pytest.mark.softhsm
def test_a_token_that_is_not_there_may_come(token: SoftToken) -> None:
    with pytest.raises(Unavailable, match="'other': the token does not answer") as caught:
        open_signer(token.uri(token="other"), passphrase=None)
    assert caught.value.code is Code.KEY_AWAY


@pytest.mark.softhsm
def test_a_library_that_is_none_is_named(token: SoftToken) -> None:
    with pytest.raises(Misconfigured, match=r"module-path /nowhere\.so: not a PKCS#11 library"):
        open_signer(token.uri(**{"module-path": "/nowhere.so"}), passphrase=None)


@pytest.mark.softhsm
def test_a_key_that_cannot_serve_is_named(token: SoftToken) -> None:
    from pkcs11 import KeyType

    token.make_key("p256", b"\x02", kind=KeyType.EC)
    token.make_key("other", b"\x03")
    token.make_key("mixed", b"\x04")
    token.give_public_half("mixed", of="other")
    token.make_key("silent", b"\x05", signs=False)
    faults = {
        "nothing": "not one Ed25519 key pair of that name",
        "p256": "does not sign with Ed25519",
        "mixed": "does not sign with Ed25519, CKM_EDDSA \\(InvalidSignature",
        "silent": "may not sign",
    }
    token.library.reinitialize()
    for label, fault in faults.items():
        with pytest.raises(Misconfigured, match=fault) as caught:
            open_signer(token.uri(label), passphrase=None)
        assert caught.value.code is Code.KEY_UNREADABLE


@pytest.mark.softhsm
def test_a_token_that_was_pulled_out_signs_again_once_it_is_back(token: SoftToken) -> None:
    signer = open_signer(token.uri(), passphrase=None)
    token.pull()
    for _ in range(2):
        with pytest.raises(Unavailable, match="the token does not answer"):
            signer.sign(b"an alert")
    token.plug()
    signer.public.verify(signer.sign(b"an alert"), b"an alert")


@pytest.mark.softhsm
def test_a_pin_that_was_changed_meanwhile_is_tried_once_only(token: SoftToken) -> None:
    """A daemon tries again for ever; a token locks itself after a few wrong PINs."""
    signer = open_signer(token.uri(), passphrase=None)
    token.pull()
    with pytest.raises(Unavailable):
        signer.sign(b"an alert")
    token.plug()
    token.pin.write_text("9999\n")
    with pytest.raises(Misconfigured, match="refuses the PIN"):
        signer.sign(b"an alert")
    # Were it tried again, it would be taken now.
    token.change_pin("9999")
    with pytest.raises(Misconfigured, match="refuses the PIN"):
        signer.sign(b"an alert")
    token.change_pin("4321")
    token.pin.write_text("4321\n")
    signer.public.verify(signer.sign(b"an alert"), b"an alert")


@pytest.mark.softhsm
def test_another_key_in_its_place_does_not_sign_for_the_node(token: SoftToken, tmp_path: Path) -> None:
    signer = open_signer(token.uri(), passphrase=None)
    token.pull()
    with pytest.raises(Unavailable):
        signer.sign(b"an alert")
    token.tokens.rmdir()
    from soft_token import SoftToken

    (tmp_path / "second").mkdir()
    other = SoftToken(tmp_path / "second")
    other.make_key("signing", b"\x01")
    with pytest.raises(Misconfigured, match="another key than when the node started"):
        signer.sign(b"an alert")


def test_without_the_extra_a_token_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "almenara.trust.token", raising=False)
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(Misconfigured, match=r"install almenara\[pkcs11\]"):
        open_signer("pkcs11:token=a;object=b?module-path=/c.so", passphrase=None)


def test_a_key_of_another_scheme_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"'https': unknown scheme; want file:<path> or pkcs11:"):
        open_signer("https://pe.example/key", passphrase=None)
