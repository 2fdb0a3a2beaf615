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


class Kill(Event, frozen=True, kw_only=True):
    """Kill a target; whatever keeps it starts it again."""

    kills: ClassVar = True

    target: Target

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return f"kill {self.target}"

    @property
    def victim(self) -> str:
        """Return the name of the process."""
        return victim(self.target, self.member)

    async def up(self, scene: Scene) -> None:
        """Wait until its program says that it is ready."""
        await program(scene, self.target, self.member).until_ready()

    async def do(self, scene: Scene) -> None:
        """Kill it, once it is another process than the last kill hit."""
        if self.target in CHILDREN and self.member is not None:
            await scene.nodes[self.member].kill_child(self.target)
        else:
            await program(scene, self.target, self.member).kill()


def kill(target: Target) -> Draw:
    """Return how to draw a kill of that target."""

    def draw(_random: Random, member: MemberId) -> Kill:
        return Kill(target=target, member=None if target in SHARED else member)

    return draw


def victim(target: Target, member: MemberId | None) -> str:
    """Return the name of a target's process, which events of several kinds hit in turn."""
    return target if member is None else f"{target} of {member}"


def program(scene: Scene, target: Target, member: MemberId | None) -> Program:
    """Return the program that a target is, or is part of."""
    if target is Target.BROKER:
        return scene.broker
    if target is Target.COORDINATOR:
        return scene.coordinator
    if member is None:
        raise AssertionError(target)
    return scene.nodes[member]
