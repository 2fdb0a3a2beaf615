"""A process is killed with SIGKILL, as a power cut or the kernel's want of memory would end it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from chaos.events.event import Event

if TYPE_CHECKING:
    from random import Random

    from almenara.model.ids import MemberId
    from chaos.programs import Program
    from chaos.scene import Scene
    from chaos.schedule import Draw


class Target(StrEnum):
    """What a kill hits."""

    PUBLISHER = "publisher"
    """The child process that publishes for a member."""
    SUBSCRIBER = "subscriber"
    """The child process that receives for a member."""
    NODE = "node"
    """A member's node: the parent, and the kernel ends its children."""
    BROKER = "broker"
    """The broker's process, and the kernel ends Kafka."""
    COORDINATOR = "coordinator"
    """The coordinator's daemon; messages go on without it."""


SHARED = (Target.BROKER, Target.COORDINATOR)
"""Targets that are no member's."""

CHILDREN = (Target.PUBLISHER, Target.SUBSCRIBER)


class Strike(Event, frozen=True, kw_only=True):
    """An event that hits a process once its program is ready, or hits a part of it."""

    target: Target

    @property
    def victim(self) -> str:
        """Return the name of the process, which events of several kinds hit in turn."""
        return self.target if self.member is None else f"{self.target} of {self.member}"

    async def up(self, scene: Scene) -> None:
        """Wait until its program says that it is ready."""
        await self.program(scene).until_ready()

    def program(self, scene: Scene) -> Program:
        """Return the program that the target is, or is part of."""
        match self.target, self.member:
            case Target.BROKER, None:
                return scene.broker
            case Target.COORDINATOR, None:
                return scene.coordinator
            case _, None:
                raise AssertionError(self.target)
            case _, member:
                return scene.nodes[member]


class Kill(Strike, frozen=True, kw_only=True):
    """Kill a target; whatever keeps it starts it again."""

    kills: ClassVar = True

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return f"kill {self.target}"

    async def do(self, scene: Scene) -> None:
        """Kill it, once it is another process than the last kill hit."""
        if self.target in CHILDREN and self.member is not None:
            await scene.nodes[self.member].kill_child(self.target)
        else:
            await self.program(scene).kill()


def kill(target: Target) -> Draw:
    """Return how to draw a kill of that target."""

    def draw(_random: Random, member: MemberId) -> Kill:
        return Kill(target=target, member=None if target in SHARED else member)

    return draw
