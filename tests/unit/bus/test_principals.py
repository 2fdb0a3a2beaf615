"""A certificate's holder is who the rules say, and nobody else."""

from __future__ import annotations

import re

import pytest

from almenara.bus.principals import mapping_rules, member_principal, operator_principal
from almenara.model.ids import MemberId


def principal(
    distinguished_name: str, federation: str = "ams", turned_away: tuple[str, ...] = ()
) -> str | None:
    """Apply the rules as Kafka does: the first that matches the whole name, in Java's order of parts."""
    for rule in mapping_rules(federation, turned_away=turned_away).split(",RULE:"):
        pattern, replacement, _ = rule.removeprefix("RULE:").split("/")
        if found := re.fullmatch(pattern, distinguished_name):
            return "User:" + replacement.replace("$1", found[1])
    return None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CN=PE.1,O=ams", member_principal(MemberId("PE"), 1)),
        ("CN=X-RILOSA.12,O=ams", member_principal(MemberId("X-RILOSA"), 12)),
        ("CN=coordinator,O=ams operators", operator_principal("coordinator")),
    ],
)
def test_a_certificate_of_the_federation_has_a_name(name: str, expected: str) -> None:
    assert principal(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "CN=PE.1,O=emea",
        "CN=PE.1,O=ams operators",
        "CN=coordinator,O=ams",
        "CN=operator:coordinator,O=ams",
        "CN=PE,O=ams",
        "CN=PE.0,O=ams",
        "CN=PE.01,O=ams",
        "CN=PEx1,O=ams",
        "CN=pe.1,O=ams",
        "CN=PE.1,OU=x,O=ams",
        "CN=PE.1,O=ams,C=PE",
        "CN=AR.1,CN=PE.1,O=ams",
        "CN=PE.1+UID=1,O=ams",
        "O=ams,CN=PE.1",
        "CN=PE.1\\,O=ams,O=emea",
        "CN=PE.1,O=ams\n",
        "CN=broker,O=emea operators",
        "",
    ],
)
def test_any_other_certificate_has_none(name: str) -> None:
    assert principal(name) is None


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("CN=PE.1,O=ams", False),
        ("CN=X-RILOSA.12,O=ams", False),
        ("CN=PE.2,O=ams", True),
        ("CN=PE.11,O=ams", True),
        ("CN=X-RILOSA.1,O=ams", True),
        ("CN=AR.1,O=ams", True),
        ("CN=coordinator,O=ams operators", True),
    ],
)
def test_a_revoked_certificate_has_no_name_and_its_neighbours_keep_theirs(name: str, *, named: bool) -> None:
    assert (principal(name, turned_away=("X-RILOSA.12", "PE.1")) is not None) is named
