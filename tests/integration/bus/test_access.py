"""Who may do what on the real broker: THREATS 1, 2 and 13 at the level of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.bus.admin import Admin
from almenara.bus.kafka import Reader, Sender
from almenara.bus.received import Access
from almenara.errors import AlmenaraError, Code, Refused
from almenara.model.ids import MemberId
from almenara.trust.certificates import operators
from broker_site import FEDERATION

if TYPE_CHECKING:
    from broker_site import Site

pytestmark = pytest.mark.integration

PE, AR, CL = MemberId("PE"), MemberId("AR"), MemberId("CL")


async def outcome(work: object) -> str:
    """Return OK, or the name and code of the error."""
    try:
        await work  # type: ignore[misc]
    except AlmenaraError as error:
        return f"{type(error).__name__} {error.code}"
    return "OK"


async def test_a_member_writes_its_own_topic_alone_and_reads_its_audiences_alone(broker: Site) -> None:
    await broker.open_audience("acl-one", [PE, AR])
    await broker.open_audience("acl-two", [PE])
    found = {}
    async with Sender(broker.bootstrap, broker.member(AR)) as sender:
        for topic in ("ams.acl-one.ar", "ams.acl-one.pe", "ams.acl-two.pe", "ams.nothing.pe"):
            found[f"write {topic}"] = await outcome(sender.send(topic, [b"value"]))
    async with Reader(broker.bootstrap, broker.member(AR)) as reader:
        for topic in ("ams.acl-one.pe", "ams.acl-one.ar", "ams.acl-two.pe", "ams.nothing.pe"):
            found[f"read {topic}"] = await outcome(reader.read_all(topic))
    assert found == {
        "write ams.acl-one.ar": "OK",
        "write ams.acl-one.pe": "Refused BROKER_REFUSES",
        "write ams.acl-two.pe": "Refused BROKER_REFUSES",
        "write ams.nothing.pe": "Refused BROKER_REFUSES",
        "read ams.acl-one.pe": "OK",
        "read ams.acl-one.ar": "OK",
        "read ams.acl-two.pe": "Refused BROKER_REFUSES",
        "read ams.nothing.pe": "Refused BROKER_REFUSES",
    }


async def test_a_probe_tells_readable_refused_and_missing_apart(broker: Site) -> None:
    await broker.open_audience("probe-one", [PE, AR])
    await broker.open_audience("probe-two", [PE])
    async with Reader(broker.bootstrap, broker.member(AR)) as reader:
        assert await reader.probe(["ams.probe-one.pe", "ams.probe-one.cl", "ams.probe-two.pe"]) == {
            "ams.probe-one.pe": Access.READABLE,
            "ams.probe-one.cl": Access.MISSING,
            "ams.probe-two.pe": Access.REFUSED,
        }


async def test_a_topic_that_may_be_written_but_not_read_is_refused_to_readers(broker: Site) -> None:
    rules = await broker.open_audience("write-only", [PE])
    async with Admin(broker.bootstrap, broker.operator()) as admin:
        await admin.delete_acls([rule for rule in rules if rule.name == "ams.write-only."])
    async with Reader(broker.bootstrap, broker.member(PE)) as reader:
        assert await reader.probe(["ams.write-only.pe"]) == {"ams.write-only.pe": Access.REFUSED}


async def test_another_generation_of_a_members_certificate_is_nobody(broker: Site) -> None:
    await broker.open_audience("generation", [PE])
    async with Sender(broker.bootstrap, broker.member(PE, generation=2)) as sender:
        with pytest.raises(Refused) as refused:
            await sender.send("ams.generation.pe", [b"value"])
    assert refused.value.code is Code.BROKER_REFUSES
    assert "generation" in refused.value.text


async def test_members_and_other_operators_change_nothing_on_the_cluster(broker: Site) -> None:
    rules = await broker.open_audience("admin-only", [PE])
    for context in (broker.member(PE), broker.context(operators(FEDERATION), "auditor")):
        async with Admin(broker.bootstrap, context) as admin:
            for attempt in (
                admin.acls(),
                admin.create_acls(rules),
                admin.delete_acls(rules),
                admin.delete_topics(["ams.admin-only.pe"]),
            ):
                assert await outcome(attempt) == "Refused BROKER_REFUSES"
    async with Admin(broker.bootstrap, broker.operator()) as admin:
        assert rules <= await admin.acls()
        assert "ams.admin-only.pe" in await admin.list_topics()
