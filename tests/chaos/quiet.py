"""When is nothing under way any more? When nodes, coordinator and followers all say so, each by itself."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from almenara.errors import Unavailable
from almenara.node.answers import StreamState
from almenara.store.wanted import InboxFilter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from almenara.model.ids import MemberId
    from chaos.load import Follower
    from chaos.scene import Scene

CALM = frozenset({StreamState.OK, StreamState.EMPTY})
SHOWN_AFTER = CALM | {StreamState.TRUNCATED}
"""For a day at the readers of a member whose store became an earlier one."""

QUIET_TIMEOUT_S = 120.0
_POLL_S = 0.2


async def until_quiet(scene: Scene, followers: Mapping[MemberId, Follower]) -> list[str]:
    """Wait until nothing is under way any more; return what still is when the time is up, a fault each."""
    until = time.monotonic() + QUIET_TIMEOUT_S
    while unrest := await _unrest(scene, followers):
        if time.monotonic() > until:
            return [f"not quiet after {QUIET_TIMEOUT_S:.0f} s: {line}" for line in unrest]
        await asyncio.sleep(_POLL_S)
    return []


async def _unrest(scene: Scene, followers: Mapping[MemberId, Follower]) -> list[str]:
    """Return what is still waited for: by the members, as their nodes say, and by the coordinator."""
    found = [line for member in scene.members for line in await _waits(scene, member, followers[member])]
    version = scene.site.federation.repository().version
    done = scene.coordinator.synchronized()
    if done < version:
        found.append(f"coordinator: the cluster holds directory {done} of {version}")
    return found


async def _waits(scene: Scene, member: MemberId, follower: Follower) -> list[str]:
    bus = scene.buses[member]
    try:
        streams = await bus.node.streams()
        position = (await bus.node.inbox(InboxFilter(), limit=0)).position
    except Unavailable as error:
        return [f"{member}: {error}"]
    taken_back = {each.member for each in scene.taken_back}
    found = [
        f"{member}: {view.publisher}: {view.state}, lag {view.lag}, behind {view.behind}"
        for view in streams
        if view.lag
        or scene.nodes.keys() & view.behind
        or view.state not in (SHOWN_AFTER if view.publisher in taken_back else CALM)
    ]
    if follower.position != position:
        found.append(f"{member}: its follower is at {follower.position} of {position}")
    return found
