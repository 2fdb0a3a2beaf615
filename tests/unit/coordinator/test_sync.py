"""What the directory asks of the cluster, and what of it somebody else had changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from almenara.bus.drift import Drift
from almenara.bus.quotas import Quota
from almenara.bus.topics import AclRule, Operation
from almenara.coordinator.federation import Federation
from almenara.coordinator.sync import Synced, Wanted, replication, undone, wanted
from almenara.model.ids import AudienceId, MemberId
from almenara.trust.directory import AudienceKind, MemberStatus
from enrolments import enrol

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.trust.directory import Directory

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
PE = MemberId("PE")


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    federation = Federation.init(tmp_path / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000")
    for member in ("PE", "AR", "CL"):
        federation.admit(enrol(tmp_path, member, now=NOW), now=NOW)
    federation.create_audience(
        "pe-ar",
        kind=AudienceKind.PAIR,
        members=frozenset({"PE", "AR"}),
        title="Lima and Buenos Aires",
        now=NOW,
        retention_days=7,
    )
    return federation.published(NOW).directory


def test_each_member_of_an_audience_has_a_topic_there(directory: Directory) -> None:
    topics = wanted(directory, replication=1, now=NOW).topics
    assert [topic.name for topic in topics] == [
        "ams.directory",
        "ams.pe-ar.ar",
        "ams.pe-ar.pe",
        "ams.region.ar",
        "ams.region.cl",
        "ams.region.pe",
    ]


@pytest.mark.parametrize(
    ("asked", "brokers", "before", "copies"),
    [
        (None, 1, None, 1),
        (None, 2, None, 2),
        (None, 3, None, 3),
        (None, 5, None, 3),
        (None, 2, 3, 3),
        (None, 3, 1, 3),
        (2, 3, 3, 2),
        (5, 5, None, 5),
    ],
    ids=["one", "two", "three", "five", "one of three away", "two joined", "less asked", "more asked"],
)
def test_records_lie_on_up_to_three_brokers_unless_a_person_asks_otherwise(
    asked: int | None, brokers: int, before: int | None, copies: int, directory: Directory
) -> None:
    held = None
    if before is not None:
        want = wanted(directory, replication=before, now=NOW)
        held = Synced(cluster_id="C", topics=want.topics, acls=want.acls)
    assert replication(asked, brokers=brokers, before=held) == copies


def test_a_thin_topic_is_no_change() -> None:
    assert not Drift(topics_thin=("ams.region.pe",))
    assert Drift(topics_thin=("ams.region.pe",), topics_created=("ams.region.ar",))


def test_a_topic_keeps_a_day_longer_than_its_audience(directory: Directory) -> None:
    kept = {topic.name: topic.retention for topic in wanted(directory, replication=1, now=NOW).topics}
    assert kept["ams.directory"] is None
    assert kept["ams.pe-ar.pe"] == timedelta(days=8)


def test_a_member_writes_its_own_topics_and_reads_its_audiences_only(directory: Directory) -> None:
    rules = {
        str(rule) for rule in wanted(directory, replication=1, now=NOW).acls if rule.principal == "User:CL.1"
    }
    assert rules == {
        "User:CL.1 may READ topic ams.directory",
        "User:CL.1 may READ topic ams.region.*",
        "User:CL.1 may WRITE topic ams.region.cl",
        "User:CL.1 may DESCRIBE topic ams.region.cl",
    }


def test_a_suspended_member_has_no_rule(directory: Directory) -> None:
    suspended = msgspec.structs.replace(directory.members[PE], status=MemberStatus.SUSPENDED)
    without = msgspec.structs.replace(directory, members={**directory.members, PE: suspended})
    assert not [
        rule for rule in wanted(without, replication=1, now=NOW).acls if rule.principal == "User:PE.1"
    ]


def test_a_member_is_limited_for_as_long_as_it_is_active(directory: Directory) -> None:
    suspended = msgspec.structs.replace(directory.members[PE], status=MemberStatus.SUSPENDED)
    without = msgspec.structs.replace(directory, members={**directory.members, PE: suspended})
    limited = {quota.entity for quota in wanted(directory, replication=1, now=NOW).quotas}
    assert limited == {(("user", f"{member}.1"),) for member in ("AR", "CL", "PE")}
    assert {quota.entity for quota in wanted(without, replication=1, now=NOW).quotas} == limited - {
        (("user", "PE.1"),)
    }


def quota(value: float, name: str = "PE.1") -> Quota:
    return Quota(entity=(("user", name),), key="request_percentage", value=value)


def test_a_quota_put_back_is_told_from_one_that_the_settings_changed(directory: Directory) -> None:
    want = wanted(directory, replication=1, now=NOW)
    held = frozenset({quota(1), quota(2, "UY.1")})
    before = Synced(cluster_id="x", topics=(), acls=frozenset(), quotas=held)
    drift = Drift(quotas_set=(quota(1), quota(3)), quotas_removed=(quota(2, "UY.1"), quota(9, "XX.1")))
    assert undone(drift, before, want) == Drift(quotas_set=(quota(1),), quotas_removed=(quota(9, "XX.1"),))


def rule(principal: str) -> AclRule:
    return AclRule(principal=f"User:{principal}", operation=Operation.READ, name="ams.directory")


def test_the_first_synchronization_undoes_nothing(directory: Directory) -> None:
    want = wanted(directory, replication=1, now=NOW)
    drift = Drift(topics_created=("ams.region.pe",), acls_created=(rule("PE.1"),))
    assert undone(drift, None, want) == Drift()


def test_only_what_the_coordinator_had_made_otherwise_is_undone(directory: Directory) -> None:
    want = wanted(directory, replication=1, now=NOW)
    known = tuple(topic for topic in want.topics if topic.name in {"ams.region.pe", "ams.region.ar"})
    amended = tuple(
        msgspec.structs.replace(topic, retention=timedelta(days=1))
        if topic.name == "ams.region.ar"
        else topic
        for topic in known
    )
    before = Synced(cluster_id="x", topics=amended, acls=frozenset({rule("PE.1"), rule("UY.1")}))
    drift = Drift(
        topics_created=("ams.region.pe", "ams.region.cl"),
        topics_changed=("ams.region.ar", "ams.region.pe"),
        acls_created=(rule("PE.1"), rule("CL.1")),
        acls_removed=(rule("UY.1"), rule("XX.1")),
    )
    assert undone(drift, before, Wanted(known, frozenset(), frozenset(), frozenset())) == Drift(
        topics_created=("ams.region.pe",),
        topics_changed=("ams.region.pe",),
        acls_created=(rule("PE.1"),),
        acls_removed=(rule("XX.1"),),
    )


def test_an_operation_ends_by_itself_and_its_topics_stay(directory: Directory) -> None:
    pair = msgspec.structs.replace(directory.audiences[AudienceId("pe-ar")], closes_at=NOW)
    closing = msgspec.structs.replace(directory, audiences={**directory.audiences, pair.id: pair})
    before, after = (
        wanted(closing, replication=1, now=NOW + timedelta(days=7) + shift)
        for shift in (-timedelta(microseconds=1), timedelta())
    )
    assert before == wanted(directory, replication=1, now=NOW)
    assert after.topics == before.topics
    assert {rule.name for rule in before.acls - after.acls} == {"ams.pe-ar.", "ams.pe-ar.pe", "ams.pe-ar.ar"}
    assert not after.acls - before.acls
    # Its own doing: nobody is to be alarmed.
    synced = Synced(cluster_id="x", topics=before.topics, acls=before.acls)
    drift = Drift(acls_removed=tuple(before.acls - after.acls))
    assert undone(drift, synced, after) == Drift()
