"""On what does a demonstration play? A broker that answers, nodes that run, and the way to each of them."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from almenara.bus.broker import Broker
from almenara.client import connect
from almenara.demo.processes import running, until_ready
from almenara.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from almenara.client import Bus, Handle
    from almenara.demo.processes import Planned
    from almenara.demo.screen import Screen
    from almenara.demo.site import Site
    from almenara.model.ids import MemberId


@asynccontextmanager
async def broker_running(state: Path, screen: Screen) -> AsyncIterator[Broker]:
    """Run the embedded broker over the coordinator's folder; raise what `Broker.start` raises."""
    async with AsyncExitStack() as stack:
        with screen.step("broker") as step:
            broker = Broker(
                state,
                progress=lambda part, done, total: step.note(
                    part if total == 1 else f"{part}, {done} of {total}"
                ),
            )
            await stack.enter_async_context(broker)
            step.result = f"Kafka answers at {broker.bootstrap}, only to those who show a certificate"
        yield broker


@asynccontextmanager
async def nodes_running(
    site: Site,
    planned: Sequence[Planned],
    *,
    environment: Mapping[str, str],
    directory_version: int,
    timeout_s: float,
    screen: Screen,
) -> AsyncIterator[Mapping[MemberId, Bus]]:
    """Run the processes, wait until every member's node answers, and lend the way to each.

    Raises Unavailable NODE_DOWN if one does not come up.
    """
    async with AsyncExitStack() as stack:
        with screen.step("nodes") as step:
            check = await stack.enter_async_context(running(planned, environment=environment))
            until = time.monotonic() + timeout_s
            for ready, (member, settings) in enumerate(site.members.items()):
                step.note(f"{ready} of {len(site.members)} ready, waiting for {member}")
                await until_ready(settings, directory_version=directory_version, check=check, until=until)
            step.result = f"{len(site.members)} nodes in {len(planned)} processes are ready"
        buses = {
            member: await stack.enter_async_context(connect(settings.socket_path))
            for member, settings in site.members.items()
        }
        try:
            yield buses
        except Unavailable:
            check()  # a node that ended says more than that it does not answer
            raise


async def unconfirmed(handles: Sequence[Handle], *, timeout_s: float, screen: Screen) -> list[str]:
    """Wait until all who should have confirmed each message; return who has not when the time is up."""
    faults = []
    with screen.step("receipts") as step:
        until = time.monotonic() + timeout_s
        for done, handle in enumerate(handles):
            step.note(f"{done} of {len(handles)} confirmed by all")
            found = await handle.received(timeout=max(0.0, until - time.monotonic()))
            if not found.complete:
                late = [f"{each.member} {each.state}" for each in found.members if each.state != "RECEIVED"]
                faults.append(f"message {found.message_id}: not confirmed: {', '.join(late)}")
        step.result = f"{len(handles) - len(faults)} of {len(handles)} confirmed by all their readers"
    return faults
