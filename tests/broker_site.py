"""A federation's real broker for tests: its authority, its certificates, one embedded Kafka."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import TYPE_CHECKING

from almenara import clock
from almenara.bus.admin import Admin
from almenara.bus.broker import Broker
from almenara.bus.principals import BROKER, COORDINATOR
from almenara.bus.topics import stream_acls, stream_topic
from almenara.model.ids import AudienceId, Stream
from almenara.trust.certificates import (
    CertificateAuthority,
    client_context,
    create_ca,
    create_tls_key,
    issue,
    member_name,
    operators,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from almenara.bus.topics import AclRule
    from almenara.model.ids import MemberId

FEDERATION = "ams"


class Site:
    """The certificates of a federation under a folder, and the broker over the same folder.

    With the authority and the broker of a federation that was founded already it makes none. Of three
    `nodes` of the broker each holds every record.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ca: CertificateAuthority | None = None,
        broker: Broker | None = None,
        nodes: int | None = None,
    ) -> None:
        self.folder = folder
        self.now = clock.now()
        self.ca = ca or create_ca(FEDERATION, self.now)
        self.broker = broker or self._new_broker(nodes)
        self._contexts: dict[str, ssl.SSLContext] = {}

    def _new_broker(self, nodes: int | None) -> Broker:
        broker = Broker(self.folder, nodes=nodes)
        broker.folder.mkdir(parents=True)
        (broker.folder / "ca.pem").write_bytes(self.ca.pem)
        key, certificate = self.certificate("broker", operators(FEDERATION), BROKER, server=True)
        place = broker.folder / "broker.pem"
        place.touch(mode=0o600)
        place.write_bytes(key.read_bytes() + certificate.read_bytes())
        return broker

    @property
    def bootstrap(self) -> str:
        return self.broker.bootstrap

    def certificate(
        self,
        name: str,
        organization: str,
        common_name: str,
        *,
        ca: CertificateAuthority | None = None,
        now: datetime | None = None,
        lifetime: timedelta | None = None,
        server: bool = False,
    ) -> tuple[Path, Path]:
        """Return the key file and the certificate file of a new certificate."""
        key_file = self.folder / f"{name}.key"
        certificate_file = self.folder / f"{name}.pem"
        key = create_tls_key(key_file)
        life = {} if lifetime is None else {"lifetime": lifetime}
        pem = issue(
            ca or self.ca,
            key.public_key(),
            organization=organization,
            common_name=common_name,
            now=now or self.now,
            server_names=("localhost",) if server else (),
            **life,
        )
        certificate_file.write_bytes(pem)
        return key_file, certificate_file

    def context(self, organization: str, common_name: str) -> ssl.SSLContext:
        """Return a context with a certificate of that subject."""
        name = f"{organization}-{common_name}".replace(" ", "-")
        if name not in self._contexts:
            key, certificate = self.certificate(name, organization, common_name)
            self._contexts[name] = self.context_of(key, certificate)
        return self._contexts[name]

    def context_of(self, key: Path, certificate: Path) -> ssl.SSLContext:
        return client_context(certificate=certificate, key=key, ca=self.broker.folder / "ca.pem")

    def operator(self) -> ssl.SSLContext:
        return self.context(operators(FEDERATION), COORDINATOR)

    def member(self, member: MemberId, generation: int = 1) -> ssl.SSLContext:
        return self.context(FEDERATION, member_name(member, generation))

    def nobody(self) -> ssl.SSLContext:
        """Return a context that shows no certificate."""
        return ssl.create_default_context(cafile=str(self.broker.folder / "ca.pem"))

    async def open_audience(self, audience: str, members: Sequence[MemberId]) -> frozenset[AclRule]:
        """Make the topics of an audience and let its members in; return their rules."""
        name = AudienceId(audience)
        rules = stream_acls(FEDERATION, audiences={name: members}, generations=dict.fromkeys(members, (1,)))
        topics = [
            stream_topic(
                Stream(name, member),
                federation=FEDERATION,
                retention=timedelta(days=30),
                replication=len(self.broker.nodes),
            )
            for member in members
        ]
        async with Admin(self.bootstrap, self.operator()) as admin:
            await admin.ensure_topics(topics)
            await admin.create_acls(rules)
        return rules
