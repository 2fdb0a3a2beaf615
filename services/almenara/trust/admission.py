"""What does the coordinator hand to a member that it admits, and does it belong to that member?

`admission.json` holds nothing secret: the member's TLS certificate, the authority to trust, the
first root of the directory, and the directory's files of that moment, so that a node can start
before it has reached a broker. Whoever can replace the file can replace the root, so people compare
the root's fingerprint, over the telephone, with the one that `almenara federation show` prints.
"""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from almenara.errors import Code, Misconfigured, Refused
from almenara.model.ids import MemberId, federation_name, member_id
from almenara.trust.certificates import load_certificate, load_tls_key
from almenara.trust.refresh import refresh, root_fingerprint
from almenara.trust.targets import build_directory

if TYPE_CHECKING:
    from cryptography import x509

    from almenara.trust.directory import Directory

ADMISSION_MAX = 64 * 1024 * 1024
"""Bytes of an admission: 192 members of 6 KiB, in base64, are below 2 MiB; this only stops a mistake."""

RENEWAL_TIME = timedelta(days=14)
"""How long before its end a certificate is due for renewal: two weeks of holidays and post."""


class Admission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `admission.json` says; `directory` has the names of the directory topic's keys."""

    federation: str
    member: str
    issued_at: datetime
    certificate: str
    ca: str
    bootstrap: str
    root: bytes
    directory: dict[str, bytes]

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the directory's first root, to be compared by hand."""
        return root_fingerprint(self.root)

    def to_bytes(self) -> bytes:
        """Return the bytes of the file."""
        return msgspec.json.format(msgspec.json.encode(self)) + b"\n"


# Made with the module: two threads that first decode a type at once crash msgspec (model/messages.py).
_ADMISSION = msgspec.json.Decoder(Admission)


class MemberCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What the certificate of a member says that the node must know."""

    federation: str
    name: str
    begins: datetime
    expires: datetime

    def require_valid(self, now: datetime, *, source: Path) -> None:
        """Return if the certificate still opens a connection; raise Misconfigured CERTIFICATE_EXPIRED."""
        if now >= self.expires:
            raise Misconfigured(
                Code.CERTIFICATE_EXPIRED,
                f"{source}: the certificate {self.name} expired {self.expires:%Y-%m-%d %H:%MZ}; run "
                "almenara member renew, let the coordinator admit what it writes (almenara member admit) "
                "and put the new admission.json in its place",
            )

    def renewal_due(self, now: datetime) -> bool:
        """Tell whether it is time to ask the coordinator for the next certificate."""
        return now >= self.expires - RENEWAL_TIME


def read_admission(path: Path) -> Admission:
    """Return the admission of a file, not yet verified.

    Raises Misconfigured CONFIGURATION, saying how to get one, if it is missing or not an admission.
    """
    try:
        with path.open("rb") as file:
            data = file.read(ADMISSION_MAX + 1)
    except FileNotFoundError as exc:
        raise _wrong(
            path,
            "no such file",
            "send enrolment.json to the coordinator, who runs: almenara member admit enrolment.json "
            "--federation D; and put the admission.json that this makes here",
        ) from exc
    except OSError as exc:
        raise _wrong(path, f"cannot be read ({exc.strerror})", "correct its owner or the path") from exc
    if len(data) > ADMISSION_MAX:
        raise _wrong(path, f"more than {ADMISSION_MAX} bytes", "name the coordinator's file")
    try:
        admission = _ADMISSION.decode(data)
        federation_name(admission.federation)
        member_id(admission.member)
    except (msgspec.DecodeError, UnicodeDecodeError, Refused) as exc:
        raise _wrong(path, f"not an admission ({exc})", "ask the coordinator for it again") from exc
    return admission


def read_member_certificate(pem: bytes, *, ca: bytes) -> MemberCertificate:
    """Return what a certificate says, once the authority's signature on it has been seen.

    Raises Misconfigured CONFIGURATION if it is not a certificate of that authority.
    """
    certificate = load_certificate(pem)
    try:
        certificate.verify_directly_issued_by(load_certificate(ca))
    except (ValueError, TypeError, InvalidSignature) as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            "certificate: not issued by the authority beside it; ask the coordinator for both again",
        ) from exc
    return MemberCertificate(
        federation=_part(certificate.subject, NameOID.ORGANIZATION_NAME),
        name=_part(certificate.subject, NameOID.COMMON_NAME),
        begins=certificate.not_valid_before_utc,
        expires=certificate.not_valid_after_utc,
    )


def verify_admission(
    admission: Admission, *, federation: str, member: MemberId, tls_key: Path, source: Path
) -> Directory:
    """Return the directory of the admission, once all of it has been seen to be this member's.

    The files are judged as of the moment when they were issued: an admission may have lain for days,
    and a node looks for a newer directory anyway. Raises Misconfigured naming `source` if it is for
    another member or key, DirectoryRefused if the files do not prove themselves.
    """
    if (admission.federation, admission.member) != (federation, member):
        raise _wrong(
            source,
            f"for {admission.member} of federation {admission.federation}, not {member} of {federation}",
            "put this member's own admission here, or name the other member.toml",
        )
    certificate = load_certificate(admission.certificate.encode())
    if certificate.public_key() != load_tls_key(tls_key).public_key():
        raise _wrong(
            source,
            f"its certificate does not belong to {tls_key}",
            "run almenara member renew, and send what it writes to the coordinator",
        )
    seen = read_member_certificate(admission.certificate.encode(), ca=admission.ca.encode())
    if seen.federation != federation or seen.name.rpartition(".")[0] != member:
        raise _wrong(
            source,
            f"its certificate is that of {seen.name} of {seen.federation}",
            "ask the coordinator for it again",
        )
    with tempfile.TemporaryDirectory(prefix="almenara-") as cache:
        verified = refresh(
            admission.directory, cache=Path(cache), root=admission.root, now=admission.issued_at
        )
    directory = build_directory(verified)
    if directory.federation != federation:
        raise _wrong(source, f"its directory is that of {directory.federation}", "ask the coordinator again")
    if member not in directory.members:
        raise _wrong(source, f"its directory does not list {member}", "ask the coordinator to admit it again")
    return directory


def certifies(admission: Admission, tls_key: Path) -> bool:
    """Tell whether the admission's certificate is for the key of this file, if there is one.

    Raises Misconfigured if either is there and cannot be read.
    """
    certificate = load_certificate(admission.certificate.encode())
    return tls_key.exists() and certificate.public_key() == load_tls_key(tls_key).public_key()


def is_newer(certificate: MemberCertificate, installed: MemberCertificate) -> bool:
    """Tell whether a certificate was issued after the one installed."""
    return certificate.begins > installed.begins


def _part(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    values = [attribute.value for attribute in name.get_attributes_for_oid(oid)]
    return str(values[0]) if len(values) == 1 else ""


def _wrong(source: Path, fault: str, remedy: str) -> Misconfigured:
    return Misconfigured(Code.CONFIGURATION, f"{source}: {fault}; {remedy}")
