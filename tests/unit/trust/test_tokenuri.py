"""A pkcs11 URI names one key of one token, never holds the PIN, and hides nothing that it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from almenara.errors import Code, Misconfigured
from almenara.trust.tokenuri import parse_token_uri

MODULE = "?module-path=/usr/lib/p11.so"


def test_a_uri_says_token_key_library_and_where_the_pin_stands() -> None:
    named = parse_token_uri(
        "pkcs11:token=Per%C3%BA%20HSM;serial=0a1b;object=signing;id=%01%ff;type=private"
        "?module-path=file:/usr/lib/p11.so&pin-source=file:/etc/pin"
    )
    assert (named.token, named.serial, named.label, named.id) == ("Perú HSM", b"0a1b", "signing", b"\x01\xff")
    assert (named.module, named.pin_file) == (Path("/usr/lib/p11.so"), Path("/etc/pin"))
    assert str(named) == "key 'signing' of token 'Perú HSM'"


def test_a_key_may_be_named_by_its_id_alone_and_the_pin_come_from_the_environment() -> None:
    named = parse_token_uri(f"pkcs11:token=a;id=%01{MODULE}")
    assert (named.label, named.serial, named.pin_file) == (None, None, None)
    assert str(named) == "key '01' of token 'a'"


@pytest.mark.parametrize(
    ("uri", "fault"),
    [
        (f"pkcs11:object=a{MODULE}", "no token"),
        ("pkcs11:token=a;object=a", "no module-path"),
        (f"pkcs11:token=a{MODULE}", "neither object nor id"),
        (f"pkcs11:token=a;object=a;type=public{MODULE}", "type is not private"),
        (f"pkcs11:token=a;object=a;slot-id=1{MODULE}", "'slot-id' is not known"),
        (f"pkcs11:token=a;object=a;object=b{MODULE}", "object stands twice"),
        (f"pkcs11:token=a;object=%ff{MODULE}", "object is not UTF-8"),
        (f"pkcs11:token=a;object=a{MODULE}&pin-source=pin", "pin-source is not an absolute path"),
        ("pkcs11:token=a;object=a?module-path=p11.so", "module-path is not an absolute path"),
    ],
)
def test_a_uri_that_names_no_single_key_says_why(uri: str, fault: str) -> None:
    with pytest.raises(Misconfigured, match=fault) as caught:
        parse_token_uri(uri)
    assert caught.value.code is Code.CONFIGURATION


def test_a_pin_in_the_uri_is_refused_and_not_repeated() -> None:
    with pytest.raises(Misconfigured, match="holds the PIN") as caught:
        parse_token_uri(f"pkcs11:token=a;object=a{MODULE}&pin-value=31415")
    assert "31415" not in str(caught.value)
