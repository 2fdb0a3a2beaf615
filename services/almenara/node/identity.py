"""Who is this node: which keys, certificate and root does it begin with?

The coordinator's `admission.json` is taken in at every start. It may be there again with a renewed
certificate; taking in the same one, or an older one, changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from almenara.crash import Point, crash_point
from almenara.errors import Code, DirectoryRefused, Misconfigured
from almenara.node.settings import FILE_URI
from almenara.trust.admission import (
    certifies,
    is_newer,
    read_admission,
    read_member_certificate,
    verify_admission,
)
from almenara.trust.certificates import client_context, save_certificate
from almenara.trust.enrolment import read_enrolment
from almenara.trust.keys import load_checkpoint_key, load_sealing_key
from almenara.trust.keyuri import open_signer
from almenara.trust.secretfile import move_file, read_secret, replace_file

if TYPE_CHECKING:
    import ssl
    from datetime import datetime
    from pathlib import Path

    from almenara.node.settings import MemberSettings
    from almenara.trust.admission import Admission, MemberCertificate
    from almenara.trust.directory import Directory
    from almenara.trust.keys import CheckpointKey, SealingKey
    from almenara.trust.keyuri import Signer

_PUBLIC_MODE = 0o644


class MemberKeys(NamedTuple):
    """The private keys of a member, those that its settings name first.

    The directory says which of them signs, and to which of them others seal; any may open.
    """

    signing: tuple[Signer, ...]
    sealing: tuple[SealingKey, ...]
    checkpoint: tuple[CheckpointKey, ...] = ()


class Identity(NamedTuple):
    """Who a node is, and where it begins."""

    keys: MemberKeys
    context: ssl.SSLContext
    certificate: bytes
    """The TLS certificate in the context, in PEM: a newer one on disk is to be taken up."""
    root: bytes
    """The first root of the directory, from which every refresh proves itself."""
    bootstrap: str
    """Where the brokers were when the member was admitted, or where a person says they are."""
    directory: Directory
    """The directory at admission: enough to begin with, older than what the broker holds."""


def open_member(settings: MemberSettings, *, now: datetime) -> Identity:
    """Return what a node needs to begin, installing the admission in the folder first.

    Raises Misconfigured, naming the file and what to do, for an admission that is missing or not
    this member's, a certificate that has expired, and keys that cannot be read.
    """
    admission = read_admission(settings.admission_path)
    directory = install_admission(settings, admission)
    require_certificate(settings, now)
    # Read first: if it is renewed in between, it is merely taken up once more.
    certificate = read_certificate(settings)
    context = client_context(
        certificate=settings.certificate_path, key=settings.tls_key_path, ca=settings.ca_path
    )
    return Identity(
        keys=load_keys(settings),
        context=context,
        certificate=certificate,
        root=admission.root,
        bootstrap=settings.bootstrap or admission.bootstrap,
        directory=directory,
    )


def install_admission(settings: MemberSettings, admission: Admission) -> Directory:
    """Take certificate, authority and root from an admission, and return the directory it brings.

    Installing the same one again changes nothing, and an older certificate never replaces a newer
    one. A key that waits for its certificate (`member renew --new-key`) takes its place with it. Raises
    what `verify_admission` raises, and Misconfigured CONFIGURATION if another root was installed
    before: a member joins one directory, once.
    """
    waiting = settings.next_tls_key_path
    tls_key = waiting if certifies(admission, waiting) else settings.tls_key_path
    directory = verify_admission(
        admission,
        federation=settings.federation,
        member=settings.member,
        tls_key=tls_key,
        source=settings.admission_path,
    )
    ca = admission.ca.encode()
    try:
        if settings.root_path.exists() and settings.root_path.read_bytes() != admission.root:
            raise Misconfigured(
                Code.CONFIGURATION,
                f"{settings.admission_path}: its directory has another root than {settings.root_path}; "
                "compare fingerprints with the coordinator, and remove that file only if this one is right",
            )
        if not settings.root_path.exists():
            replace_file(settings.root_path, admission.root, mode=_PUBLIC_MODE)
        incoming = read_member_certificate(admission.certificate.encode(), ca=ca)
        installed = (settings.certificate_path, settings.ca_path)
        if not all(path.exists() for path in installed) or is_newer(
            incoming,
            read_member_certificate(installed[0].read_bytes(), ca=installed[1].read_bytes()),
        ):
            if tls_key == waiting:
                # A crash after this leaves an older certificate beside its successor's key: the next
                # start finds the admission newer, and goes on from here.
                move_file(waiting, settings.tls_key_path)
            save_certificate(settings.ca_path, ca)
            crash_point(Point.CERTIFICATE_HALF)
            save_certificate(settings.certificate_path, admission.certificate.encode())
            crash_point(Point.CERTIFICATE_INSTALLED)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{settings.keys}: cannot be read or written ({exc.strerror}); correct its owner or free space",
        ) from exc
    return directory


def require_certificate(settings: MemberSettings, now: datetime) -> MemberCertificate:
    """Return the installed certificate, which still opens a connection.

    Raises Misconfigured CERTIFICATE_EXPIRED, or CONFIGURATION if there is none to judge.
    """
    pem, ca = read_certificate(settings), _read_installed(settings.ca_path)
    certificate = read_member_certificate(pem, ca=ca)
    certificate.require_valid(now, source=settings.certificate_path)
    return certificate


def read_certificate(settings: MemberSettings) -> bytes:
    """Return the installed certificate in PEM; raise Misconfigured CONFIGURATION if there is none."""
    return _read_installed(settings.certificate_path)


def _read_installed(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{path}: cannot be read ({exc.strerror}); put the coordinator's admission.json here again",
        ) from exc


def load_keys(settings: MemberSettings) -> MemberKeys:
    """Return the member's private keys.

    Raises Misconfigured KEY_UNREADABLE if a file or token does not give one, Unavailable KEY_AWAY if
    the token is not there.
    """
    passphrase = read_passphrase(settings.passphrase_file)
    signing = [settings.signing_key_uri]
    if settings.signing_key_path is not None:
        signing = [f"{FILE_URI}{path}" for path in beside(settings.signing_key_path)]
    if settings.next_signing_key_uri:
        signing.append(settings.next_signing_key_uri)
    return MemberKeys(
        signing=tuple(open_signer(uri, passphrase=passphrase) for uri in signing),
        sealing=tuple(
            load_sealing_key(path, passphrase=passphrase) for path in beside(settings.sealing_key_path)
        ),
        checkpoint=tuple(
            load_checkpoint_key(path, passphrase=passphrase)
            for path in (settings.checkpoint_key_path,)
            if path.exists()
        ),
    )


def beside(path: Path) -> tuple[Path, ...]:
    """Return a key file and those beside it whose names begin as its own: `signing-*.json`, newest first.

    A rotation leaves more than one for a time. The first is left out where only others are there: a
    crash between two renames (rotation.py).
    """
    others = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"), reverse=True)
    return (path, *others) if path.exists() or not others else tuple(others)


def own_enrolment(settings: MemberSettings) -> bytes:
    """Return the digest of the enrolment that stands in the member's folder, empty if there is none.

    Whoever can write there speaks for the member: this node needs no delay before it believes it.
    """
    try:
        return read_enrolment(settings.enrolment_path.read_bytes()).signed.digest
    except (OSError, DirectoryRefused):
        return b""


def read_passphrase(path: Path | None) -> bytes | None:
    """Return the first line of a file of mode 0600, None if no file is given.

    Raises Misconfigured KEY_UNREADABLE if it cannot be read, is open to others or empty.
    """
    if path is None:
        return None
    first, _, _ = read_secret(path).partition(b"\n")
    if not first:
        raise Misconfigured(Code.KEY_UNREADABLE, f"{path}: empty; write the passphrase on its first line")
    return first
