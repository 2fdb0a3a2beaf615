"""By which name does Kafka know the holder of a certificate?

A member's certificate O=ams, CN=PE.1 becomes `User:PE.1`; an operator's, which stands under another
organization, becomes `User:operator:coordinator`. The rules are anchored and there is no DEFAULT:
any other certificate of the same authority has no name and is turned away. Java writes a name with
its last part first, so O=ams, CN=PE.1 reads `CN=PE.1,O=ams`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.trust.certificates import member_name, operators

if TYPE_CHECKING:
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


def mapping_rules(federation: str) -> str:
    """Return `ssl.principal.mapping.rules` for the certificates of a federation."""
    return (
        f"RULE:^CN=({_MEMBER}),O={federation}$/$1/,"
        f"RULE:^CN=({_OPERATOR}),O={operators(federation)}$/operator:$1/"
    )
