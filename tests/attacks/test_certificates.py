"""Whose connection does the real broker take, and what may it do there? THREATS 1, 2 and 13."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from almenara.bus.admin import Admin
from almenara.bus.kafka import Reader, Sender, answers
from almenara.errors import Code, Refused, Unavailable
from almenara.model.ids import MemberId
from almenara.trust.certificates import CertificateAuthority, create_ca, operators
from broker_site import FEDERATION

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from broker_site import Site

pytestmark = [pytest.mark.attacks, pytest.mark.integration]

PE = MemberId("PE")
DAY = timedelta(days=1)


def issued_by_a_member(site: Site) -> tuple[Path, Path]:
    """Return a certificate that a member signed with the key of its own, as if it were the authority."""
    key_file, certificate_file = site.certificate("AR as authority", FEDERATION, "AR.1")
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    authority = CertificateAuthority(x509.load_pem_x509_certificate(certificate_file.read_bytes()), key)
    key_file, leaf = site.certificate("PE from AR", FEDERATION, "PE.1", ca=authority)
    # The whole path is shown, so that nothing but AR's right to sign can be missing.
    leaf.write_bytes(leaf.read_bytes() + certificate_file.read_bytes())
    return key_file, leaf


TURNED_AWAY = (
    "no certificate",
    "another authority of the same name",
    "issued by a member",
    "expired",
    "not yet valid",
    "another federation",
    "an operator's name as a member",
    "a member's name as an operator",
    "a name that only begins as a member's",
)


def context_of(site: Site, case: str) -> ssl.SSLContext:
    """Return the context of a certificate that the broker must turn away."""
    match case:
        case "no certificate":
            return site.nobody()
        case "another authority of the same name":
            files = site.certificate(case, FEDERATION, "PE.1", ca=create_ca(FEDERATION, site.now))
        case "issued by a member":
            files = issued_by_a_member(site)
        case "expired":
            files = site.certificate(case, FEDERATION, "PE.1", now=site.now - 40 * DAY, lifetime=30 * DAY)
        case "not yet valid":
            files = site.certificate(case, FEDERATION, "PE.1", now=site.now + DAY)
        case "another federation":
            files = site.certificate(case, "emea", "PE.1")
        case "an operator's name as a member":
            files = site.certificate(case, FEDERATION, "coordinator")
        case "a member's name as an operator":
            files = site.certificate(case, operators(FEDERATION), "PE.1")
        case "a name that only begins as a member's":
            files = site.certificate(case, FEDERATION, "PE.1.coordinator")
        case _:
            raise AssertionError(case)
    return site.context_of(*files)


@pytest.mark.parametrize("case", TURNED_AWAY)
async def test_a_certificate_that_is_not_the_federations_is_turned_away(broker: Site, case: str) -> None:
    context = context_of(broker, case)
    assert not await answers(broker.bootstrap, context)
    async with Reader(broker.bootstrap, context) as reader:
        with pytest.raises(Unavailable):
            await reader.probe(["ams.directory"])
    assert await answers(broker.bootstrap, broker.member(PE))


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


OTHERS = ("a member", "another generation of a member", "another operator")


@pytest.mark.parametrize("case", OTHERS)
async def test_nobody_but_the_coordinator_changes_the_cluster(broker: Site, case: str) -> None:
    rules = await broker.open_audience("attacked", [PE])
    context = {
        "a member": lambda: broker.member(PE),
        "another generation of a member": lambda: broker.member(PE, generation=2),
        "another operator": lambda: broker.context(operators(FEDERATION), "auditor"),
    }[case]()
    async with Admin(broker.bootstrap, context) as admin:
        for attempt in (
            admin.acls(),
            admin.create_acls(rules),
            admin.delete_acls(rules),
            admin.delete_topics(["ams.attacked.pe"]),
        ):
            with pytest.raises(Refused) as refused:
                await attempt
            assert refused.value.code is Code.BROKER_REFUSES
    async with Admin(broker.bootstrap, broker.operator()) as admin:
        assert rules <= await admin.acls()
        assert "ams.attacked.pe" in await admin.list_topics()
