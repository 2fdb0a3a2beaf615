"""The clock of a member's node jumps, and jumps back after a while; the clocks of others stay right.

Behind by no more than the five minutes that everybody grants a clock: what is offered meanwhile would be
from the future, and refused for good. Ahead within the day that a directory serves.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from chaos.events.event import MemberEvent
from faked_clock import faketime_library

if TYPE_CHECKING:
    from random import Random

    from almenara.model.ids import MemberId
    from chaos.scene import Scene
    from chaos.schedule import Draw

LASTS_S = (1.0, 8.0)

LEFT_OUT = (
    "" if faketime_library() else "left out: clock jumps, for there is no libfaketime; make system-deps"
)
"""What a table says where no clock can be changed."""


class Way(StrEnum):
    """Where a clock jumps to."""

    AHEAD = "ahead"
    BEHIND = "behind"


OFF_S = {Way.AHEAD: (360.0, 72_000.0), Way.BEHIND: (-280.0, -5.0)}
"""From beyond what readers grant to 20 hours; within what members grant."""


class Jump(MemberEvent, frozen=True, kw_only=True):
    """Set the clock of a member's node wrong, and right again."""

    way: Way
    off_s: float

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return f"clock {self.way}"

    @property
    def victim(self) -> str:
        """Return whose clock it is; the processes that go by it may be hit meanwhile."""
        return f"clock of {self.member}"

    async def up(self, scene: Scene) -> None:
        """Wait for nothing: whatever starts meanwhile goes by it too."""

    async def do(self, scene: Scene) -> None:
        """Set it wrong."""
        scene.clocks[self.member].jump(timedelta(seconds=self.off_s))

    async def undo(self, scene: Scene) -> None:
        """Set it right."""
        scene.clocks[self.member].set_right()


def jump(way: Way) -> Draw:
    """Return how to draw a jump that way."""

    def draw(random: Random, member: MemberId) -> Jump:
        off_s, lasts_s = random.uniform(*OFF_S[way]), random.uniform(*LASTS_S)
        return Jump(way=way, off_s=off_s, member=member, lasts_s=lasts_s)

    return draw
