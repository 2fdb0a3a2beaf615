"""Who may open a connection: the federation's TLS authority, the certificates it issues, their use.

Certificates admit to the cluster and nothing more; what a member says is proven by its signing
key. All keys are P-256 because Kafka's PEM loader refuses Ed25519. A member's subject is
O=<federation>, CN=<member>.<generation>: ACLs name the generation, so that a stolen certificate
is cut off by the next one. Operators and brokers stand under O=<federation> operators.
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from almenara.errors import Code, Misconfigured, Refused
from almenara.trust.secretfile import read_secret, replace_file, unreadable, write_secret

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from almenara.model.ids import MemberId

LIFETIME_MAX = timedelta(days=90)
"""The longest a certificate may live (DESIGN 4, keys per member)."""

CA_LIFETIME = timedelta(days=10 * 365)
"""The authority outlives many certificates; replacing it touches every member."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""Certificates begin this much in the past, so that a peer whose clock is late accepts them."""

LOCAL_NAMES = ("localhost", "127.0.0.1")
"""What every server certificate is also good for: the loopback of its own machine."""

_PUBLIC_MODE = 0o644


class CertificateAuthority(NamedTuple):
    """The federation's TLS authority: its certificate, and the key that never leaves the coordinator."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Return the certificate that everyone trusts, in PEM."""
        return self.certificate.public_bytes(Encoding.PEM)


def operators(federation: str) -> str:
    """Return the organization of operators and brokers, which no member's ACL can name."""
    return f"{federation} operators"


def member_name(member: MemberId, generation: int) -> str:
    """Return the common name of a member's certificate of that generation, `PE.1`."""
    return f"{member}.{generation}"


def create_ca(federation: str, now: datetime) -> CertificateAuthority:
    """Return a new authority for the federation, valid for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(federation, f"{federation} certificate authority")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return CertificateAuthority(certificate, key)


def issue(
    ca: CertificateAuthority,
    public_key: CertificatePublicKeyTypes,
    *,
    organization: str,
    common_name: str,
    now: datetime,
    lifetime: timedelta = LIFETIME_MAX,
    server_names: Sequence[str] = (),
) -> bytes:
    """Return a client certificate in PEM; with server names one for a server that is also a client.

    A server's certificate is good for localhost and 127.0.0.1 too. Raises Refused FORMAT if the
    key is not P-256, Misconfigured CONFIGURATION if the lifetime is above 90 days.
    """
    if lifetime > LIFETIME_MAX:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"certificate of {common_name}: lifetime of {lifetime.days} days; ask for at most "
            f"{LIFETIME_MAX.days}",
        )
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(
        public_key.curve, ec.SECP256R1
    ):
        raise Refused(Code.FORMAT, f"certificate of {common_name}: its key is not P-256; make a P-256 key")
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if server_names:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(organization, common_name))
        .issuer_name(ca.certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(min(now + lifetime, ca.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
        )
    )
    if server_names:
        names = dict.fromkeys((*LOCAL_NAMES, *server_names))
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
        )
    return builder.sign(ca.key, SHA256()).public_bytes(Encoding.PEM)


def issue_for_request(
    ca: CertificateAuthority,
    request_pem: bytes,
    *,
    organization: str,
    common_name: str,
    now: datetime,
    lifetime: timedelta = LIFETIME_MAX,
) -> bytes:
    """Return a client certificate in PEM for the key of a signing request.

    The subject is what the coordinator says, never what the request says. Raises Refused FORMAT if
    the request is not one, is not signed by its own key, or its key is not P-256.
    """
    try:
        request = x509.load_pem_x509_csr(request_pem)
    except ValueError as exc:
        raise Refused(
            Code.FORMAT, f"certificate request of {common_name}: not a PEM request; enrol again"
        ) from exc
    if not request.is_signature_valid:
        raise Refused(
            Code.FORMAT, f"certificate request of {common_name}: not signed by its own key; enrol again"
        )
    return issue(
        ca,
        request.public_key(),
        organization=organization,
        common_name=common_name,
        now=now,
        lifetime=lifetime,
    )


def create_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Create a P-256 key and its file, PKCS#8 PEM in clear, mode 0600: what Kafka's loader takes.

    Raises Misconfigured CONFIGURATION if the file exists or cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    write_secret(path, _key_pem(key))
    return key


def create_tls_request(member: MemberId, key_path: Path) -> bytes:
    """Create the member's TLS key file and return its certificate request in PEM.

    The key stays where it is; only the request travels. Raises Misconfigured CONFIGURATION if the
    key file exists or cannot be written.
    """
    return tls_request(member, create_tls_key(key_path))


def tls_request(member: MemberId, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate request in PEM for a key that the member holds."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, member)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    return request.public_bytes(Encoding.PEM)


def save_certificate(path: Path, pem: bytes) -> None:
    """Write a certificate to a file, new or in place of the one it renews; raise OSError if it cannot."""
    replace_file(path, pem, mode=_PUBLIC_MODE)


def save_ca(ca: CertificateAuthority, *, certificate: Path, key: Path) -> None:
    """Write a new authority to its two files; raise Misconfigured if the key's file exists already."""
    write_secret(key, _key_pem(ca.key))
    save_certificate(certificate, ca.pem)


def load_ca(*, certificate: Path, key: Path) -> CertificateAuthority:
    """Return the authority of two files; raise Misconfigured if they do not give one."""
    private = load_tls_key(key)
    loaded = load_certificate(_read_certificate(certificate))
    if loaded.public_key() != private.public_key():
        raise _not_a_certificate(f"{certificate} does not belong to {key}")
    return CertificateAuthority(loaded, private)


def load_tls_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of a PEM file; raise Misconfigured KEY_UNREADABLE if it does not give one."""
    try:
        key = load_pem_private_key(read_secret(path), password=None)
    except (ValueError, TypeError) as exc:
        raise unreadable(path, "not a private key in clear PEM", "name the TLS key file") from exc
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise unreadable(path, "not a P-256 key", "name the TLS key file")
    return key


def public_spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the SubjectPublicKeyInfo of the key's public half, in DER."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def load_certificate(pem: bytes) -> x509.Certificate:
    """Return the certificate in PEM; raise Misconfigured CONFIGURATION if it is not one."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as exc:
        raise _not_a_certificate("not a certificate in PEM") from exc


def expires_at(certificate_pem: bytes) -> datetime:
    """Return when the certificate expires; raise Misconfigured CONFIGURATION if it is not one."""
    return load_certificate(certificate_pem).not_valid_after_utc


def client_context(*, certificate: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """Return a context that proves who we are and trusts servers of this authority alone.

    Raises Misconfigured if a file is missing or the key is open to others.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_renewed(context, certificate=certificate, key=key, ca=ca)
    return context


def load_renewed(context: ssl.SSLContext, *, certificate: Path, key: Path, ca: Path) -> None:
    """Load a certificate into a live context, for the connections that are opened from now on.

    Open ones outlive their certificate: reconnect them. To be tried on a context of its own first, for
    a fault leaves this one without a certificate. Raises Misconfigured as `client_context`.
    """
    read_secret(key)
    try:
        context.load_verify_locations(cadata=_read_certificate(ca).decode("ascii", "replace"))
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as exc:
        raise _not_a_certificate(f"{certificate}, {key} and {ca} do not work together ({exc})") from exc


def _read_certificate(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise _not_a_certificate(f"{path} cannot be read ({exc.strerror})") from exc


def _not_a_certificate(fault: str) -> Misconfigured:
    return Misconfigured(Code.CONFIGURATION, f"certificate: {fault}; ask the coordinator for it again")


def _name(organization: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
