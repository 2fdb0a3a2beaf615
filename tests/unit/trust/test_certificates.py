"""TLS: who is let in, with real handshakes in memory, and what certificates may say."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from almenara import clock
from almenara.errors import Code, Misconfigured, Refused
from almenara.trust.certificates import (
    CA_LIFETIME,
    LIFETIME_MAX,
    CertificateAuthority,
    client_context,
    create_ca,
    create_tls_key,
    create_tls_request,
    expires_at,
    issue,
    issue_for_request,
    load_ca,
    load_certificate,
    load_tls_key,
    member_name,
    operators,
    save_ca,
    save_certificate,
)
from almenara.trust.secretfile import write_secret
from unit.trust.federation import PE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
CA = create_ca("ams", NOW)


def request_of(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "US.1")])
    algorithm = None if isinstance(key, Ed25519PrivateKey) else SHA256()
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .sign(key, algorithm)
        .public_bytes(Encoding.PEM)
    )


def member_certificate(tmp_path: Path, *, now: datetime = NOW) -> x509.Certificate:
    request = create_tls_request(PE, tmp_path / "tls.key")
    pem = issue_for_request(CA, request, organization="ams", common_name=member_name(PE, 1), now=now)
    return load_certificate(pem)


def test_a_members_certificate_names_federation_member_and_generation(tmp_path: Path) -> None:
    certificate = member_certificate(tmp_path)
    assert certificate.subject.rfc4514_string() == "CN=PE.1,O=ams"
    assert certificate.public_key() == load_tls_key(tmp_path / "tls.key").public_key()
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_coordinator_decides_the_subject_whatever_the_request_says() -> None:
    request = request_of(ec.generate_private_key(ec.SECP256R1()))
    assert b"US.1" in x509.load_pem_x509_csr(request).subject.public_bytes()
    pem = issue_for_request(CA, request, organization="ams", common_name="PE.2", now=NOW)
    assert load_certificate(pem).subject.rfc4514_string() == "CN=PE.2,O=ams"


def test_a_servers_certificate_is_good_for_its_names_and_loopback() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = issue(
        CA,
        key.public_key(),
        organization=operators("ams"),
        common_name="broker-1",
        now=NOW,
        server_names=("broker-1.example", "10.0.0.7", "localhost"),
    )
    certificate = load_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "broker-1.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "10.0.0.7"]
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert certificate.subject.rfc4514_string() == "CN=broker-1,O=ams operators"


def test_a_certificate_lives_for_ninety_days_at_most_and_begins_a_little_early(tmp_path: Path) -> None:
    certificate = member_certificate(tmp_path)
    assert expires_at(certificate.public_bytes(Encoding.PEM)) == NOW + LIFETIME_MAX
    assert certificate.not_valid_before_utc < NOW
    with pytest.raises(Misconfigured, match="at most 90") as refusal:
        issue(
            CA,
            certificate.public_key(),
            organization="ams",
            common_name="PE.1",
            now=NOW,
            lifetime=LIFETIME_MAX + timedelta(days=1),
        )
    assert refusal.value.code is Code.CONFIGURATION


def test_no_certificate_outlives_its_authority(tmp_path: Path) -> None:
    late = NOW + CA_LIFETIME - timedelta(days=3)
    assert member_certificate(tmp_path, now=late).not_valid_after_utc == CA.certificate.not_valid_after_utc


def forged_request() -> bytes:
    mine, theirs = (
        x509.load_pem_x509_csr(request_of(ec.generate_private_key(ec.SECP256R1()))) for _ in range(2)
    )
    # Same structure and lengths: put the other's signed part under this signature.
    der = theirs.public_bytes(Encoding.DER)
    body_at = der.index(theirs.tbs_certrequest_bytes)
    forged = der[:body_at] + mine.tbs_certrequest_bytes + der[body_at + len(theirs.tbs_certrequest_bytes) :]
    return x509.load_der_x509_csr(forged).public_bytes(Encoding.PEM)


NO_REQUESTS: dict[str, Callable[[], bytes]] = {
    "Ed25519": lambda: request_of(Ed25519PrivateKey.generate()),
    "P-384": lambda: request_of(ec.generate_private_key(ec.SECP384R1())),
    "not PEM": lambda: b"a request",
    "signed by another key": forged_request,
}


@pytest.mark.parametrize("request_pem", NO_REQUESTS.values(), ids=NO_REQUESTS.keys())
def test_a_request_that_proves_no_fitting_key_is_refused(request_pem: Callable[[], bytes]) -> None:
    with pytest.raises(Refused) as refusal:
        issue_for_request(CA, request_pem(), organization="ams", common_name="PE.1", now=NOW)
    assert refusal.value.code is Code.FORMAT


def test_tls_keys_are_pkcs8_pem_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "tls.key"
    create_tls_key(path)
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(Misconfigured, match="exists already"):
        create_tls_request(PE, path)


NO_KEYS: dict[str, bytes] = {
    "not PEM": b"a key",
    "Ed25519": Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "encrypted": ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    ),
}


@pytest.mark.parametrize("data", NO_KEYS.values(), ids=NO_KEYS.keys())
def test_a_file_that_gives_no_tls_key_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tls.key"
    write_secret(path, data)
    with pytest.raises(Misconfigured, match=str(path)) as refusal:
        load_tls_key(path)
    assert refusal.value.code is Code.KEY_UNREADABLE


def test_the_authority_comes_back_from_its_files(tmp_path: Path) -> None:
    save_ca(CA, certificate=tmp_path / "ca.pem", key=tmp_path / "ca.key")
    loaded = load_ca(certificate=tmp_path / "ca.pem", key=tmp_path / "ca.key")
    assert loaded.pem == CA.pem
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ca.pem").stat().st_mode & 0o777 == 0o644


def test_an_authority_of_two_files_that_do_not_belong_together_is_refused(tmp_path: Path) -> None:
    save_ca(CA, certificate=tmp_path / "ca.pem", key=tmp_path / "ca.key")
    save_certificate(tmp_path / "ca.pem", create_ca("ams", NOW).pem)
    with pytest.raises(Misconfigured, match="does not belong to") as refusal:
        load_ca(certificate=tmp_path / "ca.pem", key=tmp_path / "ca.key")
    assert refusal.value.code is Code.CONFIGURATION


def test_a_certificate_that_is_missing_or_none_is_named(tmp_path: Path) -> None:
    create_tls_key(tmp_path / "ca.key")
    with pytest.raises(Misconfigured, match="No such file"):
        load_ca(certificate=tmp_path / "ca.pem", key=tmp_path / "ca.key")
    with pytest.raises(Misconfigured, match="not a certificate in PEM"):
        expires_at(b"a certificate")


class Peer:
    """One end of a TLS connection held in memory."""

    def __init__(self, context: ssl.SSLContext, *, server: bool, name: str | None = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server, server_hostname=name)

    def step(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True


def handshake(server: Peer, client: Peer) -> None:
    """Shake hands to the end on both sides, and let the client read what the server thinks of it."""
    done = False
    while not done:
        client_done = client.step()
        server.incoming.write(client.outgoing.read())
        done = server.step() and client_done
        client.incoming.write(server.outgoing.read())


class Site:
    """A broker's end, and the files of a member that wants in."""

    def __init__(self, folder: Path, *, now: datetime) -> None:
        self.now = now
        self.folder = folder
        self.ca = create_ca("ams", now)
        save_certificate(folder / "ca.pem", self.ca.pem)
        self.certify(self.ca, "broker", organization=operators("ams"), server_names=("broker.example",))
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.verify_mode = ssl.CERT_REQUIRED
        self.server.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        self.server.load_verify_locations(folder / "ca.pem")
        self.server.load_cert_chain(folder / "broker.pem", folder / "broker.key")

    def certify(
        self,
        ca: CertificateAuthority,
        name: str,
        *,
        organization: str = "ams",
        now: datetime | None = None,
        server_names: tuple[str, ...] = (),
    ) -> None:
        key = create_tls_key(self.folder / f"{name}.key")
        pem = issue(
            ca,
            key.public_key(),
            organization=organization,
            common_name=f"{name}.1",
            now=now or self.now,
            server_names=server_names,
        )
        save_certificate(self.folder / f"{name}.pem", pem)

    def client(self, name: str) -> ssl.SSLContext:
        return client_context(
            certificate=self.folder / f"{name}.pem",
            key=self.folder / f"{name}.key",
            ca=self.folder / "ca.pem",
        )

    def connect(self, context: ssl.SSLContext, host: str = "127.0.0.1") -> ssl.SSLObject:
        """Return the server's end of a connection."""
        server = Peer(self.server, server=True)
        handshake(server, Peer(context, server=False, name=host))
        return server.tls


