"""The cluster holds what the directory says, whatever anybody does to it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from almenara import clock
from almenara.bus.admin import Admin
from almenara.bus.drift import Drift
from almenara.bus.kafka import Reader, Sender
from almenara.bus.quotas import DEFAULT_LIMITS, Limits, Quota, client_quotas
from almenara.bus.topics import AclRule, Operation, stream_acls, stream_topic
from almenara.cli.__main__ import almenara
from almenara.cli.app import run
from almenara.coordinator.federation import Federation
from almenara.coordinator.sync import Cluster
from almenara.errors import Code, Refused
from almenara.model.ids import REGION, MemberId, Stream
from almenara.trust.refresh import refresh
from almenara.trust.targets import build_directory

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.node.settings import MemberSettings
    from almenara.trust.directory import Directory
    from federation_site import FederationSite

pytestmark = pytest.mark.integration


async def read_directory(site: FederationSite, settings: MemberSettings, cache: Path) -> Directory:
    """Return the directory as a member reads it off the topic and proves it."""
    async with Reader(site.broker.bootstrap, site.context(settings.member)) as reader:
        records = await reader.read_all("ams.directory")
    files = {(record.key or b"").decode(): record.value for record in records}
    root = settings.root_path.read_bytes()
    return build_directory(refresh(files, cache=cache, root=root, now=clock.now()))


async def test_a_member_writes_its_own_topic_and_reads_the_others(site: FederationSite) -> None:
    async with (
        Sender(site.broker.bootstrap, site.context("PE")) as sender,
        Reader(site.broker.bootstrap, site.context("AR")) as reader,
    ):
        await sender.send("ams.region.pe", [b"from PE"])
        assert [record.value for record in await reader.read_all("ams.region.pe")] == [b"from PE"]
        for topic in ("ams.region.ar", "ams.directory"):
            with pytest.raises(Refused) as caught:
                await sender.send(topic, [b"forged"])
            assert caught.value.code is Code.BROKER_REFUSES


async def test_a_second_synchronization_changes_nothing(site: FederationSite) -> None:
    await site.sync()
    async with Cluster.connect(site.federation) as cluster:
        for _ in range(2):
            assert not await cluster.sync(site.federation, now=clock.now())


async def test_a_member_proves_the_directory_it_reads_off_the_topic(
    site: FederationSite, tmp_path: Path
) -> None:
    await site.sync()
    shown = await read_directory(site, site.members["PE"], tmp_path / "cache")
    assert shown == site.federation.published(clock.now()).directory
    assert {"PE", "AR"} <= shown.audience(REGION).members
    assert shown.bootstrap == site.broker.bootstrap


async def test_a_new_version_reaches_the_topic_and_takes_the_old_files_away(
    site: FederationSite, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    before = await read_directory(site, site.members["PE"], cache)
    site.admit(site.enrol("UY"))
    outcome = await site.sync()
    assert outcome.changed.topics_created == ("ams.region.uy",)
    assert outcome.reverted == Drift()
    after = await read_directory(site, site.members["PE"], cache)
    assert after.members.keys() - before.members.keys() == {"UY"}
    async with Reader(site.broker.bootstrap, site.context("UY")) as reader:
        held = {record.key: record.value for record in await reader.read_all("ams.directory")}
    names = {name.encode() for name, _ in site.federation.published(clock.now()).files}
    assert {key for key, value in held.items() if value} == names


async def test_rules_that_drifted_are_put_back_and_told_apart(site: FederationSite) -> None:
    await site.sync()
    extra = AclRule(principal="User:AR.1", operation=Operation.WRITE, name="ams.region.pe")
    lost = AclRule(principal="User:PE.1", operation=Operation.WRITE, name="ams.region.pe")
    async with Cluster.connect(site.federation) as cluster:
        before = await cluster.admin.acls()
        await cluster.admin.create_acls([extra])
        await cluster.admin.delete_acls([lost])
        outcome = await cluster.sync(site.federation, now=clock.now())
        assert outcome.reverted == Drift(acls_created=(lost,), acls_removed=(extra,))
        assert await cluster.admin.acls() == before
        assert not await cluster.sync(site.federation, now=clock.now())


async def test_a_deleted_topic_comes_back_and_is_told(site: FederationSite) -> None:
    async with Cluster.connect(site.federation) as cluster:
        await cluster.admin.delete_topics(["ams.region.ar"])
        outcome = await cluster.sync(site.federation, now=clock.now())
    assert outcome.reverted == Drift(topics_created=("ams.region.ar",))


async def test_a_topic_whose_settings_drifted_is_put_back_and_told(site: FederationSite) -> None:
    await site.sync()
    short = stream_topic(
        Stream(REGION, MemberId("AR")), federation="ams", retention=timedelta(hours=1), replication=1
    )
    async with Cluster.connect(site.federation) as cluster:
        await cluster.admin.ensure_topics([short])
        outcome = await cluster.sync(site.federation, now=clock.now())
        assert outcome.reverted == Drift(topics_changed=(short.name,))
        assert not await cluster.sync(site.federation, now=clock.now())


async def test_quotas_that_drifted_are_put_back_and_told_apart(site: FederationSite) -> None:
    await site.sync()
    wanted = client_quotas({MemberId("PE"): (1,)}, DEFAULT_LIMITS)
    (rate,) = [quota for quota in wanted if quota.key == "producer_byte_rate"]
    raised = msgspec.structs.replace(rate, value=1e12)
    hole = Quota(entity=(("client-id", None), ("user", "PE.1")), key="producer_byte_rate", value=1e12)
    async with Cluster.connect(site.federation) as cluster:
        before = await cluster.admin.quotas()
        assert wanted < before
        await cluster.admin.set_quotas([raised, hole])
        outcome = await cluster.sync(site.federation, now=clock.now())
        assert outcome.reverted == Drift(quotas_set=(rate,), quotas_removed=(hole,))
        assert await cluster.admin.quotas() == before
        assert not await cluster.sync(site.federation, now=clock.now())


async def test_a_member_that_floods_is_slowed_down_and_the_others_are_not(site: FederationSite) -> None:
    lower = msgspec.structs.replace(site.federation.settings, quotas=Limits(producer_byte_rate=50_000.0))
    limited = Federation(site.federation.folder, lower)
    # Kafka measures over ten seconds: half a megabyte is still within the quota, and not a byte more.
    flood = [bytes(110_000) for _ in range(6)]
    async with Cluster.connect(limited) as cluster:
        outcome = await cluster.sync(limited, now=clock.now())
        assert {quota.value for quota in outcome.changed.quotas_set} == {50_000.0}
        assert outcome.reverted == Drift()  # a person changed the settings: no alarm
    async with (
        Sender(site.broker.bootstrap, site.context("PE")) as floods,
        Sender(site.broker.bootstrap, site.context("AR")) as other,
        asyncio.TaskGroup() as tasks,
    ):
        await floods.send("ams.region.pe", [b"opens the connection"])
        await other.send("ams.region.ar", [b"opens the connection"])
        began = time.monotonic()
        flooding = tasks.create_task(one_by_one(floods, "ams.region.pe", flood))
        await one_by_one(other, "ams.region.ar", [b"an alert"] * 5)
        assert not flooding.done()
        await flooding
    assert time.monotonic() - began > 0.8
    await site.sync()


async def one_by_one(sender: Sender, topic: str, values: list[bytes]) -> None:
    for value in values:
        await sender.send(topic, [value])


@pytest.mark.parametrize("damage", [b"junk", None], ids=["overwritten", "deleted"])
async def test_a_damaged_directory_topic_is_repaired(
    site: FederationSite, tmp_path: Path, damage: bytes | None
) -> None:
    await site.sync()
    async with Cluster.connect(site.federation) as cluster:
        assert not await cluster.sync(site.federation, now=clock.now())
        await cluster.sender.send_keyed("ams.directory", b"metadata/timestamp.json", damage)
        outcome = await cluster.sync(site.federation, now=clock.now())
        assert outcome.published == ("metadata/timestamp.json",)
    assert (await read_directory(site, site.members["PE"], tmp_path / "cache")).members


async def test_the_rules_are_those_of_the_directory_and_no_others(site: FederationSite) -> None:
    await site.sync()
    directory = site.federation.published(clock.now()).directory
    wanted = stream_acls(
        "ams",
        audiences={REGION: directory.members.keys()},
        generations=dict.fromkeys(directory.members, (1,)),
    )
    async with Cluster.connect(site.federation) as cluster:
        assert await cluster.admin.acls() == wanted


async def test_a_member_cannot_act_as_coordinator(site: FederationSite) -> None:
    async with Admin(site.broker.bootstrap, site.context("PE")) as admin:
        with pytest.raises(Refused) as caught:
            await admin.create_acls(
                [AclRule(principal="User:PE.1", operation=Operation.WRITE, name="ams.region.ar")]
            )
    assert caught.value.code is Code.BROKER_REFUSES


def test_admitting_on_the_command_line_reaches_the_cluster_at_once(
    site: FederationSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "BO"
    assert run(almenara, ["member", "init", "--id", "BO", "--state", str(folder)]) == 0
    command = ["member", "admit", str(folder / "enrolment.json"), "--federation", str(site.federation.folder)]
    assert run(almenara, command) == 0
    shown = capsys.readouterr()
    assert "on the cluster: directory" in shown.out
    assert site.federation.fingerprint in shown.out
    assert (folder / "admission.json").is_file()
    assert MemberId("BO") in site.federation.published(clock.now()).directory.members
    assert run(almenara, ["coordinator", "sync", "--state", str(site.federation.folder)]) == 0
    assert "held it already" in capsys.readouterr().out
