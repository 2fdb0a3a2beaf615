"""What does the coordinator change during a long run? Certificates and the directory, again and again.

One member after another is given a new certificate, and all a new directory with it. At the end each node
must work by the last directory, with a certificate that it took up while it ran.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from itertools import cycle
from typing import TYPE_CHECKING

from almenara import clock
from almenara.coordinator.audiences import AudienceChange
from almenara.errors import AlmenaraError, Unavailable
from almenara.model.ids import REGION
from chaos.events.change import new_certificate

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.model.ids import MemberId
    from almenara.node.answers import NodeStatus
    from chaos.scene import Scene

CHANGE_S = 30.0
TAKEN_UP_S = 60.0
"""How long a node may take in the end for the last change, on a machine that does other things."""

_POLL_S = 0.5


class Changes:
    """The changes of one run; `count` says how many there were, `faults` which could not be made."""

    def __init__(self, running: Scene) -> None:
        self._scene = running
        self._first: dict[MemberId, datetime | None] = {}
        self.count = 0
        self.faults: list[str] = []

    async def run(self, over: asyncio.Event) -> None:
        """Change something every so often until `over` is set."""
        for member in cycle(self._scene.members):
            with suppress(TimeoutError):
                async with asyncio.timeout(CHANGE_S):
                    await over.wait()
            if over.is_set():
                return
            try:
                await self._change(member)
            except AlmenaraError as error:
                self.faults.append(f"change {self.count + 1}: {error}")

    async def _change(self, member: MemberId) -> None:
        bus = self._scene.buses[member]
        self._first.setdefault(member, (await bus.node.status()).certificate_expires_at)
        await new_certificate(self._scene, member)
        self.count += 1
        await asyncio.to_thread(
            self._scene.site.federation.amend_audience,
            REGION,
            AudienceChange(title=f"Region, title {self.count}"),
            now=clock.now(),
        )

    async def not_taken_up(self) -> list[str]:
        """Wait until every node has taken up everything; return what it has not when the time is up."""
        until = time.monotonic() + TAKEN_UP_S
        while missing := await self._missing():
            if time.monotonic() > until:
                return missing
            await asyncio.sleep(_POLL_S)
        return []

    async def _missing(self) -> list[str]:
        version = self._scene.site.federation.repository().version
        found = []
        for member, bus in self._scene.buses.items():
            try:
                found += self._of(member, await bus.node.status(), version)
            except Unavailable as error:
                found.append(f"{member}: {error}")
        return found

    def _of(self, member: MemberId, status: NodeStatus, version: int) -> list[str]:
        first = self._first.get(member)
        expires = status.certificate_expires_at
        renewed = member not in self._first or first is None or (expires is not None and expires > first)
        return [
            *([] if renewed else [f"{member}: works with the certificate that it began with"]),
            *(
                []
                if status.directory_version == version
                else [f"{member}: works by directory {status.directory_version} of {version}"]
            ),
        ]
