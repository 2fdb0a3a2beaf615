"""Will clients accept the broker's certificate, and which federation is it for?

A TLS handshake with ourselves, in memory and before Java starts, finds an expired certificate, a
foreign authority or a missing name, and says which; from Java the same is a stack trace in a log.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, cast

from almenara.errors import Code, Misconfigured, Refused
from almenara.model.ids import federation_name
from almenara.trust.certificates import client_context, operators

if TYPE_CHECKING:
    from pathlib import Path

    _Subject = tuple[tuple[tuple[str, str]], ...]


class BrokerIdentity(NamedTuple):
    """Who the broker is, proven by its own certificate."""

    federation: str
    name: str
    context: ssl.SSLContext
    """Speaks to the broker as the broker itself, which may do everything."""


def check_certificate(certificate: Path, ca: Path, *, host: str) -> BrokerIdentity:
    """Return who the certificate makes the broker; the file holds its key and its chain in PEM.

    Raises Misconfigured if the two files do not work together, if clients that connect to `host`
    would not accept the certificate, or if it is not an operator's.
    """
    context = client_context(certificate=certificate, key=certificate, ca=ca)
    # load_cert_chain has just succeeded on the same file.
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    try:
        peer = _handshake(server, context, host)
    except ssl.SSLCertVerificationError as exc:
        expired = "expired" in exc.verify_message
        raise Misconfigured(
            Code.CERTIFICATE_EXPIRED if expired else Code.CONFIGURATION,
            f"{certificate}: {exc.verify_message}; issue the broker's certificate again, for {host}",
        ) from exc
    subject = {key: value for ((key, value),) in cast("_Subject", peer["subject"])}
    organization, name = subject.get("organizationName", ""), subject.get("commonName", "")
    federation = organization.removesuffix(operators(""))
    try:
        federation_name(federation)
    except Refused as exc:
        raise _not_an_operator(certificate, organization) from exc
    if organization != operators(federation):
        raise _not_an_operator(certificate, organization)
    return BrokerIdentity(federation, name, context)


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> ssl._PeerCertRetDictType:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=host)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    while True:
        with suppress(ssl.SSLWantReadError):
            ours.do_handshake()
            break
        with suppress(ssl.SSLWantReadError):
            theirs.do_handshake()
    peer = ours.getpeercert()
    if peer is None:
        raise AssertionError(host)
    return peer


def _not_an_operator(certificate: Path, organization: str) -> Misconfigured:
    return Misconfigured(
        Code.CONFIGURATION,
        f"{certificate}: its organization is {organization!r}, not {operators('<federation>')!r}; "
        "issue a broker's certificate for it",
    )
