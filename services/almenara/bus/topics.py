"""Which topics and which access does the directory ask of the cluster? Pure values.

One topic a stream, one partition, written by its member alone and read by its audience alone. READ
is given by prefix, dot included, so that a new member's topic needs no new rule at its readers.
There are no rules for consumer groups: readers keep their own offsets.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from almenara.bus.configuration import BATCH_MAX
from almenara.bus.principals import member_principal
from almenara.model.ids import Stream, directory_topic

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from almenara.model.ids import AudienceId, MemberId

REPLICATION = 3
"""Brokers that hold each record (DESIGN 4); a single site's embedded broker has 1."""

RETENTION_MARGIN = timedelta(days=1)
"""Kafka keeps records a day longer than the audience's retention, so that late readers still anchor."""

SEGMENT_SPAN = timedelta(days=1)
"""Kafka deletes whole segments: a record stays at most this much longer than its retention."""


class Cleanup(StrEnum):
    """Say what Kafka does with old records: delete them, or keep the newest of each key."""

    DELETE = "delete"
    COMPACT = "compact"


class Operation(StrEnum):
    """Name what a rule allows, as Kafka names it; we grant the first three."""

    READ = "READ"
    WRITE = "WRITE"
    DESCRIBE = "DESCRIBE"
    UNKNOWN = "UNKNOWN"
    ALL = "ALL"
    CREATE = "CREATE"
    DELETE = "DELETE"
    ALTER = "ALTER"
    CLUSTER_ACTION = "CLUSTER_ACTION"
    DESCRIBE_CONFIGS = "DESCRIBE_CONFIGS"
    ALTER_CONFIGS = "ALTER_CONFIGS"
    IDEMPOTENT_WRITE = "IDEMPOTENT_WRITE"
    CREATE_TOKENS = "CREATE_TOKENS"
    DESCRIBE_TOKENS = "DESCRIBE_TOKENS"


class Resource(StrEnum):
    """Name what a rule is about, as Kafka names it; ours are about topics."""

    TOPIC = "TOPIC"
    UNKNOWN = "UNKNOWN"
    GROUP = "GROUP"
    CLUSTER = "CLUSTER"
    TRANSACTIONAL_ID = "TRANSACTIONAL_ID"
    DELEGATION_TOKEN = "DELEGATION_TOKEN"  # noqa: S105 - a kind of resource, no secret
    USER = "USER"


class Pattern(StrEnum):
    """Say whether a rule's name is the whole name or how names begin."""

    LITERAL = "LITERAL"
    PREFIXED = "PREFIXED"


class AclRule(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One line of Kafka's access list; all that we make allow, for any host."""

    principal: str
    operation: Operation
    resource_type: Resource = Resource.TOPIC
    name: str
    pattern: Pattern = Pattern.LITERAL
    host: str = "*"
    allow: bool = True

    def __str__(self) -> str:
        star = "*" if self.pattern is Pattern.PREFIXED else ""
        verb = "may" if self.allow else "may not"
        return f"{self.principal} {verb} {self.operation} {self.resource_type.lower()} {self.name}{star}"


class TopicSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one topic must be like."""

    name: str
    cleanup: Cleanup
    retention: timedelta | None
    replication: int = REPLICATION
    partitions: int = 1

    @property
    def min_insync(self) -> int:
        """Return how many brokers must hold a record before it counts as written."""
        return max(1, self.replication - 1)

    def configs(self) -> dict[str, str]:
        """Return the topic's settings in Kafka's names."""
        retention_ms = -1 if self.retention is None else self.retention // timedelta(milliseconds=1)
        return {
            "cleanup.policy": self.cleanup.value,
            "retention.ms": str(retention_ms),
            "segment.ms": str(SEGMENT_SPAN // timedelta(milliseconds=1)),
            "min.insync.replicas": str(self.min_insync),
            "max.message.bytes": str(BATCH_MAX),
            # Whatever a member sends, the broker unpacks it before it measures it: what 200 KB unpack to
            # would else reach every reader's memory. What is sealed does not compress anyway.
            "compression.type": "uncompressed",
            # The broker's clock: with the author's, a member could set its records' time of deletion.
            "message.timestamp.type": "LogAppendTime",
            "unclean.leader.election.enable": "false",
        }


def stream_topic(
    stream: Stream, *, federation: str, retention: timedelta, replication: int = REPLICATION
) -> TopicSettings:
    """Return the settings of a stream's topic; `retention` is the audience's."""
    return TopicSettings(
        name=stream.topic(federation),
        cleanup=Cleanup.DELETE,
        retention=retention + RETENTION_MARGIN,
        replication=replication,
    )


def directory_settings(federation: str, *, replication: int = REPLICATION) -> TopicSettings:
    """Return the settings of the compacted topic that carries the directory."""
    return TopicSettings(
        name=directory_topic(federation), cleanup=Cleanup.COMPACT, retention=None, replication=replication
    )


def stream_acls(
    federation: str,
    *,
    audiences: Mapping[AudienceId, Collection[MemberId]],
    generations: Mapping[MemberId, Collection[int]],
) -> frozenset[AclRule]:
    """Return every rule that a federation's members need.

    `generations` are the certificates of each member that are good now: usually one, two while it
    renews, none when it is cut off. A member without any gets no rule.
    """
    rules = set()
    for member, numbers in generations.items():
        for number in numbers:
            principal = member_principal(member, number)
            rules.add(
                AclRule(principal=principal, operation=Operation.READ, name=directory_topic(federation))
            )
            for audience, members in audiences.items():
                if member in members:
                    rules |= _audience_acls(principal, Stream(audience, member), federation)
    return frozenset(rules)


def _audience_acls(principal: str, own: Stream, federation: str) -> set[AclRule]:
    topic = own.topic(federation)
    prefix = f"{federation}.{own.audience}."
    return {
        AclRule(principal=principal, operation=Operation.WRITE, name=topic),
        AclRule(principal=principal, operation=Operation.DESCRIBE, name=topic),
        AclRule(principal=principal, operation=Operation.READ, name=prefix, pattern=Pattern.PREFIXED),
    }
