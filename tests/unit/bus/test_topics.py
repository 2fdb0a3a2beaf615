"""What the directory says becomes topics and rules, and nothing more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from almenara.bus.configuration import BATCH_MAX
from almenara.bus.topics import (
    AclRule,
    Cleanup,
    Operation,
    Pattern,
    Resource,
    directory_settings,
    stream_acls,
    stream_topic,
)
from almenara.model.ids import REGION, AudienceId, MemberId, Stream

PE, AR, RILO = MemberId("PE"), MemberId("AR"), MemberId("X-RILOSA")
CONDOR = AudienceId("op-condor")


def test_a_stream_is_one_ordered_topic_kept_a_day_longer_than_its_audience_asks() -> None:
    topic = stream_topic(Stream(CONDOR, RILO), federation="ams", retention=timedelta(days=90))
    assert (topic.name, topic.partitions, topic.replication) == ("ams.op-condor.x-rilosa", 1, 3)
    assert topic.configs() == {
        "cleanup.policy": "delete",
        "retention.ms": str(91 * 86_400_000),
        "segment.ms": "86400000",
        "min.insync.replicas": "2",
        "max.message.bytes": str(BATCH_MAX),
        "compression.type": "uncompressed",
        "message.timestamp.type": "LogAppendTime",
        "unclean.leader.election.enable": "false",
    }


def test_the_directory_is_compacted_and_kept_for_ever() -> None:
    topic = directory_settings("ams", replication=1)
    assert topic.name == "ams.directory"
    assert topic.cleanup is Cleanup.COMPACT
    assert topic.configs()["retention.ms"] == "-1"


@pytest.mark.parametrize(("replication", "insync"), [(1, "1"), (2, "1"), (3, "2"), (5, "4")])
def test_one_broker_may_be_away(replication: int, insync: str) -> None:
    assert directory_settings("ams", replication=replication).configs()["min.insync.replicas"] == insync


def test_a_member_writes_its_own_topics_and_reads_its_audiences_and_the_directory() -> None:
    rules = stream_acls("ams", audiences={REGION: [PE, AR], CONDOR: [PE]}, generations={PE: [3], AR: [1]})
    assert rules == {
        AclRule(principal="User:PE.3", operation=Operation.READ, name="ams.directory"),
        AclRule(principal="User:PE.3", operation=Operation.WRITE, name="ams.region.pe"),
        AclRule(principal="User:PE.3", operation=Operation.DESCRIBE, name="ams.region.pe"),
        AclRule(
            principal="User:PE.3", operation=Operation.READ, name="ams.region.", pattern=Pattern.PREFIXED
        ),
        AclRule(principal="User:PE.3", operation=Operation.WRITE, name="ams.op-condor.pe"),
        AclRule(principal="User:PE.3", operation=Operation.DESCRIBE, name="ams.op-condor.pe"),
        AclRule(
            principal="User:PE.3", operation=Operation.READ, name="ams.op-condor.", pattern=Pattern.PREFIXED
        ),
        AclRule(principal="User:AR.1", operation=Operation.READ, name="ams.directory"),
        AclRule(principal="User:AR.1", operation=Operation.WRITE, name="ams.region.ar"),
        AclRule(principal="User:AR.1", operation=Operation.DESCRIBE, name="ams.region.ar"),
        AclRule(
            principal="User:AR.1", operation=Operation.READ, name="ams.region.", pattern=Pattern.PREFIXED
        ),
    }


def test_nobody_gets_a_rule_about_anything_but_topics() -> None:
    rules = stream_acls("ams", audiences={REGION: [PE]}, generations={PE: [1]})
    assert {rule.resource_type for rule in rules} == {Resource.TOPIC}
    assert {rule.operation for rule in rules} == {Operation.READ, Operation.WRITE, Operation.DESCRIBE}


def test_two_certificates_of_a_renewal_are_both_good() -> None:
    rules = stream_acls("ams", audiences={REGION: [PE]}, generations={PE: [1, 2]})
    assert {rule.principal for rule in rules} == {"User:PE.1", "User:PE.2"}


@pytest.mark.parametrize("generations", [{}, {PE: []}, {AR: [1]}], ids=["none", "cut off", "another's"])
def test_a_member_without_a_certificate_gets_no_rule(generations: dict[MemberId, list[int]]) -> None:
    rules = stream_acls("ams", audiences={REGION: [PE]}, generations=generations)
    assert not [rule for rule in rules if rule.principal.startswith("User:PE")]


def test_a_prefix_ends_with_its_dot_so_that_no_longer_name_begins_with_it() -> None:
    rules = stream_acls("ams", audiences={AudienceId("op"): [PE]}, generations={PE: [1]})
    (prefix,) = [rule.name for rule in rules if rule.pattern is Pattern.PREFIXED]
    assert not "ams.op-condor.pe".startswith(prefix)


def test_a_rule_reads_as_a_sentence() -> None:
    rule = AclRule(
        principal="User:PE.1", operation=Operation.READ, name="ams.region.", pattern=Pattern.PREFIXED
    )
    assert str(rule) == "User:PE.1 may READ topic ams.region.*"