@pytest.fixture
def site(tmp_path: Path) -> Site:
    # TLS reads the machine's clock, so these certificates are made for today.
    return Site(tmp_path, now=clock.now())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "broker.example"])
def test_a_members_certificate_opens_a_connection_under_its_name(site: Site, host: str) -> None:
    site.certify(site.ca, "PE")
    peer = site.connect(site.client("PE"), host).getpeercert()
    assert peer is not None
    assert peer["subject"] == ((("organizationName", "ams"),), (("commonName", "PE.1"),))


def test_a_server_of_another_name_is_not_spoken_to(site: Site) -> None:
    site.certify(site.ca, "PE")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        site.connect(site.client("PE"), "elsewhere.example")


def test_a_server_of_another_authority_is_not_spoken_to(site: Site) -> None:
    site.certify(site.ca, "PE")
    save_certificate(site.folder / "ca.pem", create_ca("ams", site.now).pem)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        site.connect(site.client("PE"))


def test_a_member_is_no_server(site: Site) -> None:
    site.certify(site.ca, "PE")
    site.certify(site.ca, "AR")
    site.server.load_cert_chain(site.folder / "AR.pem", site.folder / "AR.key")
    with pytest.raises(ssl.SSLCertVerificationError, match="unsuitable certificate purpose"):
        site.connect(site.client("PE"))


