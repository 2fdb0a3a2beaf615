"""The cluster becomes what the directory says, and drift is put right and named."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from almenara.bus.admin import Admin
from almenara.bus.drift import Drift
from almenara.bus.topics import (
    AclRule,
    Operation,
    Resource,
    TopicSettings,
    directory_settings,
    stream_acls,
    stream_topic,
)
from almenara.errors import Code, Misconfigured, Unavailable
from almenara.model.ids import AudienceId, MemberId, Stream
from broker_site import FEDERATION

if TYPE_CHECKING:
    from broker_site import Site

pytestmark = pytest.mark.integration

AUDIENCE = AudienceId("synced")
MEMBERS = [MemberId("PE"), MemberId("AR")]
RULES = stream_acls(FEDERATION, audiences={AUDIENCE: MEMBERS}, generations=dict.fromkeys(MEMBERS, (1,)))
HOLE = AclRule(principal="User:*", operation=Operation.READ, name="ams.synced.pe")
DENIAL = AclRule(
    principal="User:PE.1", operation=Operation.ALL, resource_type=Resource.GROUP, name="x", allow=False
)


def wanted(retention: timedelta = timedelta(days=30)) -> list[TopicSettings]:
    streams = [
        stream_topic(Stream(AUDIENCE, member), federation=FEDERATION, retention=retention, replication=1)
        for member in MEMBERS
    ]
    return [directory_settings(FEDERATION, replication=1), *streams]


async def test_a_second_sync_changes_nothing_and_drift_is_reverted(broker: Site) -> None:
    async with Admin(broker.bootstrap, broker.operator()) as admin:
        await admin.delete_topics({"ams.synced.pe", "ams.synced.ar"} & await admin.list_topics())
        first = await admin.sync(wanted(), RULES)
        assert {"ams.synced.ar", "ams.synced.pe"} <= set(first.topics_created)
        assert await admin.acls() == RULES
        assert await admin.sync(wanted(), RULES) == Drift()

        lost = min(RULES)
        await admin.delete_acls([lost])
        await admin.create_acls([HOLE, DENIAL])
        assert await admin.sync(wanted(), RULES) == Drift(
            acls_created=(lost,), acls_removed=tuple(sorted([HOLE, DENIAL]))
        )
        assert await admin.acls() == RULES

        longer = await admin.sync(wanted(timedelta(days=60)), RULES)
        assert longer == Drift(topics_changed=("ams.synced.ar", "ams.synced.pe"))
        found = await admin.topics(["ams.synced.pe", "ams.synced.none"])
        assert found.keys() == {"ams.synced.pe"}
        assert found["ams.synced.pe"].configs["retention.ms"] == str(61 * 86_400_000)
        assert (found["ams.synced.pe"].partitions, found["ams.synced.pe"].replication) == (1, 1)


async def test_what_the_broker_cannot_do_is_named(broker: Site) -> None:
    async with Admin(broker.bootstrap, broker.operator()) as admin:
        with pytest.raises(Misconfigured, match="InvalidReplicationFactor") as fault:
            await admin.ensure_topics(
                [
                    stream_topic(
                        Stream(AudienceId("three"), MEMBERS[0]),
                        federation=FEDERATION,
                        retention=timedelta(days=1),
                    )
                ]
            )
        assert fault.value.code is Code.CONFIGURATION
        with pytest.raises(Misconfigured):
            await admin.create_acls([AclRule(principal="no kind", operation=Operation.READ, name="ams.x")])


async def test_a_stream_cut_in_two_is_never_accepted(broker: Site) -> None:
    name = "ams.twofold.pe"
    settings = wanted()[1]
    twofold = TopicSettings(
        name=name, cleanup=settings.cleanup, retention=settings.retention, replication=1, partitions=2
    )
    single = TopicSettings(name=name, cleanup=settings.cleanup, retention=settings.retention, replication=1)
    async with Admin(broker.bootstrap, broker.operator()) as admin:
        await admin.ensure_topics([twofold])
        with pytest.raises(Misconfigured, match="2 partitions instead of 1"):
            await admin.ensure_topics([single])
        await admin.delete_topics([name])


async def test_a_broker_that_is_away_is_unavailable(broker: Site) -> None:
    async with Admin("127.0.0.1:1", broker.operator()) as admin:
        with pytest.raises(Unavailable) as away:
            await admin.acls()
    assert away.value.code is Code.BROKER_DOWN


async def test_the_cluster_says_who_it_is(broker: Site) -> None:
    async with Admin(broker.bootstrap, broker.operator()) as admin:
        state = await admin.describe()
    assert state.brokers == 1
    assert len(state.cluster_id) == 22
