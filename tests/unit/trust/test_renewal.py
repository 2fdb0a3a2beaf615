"""A renewal request is the member's own, recent, and signed by a key in force; all else is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from almenara.errors import Code, Refused
from almenara.trust.enrolment import ENROLMENT_MAX
from almenara.trust.renewal import is_renewal, make_renewal, read_renewal, verify_renewal
from unit.trust.federation import AR, ENROLMENTS, KEYS, NOW, PE

if TYPE_CHECKING:
    from collections.abc import Callable


def renewal(**changes: Any) -> bytes:  # noqa: ANN401 - any argument
    asked: dict[str, Any] = {
        "federation": "ams",
        "member": PE,
        "tls_request": b"a request",
        "signing_keys": (KEYS[AR].signing, KEYS[PE].signing),
        "now": NOW,
    }
    return make_renewal(**{**asked, **changes})


def test_a_request_says_who_asks_and_is_proven_by_a_key_in_force() -> None:
    asked = read_renewal(renewal())
    assert (asked.federation, asked.member, asked.tls_request, asked.made_at) == (
        "ams",
        PE,
        b"a request",
        NOW,
    )
    verify_renewal(asked, enrolment=ENROLMENTS[PE], now=NOW + timedelta(days=30))
    verify_renewal(asked, enrolment=ENROLMENTS[PE], now=NOW - timedelta(minutes=5))


def test_a_request_is_told_from_an_enrolment() -> None:
    assert is_renewal(renewal())
    assert not is_renewal(b'{"payload": "", "signatures": []}')
    assert not is_renewal(b"\xff")


@pytest.mark.parametrize(
    ("changes", "later", "code"),
    [
        ({"federation": "eur"}, timedelta(), Code.FORMAT),
        ({"member": AR}, timedelta(), Code.FORMAT),
        ({}, timedelta(days=31), Code.FORMAT),
        ({}, -timedelta(minutes=6), Code.FORMAT),
        ({"signing_keys": (KEYS[AR].signing,)}, timedelta(), Code.UNKNOWN_KEY),
        ({"signing_keys": ()}, timedelta(), Code.UNKNOWN_KEY),
    ],
    ids=["federation", "member", "old", "of tomorrow", "another's key", "unsigned"],
)
def test_a_request_that_is_not_the_members_own_is_refused(
    changes: dict[str, Any], later: timedelta, code: Code
) -> None:
    with pytest.raises(Refused) as caught:
        verify_renewal(read_renewal(renewal(**changes)), enrolment=ENROLMENTS[PE], now=NOW + later)
    assert caught.value.code is code


def test_a_request_that_was_changed_is_refused() -> None:
    file = json.loads(renewal())
    other = json.loads(renewal(tls_request=b"another"))
    changed = json.dumps({**file, "renewal": other["renewal"]}).encode()
    with pytest.raises(Refused) as caught:
        verify_renewal(read_renewal(changed), enrolment=ENROLMENTS[PE], now=NOW)
    assert caught.value.code is Code.BAD_SIGNATURE


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data + b" " * ENROLMENT_MAX,
        lambda _: b"{}",
        lambda data: data.replace(b'"renewal": "', b'"renewal": "AAAA'),
        lambda _: renewal(member="Peru"),
        lambda _: renewal(federation="AMS"),
        lambda _: renewal(now=NOW.replace(tzinfo=None)),
    ],
    ids=["large", "empty", "payload", "member", "federation", "time zone"],
)
def test_a_file_that_is_no_request_is_refused(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Refused, match="member renew") as caught:
        read_renewal(damage(renewal()))
    assert caught.value.code is Code.FORMAT
