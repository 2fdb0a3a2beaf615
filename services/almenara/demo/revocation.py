"""What happens when a member loses its access in the middle of everything? Shown live, and timed.

    suspended in the directory -> rules gone -> the others seal with new keys -> its connection ends

Its node goes on running and trying: that it gets nothing more is the broker's and the others' doing.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from almenara import clock
from almenara.bus.kafka import require_answer
from almenara.coordinator.membership import MemberChange
from almenara.demo.site import synchronize
from almenara.errors import AlmenaraError, Code, Unavailable
from almenara.trust.certificates import client_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from almenara.bus.broker import Broker
    from almenara.client import Bus
    from almenara.demo.screen import Screen
    from almenara.demo.site import Site
    from almenara.model.ids import MemberId

REASON = "shown in this demonstration"

ENDED_S = 60.0
"""Within which a revocation must be complete, connections included (DESIGN 4)."""

_POLL_S = 0.05


async def suspend(
    site: Site, member: MemberId, *, broker: Broker, buses: Mapping[MemberId, Bus], screen: Screen
) -> None:
    """Suspend a member and return once it is cut off and all others have gone over to new keys.

    Raises Unavailable TIMED_OUT if that takes more than a minute, and what the broker raises.
    """
    with screen.step("revocation") as step:
        began = time.monotonic()
        step.note(f"{member} is suspended in the directory")
        change = MemberChange.SUSPEND
        await asyncio.to_thread(site.federation.change_member, member, change, now=clock.now(), reason=REASON)
        version = await synchronize(site.federation)
        rules_s = time.monotonic() - began
        try:
            async with asyncio.timeout(ENDED_S), asyncio.TaskGroup() as tasks:
                keeping = tasks.create_task(broker.keep())
                step.note(f"{member} may read and write nothing; the others learn of it")
                await _learned({each: bus for each, bus in buses.items() if each != member}, version)
                keys_s = time.monotonic() - began
                step.note(f"the connections of {member} end")
                await _turned_away(site, member, broker)
                ended_s = time.monotonic() - began
                keeping.cancel()
        except* AlmenaraError as group:
            raise group.exceptions[0] from None
        except* TimeoutError:
            raise Unavailable(
                Code.TIMED_OUT, f"member {member}: not cut off within {ENDED_S:.0f} s; read the broker's log"
            ) from None
        step.result = (
            f"{member} suspended: no access after {rules_s:.1f} s, new keys without it after {keys_s:.1f} s, "
            f"its connection ended after {ended_s:.1f} s"
        )
    problems = (await buses[member].node.status()).problems
    screen.line(f"the node of {member}, which goes on trying, says: {problems[0]}")


async def _learned(buses: Mapping[MemberId, Bus], version: int) -> None:
    """Return when these nodes seal by that version of the directory or a later one."""
    waiting = list(buses.values())
    while waiting:
        if (await waiting[-1].node.status()).directory_version >= version:
            waiting.pop()
        else:
            await asyncio.sleep(_POLL_S)


async def _turned_away(site: Site, member: MemberId, broker: Broker) -> None:
    """Return once the broker refuses to talk to the member's certificate."""
    settings = site.members[member]
    context = client_context(
        certificate=settings.certificate_path, key=settings.tls_key_path, ca=settings.ca_path
    )
    while True:
        try:
            await require_answer(broker.bootstrap, context)
        except AlmenaraError as error:
            if error.code == Code.BROKER_REFUSES:
                return
        await asyncio.sleep(_POLL_S)
