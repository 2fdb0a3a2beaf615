"""How much of the cluster may one member use? Pure: which members there are in, Kafka's quotas out.

A member that floods is slowed down by its broker, and the others are not. Nothing is lost: its node keeps
what it accepted, and sends it as the quota allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from almenara.trust.certificates import member_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from almenara.model.ids import MemberId

USER = "user"
"""Kafka's kind of entity for a principal; `client-id` is the other, and what a client calls itself."""


_Rate = Annotated[float, msgspec.Meta(gt=0)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each certificate may use of each broker, in Kafka's own names.

    Bytes a second, and hundredths of the time of one of its threads. A node at its fastest writes a
    third of that, and half of a small broker's threads remain for the others.
    """

    producer_byte_rate: _Rate = 10e6
    consumer_byte_rate: _Rate = 60e6
    request_percentage: _Rate = 300.0


DEFAULT_LIMITS = Limits()


class Quota(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One limit of one entity: parts of kind and name, None for the default of that kind."""

    entity: tuple[tuple[str, str | None], ...]
    key: str
    value: float

    def __str__(self) -> str:
        who = " ".join(f"{kind} {name or '(default)'}" for kind, name in self.entity)
        return f"{who}: {self.key} {self.value:g}"


def client_quotas(generations: Mapping[MemberId, Collection[int]], limits: Limits) -> frozenset[Quota]:
    """Return the limits of the certificates that are good now."""
    return frozenset(
        Quota(entity=((USER, member_name(member, number)),), key=key, value=value)
        for member, numbers in generations.items()
        for number in numbers
        for key, value in msgspec.structs.asdict(limits).items()
    )
