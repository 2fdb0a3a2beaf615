"""What befalls a broker of three nodes: one is killed or hangs while two go on, or all start anew in turn.

Whatever kills or stops the whole broker (kill.py, stop.py) hits all three at once.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from psutil import NoSuchProcess

from almenara import clock
from almenara.coordinator.membership import MemberChange
from chaos.events.event import Event
from chaos.events.kill import Target

if TYPE_CHECKING:
    from random import Random

    from almenara.model.ids import MemberId
    from chaos.scene import Scene

NODES = 3

LASTS_S = (2.5, 10.0)
"""Longer than the 2 s after which the others go on without a node that hangs."""


class ClusterEvent(Event, frozen=True, kw_only=True):
    """An event of one broker node, or of all in turn."""

    @property
    def victim(self) -> str:
        """Return the name of the broker: one node may be away at a time."""
        return Target.BROKER

    async def up(self, scene: Scene) -> None:
        """Wait until all nodes answer."""
        await scene.broker.all_answer()


class KillBrokerNode(ClusterEvent, frozen=True, kw_only=True):
    """Kill one node; the broker starts it again."""

    kills: ClassVar = True

    number: int

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return "kill broker node"

    async def do(self, scene: Scene) -> None:
        """Kill it with SIGKILL."""
        (await scene.broker.all_answer())[self.number].kill()


class HangBrokerNode(ClusterEvent, frozen=True, kw_only=True):
    """Stop one node with SIGSTOP, so that it is cut off from the others, and let it go on."""

    number: int

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return "stop broker node"

    async def do(self, scene: Scene) -> None:
        """Send SIGSTOP."""
        (await scene.broker.all_answer())[self.number].suspend()

    async def undo(self, scene: Scene) -> None:
        """Send SIGCONT, to all nodes: only this one was stopped."""
        for process in scene.broker.family():
            with suppress(NoSuchProcess):
                process.resume()


class RollingRestart(ClusterEvent, frozen=True, kw_only=True):
    """Revoke the certificate of a member without a node: one after the other all nodes start anew."""

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return "rolling restart"

    async def do(self, scene: Scene) -> None:
        """Return once every node is another process than before."""
        before = await scene.broker.all_answer()
        guest = scene.guest
        await asyncio.to_thread(
            scene.site.federation.change_member, guest, MemberChange.REVOKE_CERTIFICATE, now=clock.now()
        )
        while set(before) & set(await scene.broker.all_answer()):  # noqa: ASYNC110 - no event of ours tells
            await asyncio.sleep(0.2)


def kill_broker_node(random: Random, _member: MemberId) -> KillBrokerNode:
    """Draw a kill of one node."""
    return KillBrokerNode(number=random.randrange(NODES))


def stop_broker_node(random: Random, _member: MemberId) -> HangBrokerNode:
    """Draw a node that hangs."""
    return HangBrokerNode(number=random.randrange(NODES), lasts_s=random.uniform(*LASTS_S))


def rolling_restart(_random: Random, _member: MemberId) -> RollingRestart:
    """Draw a restart of all nodes in turn."""
    return RollingRestart()
