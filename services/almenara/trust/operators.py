"""How do brokers and coordinators get their key and certificate, in one PEM file as Kafka wants them?

They stand under another organization than members, so that no member's certificate can become
theirs. Key and certificate are renewed together: nothing but this file knows the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from almenara.errors import Code, Misconfigured
from almenara.trust.certificates import LIFETIME_MAX, expires_at, issue, operators
from almenara.trust.secretfile import read_secret, replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from almenara.trust.certificates import CertificateAuthority

RENEWAL_TIME = LIFETIME_MAX / 3
"""How long before its end a certificate is renewed: a month, so that a missed restart does no harm."""


def issue_operator(
    path: Path,
    *,
    ca: CertificateAuthority,
    federation: str,
    name: str,
    now: datetime,
    server_names: Sequence[str] = (),
) -> None:
    """Write a new key and its certificate to a file of mode 0600, in place of the one it renews.

    With server names it is a server's too. Raises Misconfigured CONFIGURATION if it cannot be written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue(
        ca,
        key.public_key(),
        organization=operators(federation),
        common_name=name,
        now=now,
        server_names=server_names,
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        replace_file(path, private + certificate)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{path}: cannot be written ({exc.strerror}); correct its owner or free space"
        ) from exc


def renewal_due(path: Path, now: datetime) -> bool:
    """Tell whether the certificate of a file ends within a month.

    Raises Misconfigured if the file does not give a certificate or is open to others.
    """
    return now >= expires_at(read_secret(path)) - RENEWAL_TIME