def test_old_tls_versions_are_not_spoken(site: Site) -> None:
    site.certify(site.ca, "PE")
    assert site.client("PE").minimum_version == ssl.TLSVersion.TLSv1_2
    assert site.client("PE").check_hostname
    assert site.client("PE").verify_mode is ssl.CERT_REQUIRED


CERTIFICATES_REFUSED: dict[str, Callable[[Site], None]] = {
    "of another authority": lambda site: site.certify(create_ca("ams", site.now), "PE"),
    "expired": lambda site: site.certify(site.ca, "PE", now=site.now - LIFETIME_MAX - timedelta(hours=1)),
    "not valid yet": lambda site: site.certify(site.ca, "PE", now=site.now + timedelta(hours=1)),
}


@pytest.mark.parametrize("certify", CERTIFICATES_REFUSED.values(), ids=CERTIFICATES_REFUSED.keys())
def test_the_server_refuses_a_certificate(site: Site, certify: Callable[[Site], None]) -> None:
    certify(site)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        site.connect(site.client("PE"))


def test_the_server_refuses_a_client_without_a_certificate(site: Site) -> None:
    anonymous = ssl.create_default_context(cafile=str(site.folder / "ca.pem"))
    with pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
        site.connect(anonymous)


def test_a_context_is_not_made_of_files_that_do_not_fit(site: Site) -> None:
    site.certify(site.ca, "PE")
    site.certify(site.ca, "AR")
    (site.folder / "AR.key").replace(site.folder / "PE.key")
    with pytest.raises(Misconfigured, match="do not work together"):
        site.client("PE")
    (site.folder / "PE.pem").unlink()
    with pytest.raises(Misconfigured, match="do not work together"):
        site.client("PE")


def test_a_context_is_not_made_of_a_key_that_others_can_read(site: Site) -> None:
    site.certify(site.ca, "PE")
    (site.folder / "PE.key").chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        site.client("PE")


def test_a_renewed_certificate_takes_effect_in_the_live_context(site: Site) -> None:
    site.certify(site.ca, "PE")
    live = site.client("PE")
    before = site.connect(live).getpeercert()
    pem = issue(
        site.ca,
        load_tls_key(site.folder / "PE.key").public_key(),
        organization="ams",
        common_name="PE.2",
        now=site.now,
    )
    save_certificate(site.folder / "PE.pem", pem)
    live.load_cert_chain(site.folder / "PE.pem", site.folder / "PE.key")
    after = site.connect(live).getpeercert()
    assert before is not None
    assert after is not None
    assert before["subject"][1] == (("commonName", "PE.1"),)
    assert after["subject"][1] == (("commonName", "PE.2"),)
