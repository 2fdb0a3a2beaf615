"""A member's disk is full, as by a quota: no file of its node's processes may grow for a while.

Only what is written suffers: what was accepted is sent, what is held is read. What the node is asked to
accept it refuses by name, what it receives it tries again; its log loses the lines of that time.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from chaos.events.kill import Strike, Target
from full_disk import limit_files

if TYPE_CHECKING:
    from random import Random

    from almenara.model.ids import MemberId
    from chaos.scene import Scene

LASTS_S = (0.5, 6.0)
"""Within what callers wait for, and beyond the first wait of a node that could not write (5 s)."""


class FullDisk(Strike, frozen=True, kw_only=True):
    """Fill the disk of a member's node, and give the space back."""

    member: MemberId
    target: Target = Target.NODE

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return "full disk"

    async def do(self, scene: Scene) -> None:
        """Let no file grow."""
        self._limit(scene, full=True)

    async def undo(self, scene: Scene) -> None:
        """Let files grow, also those of children that were started meanwhile."""
        self._limit(scene, full=False)

    def _limit(self, scene: Scene, *, full: bool) -> None:
        for process in scene.nodes[self.member].family():
            with suppress(psutil.NoSuchProcess):  # it was killed just now
                limit_files(process, full=full)


def full_disk(random: Random, member: MemberId) -> FullDisk:
    """Draw a full disk."""
    return FullDisk(member=member, lasts_s=random.uniform(*LASTS_S))
