"""A federation with its broker whose members' nodes keep short intervals, so that no test takes long."""

from __future__ import annotations

import asyncio

from almenara import clock
from almenara.errors import Unavailable
from almenara.node.settings import MemberSettings, load_settings
from federation_site import FederationSite

MEMBERS = ("PE", "AR", "CL", "BO", "UY", "EC", "PY")
TRIO = ("PE", "AR", "CL")
"""The members whose nodes run all the time, each in a process; the others are for single tests."""

INTERVALS = """
[publisher]
heartbeat_interval_s = 0.5
heartbeat_grace_s = 1.0
receipt_interval_s = 0.2
store_poll_s = 0.05
retry_s = 0.2
drain_s = 20.0

[subscriber]
gap_wait_s = 2.0
reset_delay_s = 0.5
directory_poll_s = 0.2
probe_interval_s = 0.5
poll_s = 0.05
retry_s = 0.2
withheld_after_s = 1.5
watch_interval_s = 0.2
"""


class NodeSite(FederationSite):
    """A federation whose members are admitted in one version, so that none waits for the others."""

    def join(self, *members: str) -> None:
        """Enrol and admit members; their nodes find their admission when they start."""
        made = [self.enrol(member) for member in members]
        for settings in made:
            with settings.file.open("a") as file:
                file.write(INTERVALS)
        enrolments = [(settings.folder / "enrolment.json").read_bytes() for settings in made]
        admissions = self.federation.admit_all(enrolments, now=clock.now())
        for settings, admission in zip(made, admissions, strict=True):
            settings.admission_path.write_bytes(admission.to_bytes())
            self.members[settings.member] = load_settings(settings.folder, environ={})

    def __getitem__(self, member: str) -> MemberSettings:
        return self.members[member]

    async def synced(self) -> None:
        """Synchronize, again while the cluster has no leaders yet: just after a restart of the broker."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.sync()
                except Unavailable:
                    await asyncio.sleep(0.5)
                else:
                    return
