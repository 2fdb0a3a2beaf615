"""A certificate that clients would refuse is found before Kafka starts, and the fault is named."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from almenara import clock
from almenara.bus.preflight import check_certificate
from almenara.errors import Code, Misconfigured
from almenara.trust.certificates import CertificateAuthority, create_ca, create_tls_key, issue, operators

if TYPE_CHECKING:
    from pathlib import Path

NOW = clock.now()
CA = create_ca("ams", NOW)


def files(
    folder: Path,
    *,
    organization: str = operators("ams"),
    ca: CertificateAuthority = CA,
    age: timedelta = timedelta(),
    server: bool = True,
) -> tuple[Path, Path]:
    """Return the broker's file, key and certificate, and the authority's."""
    broker = folder / "broker.pem"
    key = create_tls_key(broker)
    certificate = issue(
        ca,
        key.public_key(),
        organization=organization,
        common_name="broker",
        now=NOW - age,
        lifetime=timedelta(days=30),
        server_names=("localhost",) if server else (),
    )
    with broker.open("ab") as file:
        file.write(certificate)
    authority = folder / "ca.pem"
    authority.write_bytes(CA.pem)
    return broker, authority


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_good_certificate_tells_the_federation(tmp_path: Path, host: str) -> None:
    identity = check_certificate(*files(tmp_path), host=host)
    assert (identity.federation, identity.name) == ("ams", "broker")


def test_an_expired_certificate_is_named(tmp_path: Path) -> None:
    broker, ca = files(tmp_path, age=timedelta(days=31))
    with pytest.raises(Misconfigured, match="expired") as fault:
        check_certificate(broker, ca, host="127.0.0.1")
    assert fault.value.code is Code.CERTIFICATE_EXPIRED


def test_a_certificate_of_another_authority_is_named(tmp_path: Path) -> None:
    broker, ca = files(tmp_path, ca=create_ca("ams", NOW))
    with pytest.raises(Misconfigured, match="issue the broker's certificate again"):
        check_certificate(broker, ca, host="127.0.0.1")


def test_a_certificate_for_another_host_is_named(tmp_path: Path) -> None:
    broker, ca = files(tmp_path)
    with pytest.raises(Misconfigured, match=r"for kafka\.example"):
        check_certificate(broker, ca, host="kafka.example")


def test_a_client_certificate_is_no_brokers(tmp_path: Path) -> None:
    broker, ca = files(tmp_path, server=False)
    with pytest.raises(Misconfigured, match="issue the broker's certificate again"):
        check_certificate(broker, ca, host="127.0.0.1")


@pytest.mark.parametrize("organization", ["ams", " operators", "AMS operators", "ams operators operators"])
def test_a_certificate_that_is_no_operators_is_named(tmp_path: Path, organization: str) -> None:
    broker, ca = files(tmp_path, organization=organization)
    with pytest.raises(Misconfigured, match="its organization is"):
        check_certificate(broker, ca, host="127.0.0.1")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"broker\.pem"):
        check_certificate(tmp_path / "broker.pem", tmp_path / "ca.pem", host="127.0.0.1")
