"""Who may do what on the real broker: THREATS 1, 2 and 13 at the level of connections."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from almenara.bus.admin import Admin
from almenara.bus.kafka import Reader, Sender, answers
from almenara.bus.received import Access
from almenara.errors import AlmenaraError, Code, Refused, Unavailable
from almenara.model.ids import MemberId
from almenara.trust.certificates import create_ca, operators
from broker_site import FEDERATION

if TYPE_CHECKING:
    import ssl

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


def contexts(site: Site, case: str) -> ssl.SSLContext:
    """Return the context of a certificate that the broker must turn away."""
    match case:
        case "no certificate":
            return site.nobody()
        case "another authority":
            files = site.certificate(case, FEDERATION, "PE.1", ca=create_ca(FEDERATION, site.now))
        case "expired":
            files = site.certificate(
                case, FEDERATION, "PE.1", now=site.now - timedelta(days=40), lifetime=timedelta(days=30)
            )
        case "another federation":
            files = site.certificate(case, "emea", "PE.1")
        case "an operator's name as a member":
            files = site.certificate(case, FEDERATION, "coordinator")
        case "a member's name as an operator":
            files = site.certificate(case, operators(FEDERATION), "PE.1")
        case _:
            raise AssertionError(case)
    return site.context_of(*files)


@pytest.mark.attacks
@pytest.mark.parametrize(
    "case",
    [
        "no certificate",
        "another authority",
        "expired",
        "another federation",
        "an operator's name as a member",
        "a member's name as an operator",
    ],
)
async def test_a_certificate_that_is_not_the_federations_is_turned_away(broker: Site, case: str) -> None:
    context = contexts(broker, case)
    assert not await answers(broker.bootstrap, context)
    async with Reader(broker.bootstrap, context) as reader:
        with pytest.raises(Unavailable):
            await reader.probe(["ams.directory"])
    assert await answers(broker.bootstrap, broker.member(PE))


@pytest.mark.attacks
async def test_the_controllers_own_port_turns_members_away(broker: Site) -> None:
    """It is on loopback, where other programs live: it asks for a certificate and lets no member in."""
    port = int((broker.broker.folder / "ports.json").read_text().strip("[]").split(",")[1])
    address = f"127.0.0.1:{port}"
    assert not await answers(address, broker.nobody())
    async with Reader(address, broker.member(PE)) as reader:
        with pytest.raises(Unavailable):
            await reader.probe(["ams.directory"])
    with suppress(Unavailable):
        async with Sender(address, broker.member(PE), request_timeout_s=1) as sender:
            await sender.send("ams.directory", [b"value"])
            pytest.fail("a member wrote through the controller's port")
