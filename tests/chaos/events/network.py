"""The network between a member's node and the broker fails for a while, as chaos/line.py can let it fail.

Nothing on it is lost or altered, which TCP and TLS would not let pass; it waits, or its connection ends.
What was on its way may have arrived all the same, so both ends try again what they know nothing of.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from chaos.events.event import MemberEvent

if TYPE_CHECKING:
    from random import Random

    from almenara.model.ids import MemberId
    from chaos.scene import Scene
    from chaos.schedule import Draw

LASTS_S = (0.5, 12.0)
"""From a moment to beyond the 10 s that clients wait for an answer of the broker."""


class Trouble(StrEnum):
    """What the network does."""

    CUT = "cut"
    """Nothing passes; connections stay open, as when a firewall drops what it should pass."""
    UNHEARD = "cut to broker"
    """The broker hears nothing, and goes on with what it has to say."""
    UNANSWERED = "cut from broker"
    """The broker hears and does everything, and its answers are held back."""
    SLOW = "slow"
    """Few bytes at a time, late, and not in the order of several connections."""
    REFUSED = "refused"
    """Connections are reset, and no new ones come about."""


class Network(MemberEvent, frozen=True, kw_only=True):
    """Let a member's line fail, and mend it."""

    trouble: Trouble

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return f"network {self.trouble}"

    @property
    def victim(self) -> str:
        """Return whose line it is; what runs at its ends may be hit meanwhile."""
        return f"network of {self.member}"

    async def up(self, scene: Scene) -> None:
        """Wait for nothing: a line is there whether anybody uses it or not."""

    async def do(self, scene: Scene) -> None:
        """Let it fail."""
        line = scene.lines[self.member]
        match self.trouble:
            case Trouble.CUT:
                line.cut(to_broker=True, from_broker=True)
            case Trouble.UNHEARD:
                line.cut(to_broker=True, from_broker=False)
            case Trouble.UNANSWERED:
                line.cut(to_broker=False, from_broker=True)
            case Trouble.SLOW:
                line.slow()
            case Trouble.REFUSED:
                await line.refuse()
            case _:
                assert_never(self.trouble)

    async def undo(self, scene: Scene) -> None:
        """Mend it."""
        await scene.lines[self.member].mend()


def network(trouble: Trouble) -> Draw:
    """Return how to draw that trouble."""

    def draw(random: Random, member: MemberId) -> Network:
        return Network(trouble=trouble, member=member, lasts_s=random.uniform(*LASTS_S))

    return draw
