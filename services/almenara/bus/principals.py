"""By which name does Kafka know the holder of a certificate?

A member's certificate O=ams, CN=PE.1 becomes `User:PE.1`; an operator's, which stands under another
organization, becomes `User:operator:coordinator`. The rules are anchored and there is no DEFAULT:
any other certificate of the same authority has no name and is turned away, and so is one that was
revoked (ADR 0011). Java writes a name with its last part first, so O=ams, CN=PE.1 reads
`CN=PE.1,O=ams`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.trust.certificates import member_name, operators

if TYPE_CHECKING:
    from collections.abc import Collection

    from almenara.model.ids import MemberId

BROKER = "broker"
COORDINATOR = "coordinator"

# The same as in model.ids, with the generation behind it. No backslash: Java's property files and
# Kafka's rule splitter each take one away.
_MEMBER = "(?:[A-Z]{2}|X-[A-Z0-9]{1,16})[.][1-9][0-9]{0,8}"
_OPERATOR = "[a-z][a-z0-9-]{0,31}"


def member_principal(member: MemberId, generation: int) -> str:
    """Return the principal of a member's certificate of that generation."""
    return f"User:{member_name(member, generation)}"


def operator_principal(name: str) -> str:
    """Return the principal of an operator; no member's name can contain its colon."""
    return f"User:operator:{name}"


def mapping_rules(federation: str, *, turned_away: Collection[str] = ()) -> str:
    """Return `ssl.principal.mapping.rules` for the certificates of a federation.

    `turned_away` are names of members' certificates, as in PE.1, that get none: the broker ends their
    connections before the first request.
    """
    names = "|".join(name.replace(".", "[.]") for name in sorted(turned_away))
    but_not = f"(?!(?:{names}),)" if names else ""
    return (
        f"RULE:^CN={but_not}({_MEMBER}),O={federation}$/$1/,"
        f"RULE:^CN=({_OPERATOR}),O={operators(federation)}$/operator:$1/"
    )
