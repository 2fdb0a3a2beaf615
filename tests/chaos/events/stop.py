"""A process is stopped with SIGSTOP and goes on with SIGCONT: a machine that sleeps, a snapshot, swapping.

It keeps what it holds meanwhile, the lease too, so no other may speak for its member. What it finds when
it wakes are broken connections, answers nobody waits for, and a time later than it thought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.events.kill import SHARED, Strike, Target

if TYPE_CHECKING:
    from random import Random

    from almenara.model.ids import MemberId
    from chaos.scene import Scene
    from chaos.schedule import Draw

LASTS_S = (0.5, 6.0)
"""Within what callers wait for an answer; the broker counts one away that is stopped for over 2 s."""


class Stop(Strike, frozen=True, kw_only=True):
    """Stop a target, with all that it started if it is a whole node, and let it go on."""

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return f"stop {self.target}"

    async def do(self, scene: Scene) -> None:
        """Send SIGSTOP."""
        await self.program(scene).suspend(self.target)

    async def undo(self, scene: Scene) -> None:
        """Send SIGCONT to what is still there."""
        self.program(scene).resume(self.target)


def stop(target: Target) -> Draw:
    """Return how to draw a stop of that target."""

    def draw(random: Random, member: MemberId) -> Stop:
        return Stop(
            target=target, member=None if target in SHARED else member, lasts_s=random.uniform(*LASTS_S)
        )

    return draw
