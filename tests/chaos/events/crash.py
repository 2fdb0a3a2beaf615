"""A process of a node ends at a named step: a crash point of the code (almenara.crash)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from chaos.events.change import NUMBERS, new_audience, new_certificate
from chaos.events.event import MemberEvent
from chaos.events.kill import Target

if TYPE_CHECKING:
    from random import Random

    from almenara.crash import Point
    from almenara.model.ids import MemberId
    from chaos.scene import Scene
    from chaos.schedule import Draw


class Crash(MemberEvent, frozen=True, kw_only=True):
    """Have the next process of a node that comes to a point end there; its parent starts it again.

    Load alone leads to most points. To those of a start, of a new directory and of a new certificate
    leads what is done here.
    """

    kills: ClassVar = True

    point: Point
    number: int
    """Names the audience with which the directory changes, if it is to."""

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return f"crash {self.point}"

    @property
    def victim(self) -> str:
        """Return the file that names the point: one at a time."""
        return f"crash of {self.member}"

    async def up(self, scene: Scene) -> None:
        """Wait until the node is ready."""
        await scene.nodes[self.member].until_ready()

    async def do(self, scene: Scene) -> None:
        """Arm the point, lead a process to it, and see it dead."""
        node = scene.nodes[self.member]
        node.arm(self.point)
        match self.point.partition(".")[0]:
            case "node":
                await node.kill()
            case "tail":
                await node.kill_child(Target.PUBLISHER)
            case "directory":
                await new_audience(scene, self.number)
            case "certificate":
                await new_certificate(scene, self.member)
            case _:
                pass  # the load leads there
        await node.until_crashed()

    async def undo(self, scene: Scene) -> None:
        """Disarm the point, if nobody came to it."""
        scene.nodes[self.member].disarm()


def crash(point: Point) -> Draw:
    """Return how to draw a crash at that point."""

    def draw(random: Random, member: MemberId) -> Crash:
        return Crash(point=point, member=member, number=random.randrange(NUMBERS))

    return draw
