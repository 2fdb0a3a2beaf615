"""How does a running node take up a renewed certificate, and brokers that moved, and lose nothing?

    admission.json --verified, installed--> certificate on disk --\
                                                                   +--tried--> in use, clients reconnect
    directory names other brokers --------------------------------/    |
                                                                       +--no answer--> tried again

The new way is tried over a connection of its own before the old one is left, so a certificate that
the brokers refuse, or an address at which none answers, changes nothing. The clients reconnect
one after the other. A crash anywhere starts with what is on disk.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import structlog

from almenara import clock
from almenara.bus.kafka import answers
from almenara.errors import AlmenaraError, Code, Unavailable
from almenara.node.identity import install_admission, read_certificate, require_certificate
from almenara.trust.admission import read_admission
from almenara.trust.certificates import client_context, load_renewed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from almenara.node.local import Connected
    from almenara.node.settings import MemberSettings
    from almenara.trust.directory import Directory

WARN_INTERVAL = timedelta(days=1)
"""How often the log says that a certificate is about to expire: once for each day's reader of logs."""

log = structlog.get_logger()


class Renewable(Protocol):
    """A client of the broker: a Sender or a Reader."""

    async def renew(self, bootstrap: str) -> None:
        """Use new connections from now on."""


class Renewal:
    """Watch for a renewed certificate and moved brokers, for the clients of one process.

    `installs` says that this process takes in admission.json; another of the same node only follows.
    """

    def __init__(
        self,
        settings: MemberSettings,
        *,
        connected: Connected,
        certificate: bytes,
        clients: Sequence[Renewable],
        directory: Callable[[], Directory | None],
        installs: bool,
    ) -> None:
        self._settings = settings
        self._connected = connected
        self._certificate = certificate
        self._clients = clients
        self._directory = directory
        self._installs = installs
        self._installed = self._admission_stamp()
        self._warned_at: datetime | None = None
        self._fault = ""

    async def run(self, *, stopping: asyncio.Event) -> None:
        """Look again and again until `stopping` is set."""
        while not stopping.is_set():
            try:
                if self._installs:
                    self._warn(clock.now())
                    await self._install()
                await self.follow()
            except AlmenaraError as error:
                self._say(error)
            else:
                self._fault = ""
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.renewal_poll_s):
                    await stopping.wait()

    async def follow(self) -> None:
        """Take up the certificate on disk and the directory's brokers if they are new, and answer.

        Raises Misconfigured for a certificate that cannot be used, Unavailable BROKER_DOWN; then all is
        as before.
        """
        settings, connected = self._settings, self._connected
        directory = self._directory()
        named = directory.bootstrap if directory is not None else ""
        bootstrap = settings.bootstrap or named or connected.bootstrap
        certificate = await asyncio.to_thread(read_certificate, settings)
        if (bootstrap, certificate) == (connected.bootstrap, self._certificate):
            return
        files = (settings.certificate_path, settings.tls_key_path, settings.ca_path)
        context = client_context(certificate=files[0], key=files[1], ca=files[2])
        if not await answers(bootstrap, context):
            raise Unavailable(
                Code.BROKER_DOWN,
                f"broker {bootstrap}: does not answer the renewed certificate or at the new address; the old "
                "ones stay in use until it does",
            )
        renewed = require_certificate(settings, clock.now())
        load_renewed(connected.context, certificate=files[0], key=files[1], ca=files[2])
        connected.certificate = renewed
        connected.bootstrap, self._certificate = bootstrap, certificate
        for client in self._clients:
            await client.renew(bootstrap)
        log.info(
            "connection.renewed",
            bootstrap=bootstrap,
            certificate=connected.certificate.name,
            expires=connected.certificate.expires.isoformat(),
        )

    async def _install(self) -> None:
        stamp = self._admission_stamp()
        if stamp != self._installed:
            admission = await asyncio.to_thread(read_admission, self._settings.admission_path)
            await asyncio.to_thread(install_admission, self._settings, admission)
            self._installed = stamp
            log.info("admission.installed", issued_at=admission.issued_at.isoformat())

    def _admission_stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._settings.admission_path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def _warn(self, now: datetime) -> None:
        certificate = self._connected.certificate
        due = certificate.renewal_due(now)
        if due and (self._warned_at is None or now - self._warned_at >= WARN_INTERVAL):
            self._warned_at = now
            log.warning(
                "certificate.expires_soon",
                certificate=certificate.name,
                expires=certificate.expires.isoformat(),
                do="almenara member renew",
            )

    def _say(self, error: AlmenaraError) -> None:
        # Once for each fault, however often it is met.
        if error.text != self._fault:
            log.warning("connection.not_renewed", code=error.code, error=error.text)
        self._fault = error.text
