"""A federation as its coordinator makes it, with the embedded broker over its folder, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara import clock
from almenara.bus.broker import Broker
from almenara.coordinator.federation import Federation
from almenara.coordinator.sync import Cluster
from almenara.node.identity import install_admission
from almenara.node.member_folder import init_member, write_renewal
from almenara.node.settings import MemberSettings, load_settings
from almenara.trust.admission import read_admission
from almenara.trust.certificates import client_context
from almenara.trust.secretfile import replace_file

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from pathlib import Path

    from almenara.bus.configuration import Forwarded
    from almenara.coordinator.sync import Outcome
    from almenara.trust.admission import Admission


class FederationSite:
    """The coordinator's folder, its broker, and the folders of the members that were admitted."""

    def __init__(
        self,
        folder: Path,
        name: str = "ams",
        *,
        nodes: int | None = None,
        forwarded: Sequence[Forwarded] = (),
    ) -> None:
        self.folder = folder
        self.federation = Federation.init(folder / "D", name=name, now=clock.now())
        self.forwarded = tuple(forwarded)
        self.broker = Broker(folder / "D", nodes=nodes, forwarded=forwarded)
        self.members: dict[str, MemberSettings] = {}

    async def start(self) -> None:
        await self.broker.start()

    async def stop(self) -> None:
        await self.broker.stop()

    def enrol(self, member: str) -> MemberSettings:
        """Make a member's folder; it is not admitted yet."""
        folder = self.folder / member
        init_member(
            folder,
            member=member,
            federation=self.federation.name,
            name=f"Customs of {member}",
            now=clock.now(),
        )
        return load_settings(folder, environ={})

    def admit(self, settings: MemberSettings) -> MemberSettings:
        """Admit a member and install its admission, as its node does when it starts."""
        enrolment = (settings.folder / "enrolment.json").read_bytes()
        self._install(settings, self.federation.admit(enrolment, now=clock.now()))
        self.members[settings.member] = settings
        return settings

    def renew(self, member: str) -> None:
        """Give an admitted member the certificate that it asks for now, with a new key."""
        settings = self.members[member]
        asked = write_renewal(settings, new_key=True, now=clock.now()).read_bytes()
        self._install(settings, self.federation.renew_member(asked, now=clock.now()))

    @staticmethod
    def _install(settings: MemberSettings, admission: Admission) -> None:
        replace_file(settings.admission_path, admission.to_bytes())
        install_admission(settings, read_admission(settings.admission_path))

    def context(self, member: str) -> ssl.SSLContext:
        """Return the TLS context of an admitted member."""
        settings = self.members[member]
        return client_context(
            certificate=settings.certificate_path, key=settings.tls_key_path, ca=settings.ca_path
        )

    async def sync(self) -> Outcome:
        """Synchronize the cluster once, over new connections."""
        async with Cluster.connect(self.federation) as cluster:
            return await cluster.sync(self.federation, now=clock.now())
