"""What may befall a federation under load? An event: one function that does it, one that undoes it.

    schedule.py draws it -> storm.py waits until its victim is `up`, and a pause -> do -> lasts_s -> undo

To add one, write a file here with a class derived from Event:

- Its fields are what was drawn, so that a seed brings the same again; all randomness belongs into `draw`.
- `do` returns once it stands: the process is killed, the way is cut. What cannot be done in time is a
  TimeoutError, which the storm notes as a fault.
- `undo` is called in any case, also when the storm breaks off, and whatever else befell the victim
  meanwhile: other victims' events happen at the same time, so a process may be gone by then.
- `kind` is its row in the table, `victim` what no other event may have at the same time, `member` whose
  messages it may hold up.

Then name its `draw` in a deck of schedule.py. What it needs beside the programs (a line, a clock, a small
disk) belongs to the scene (scene.py), which hands it to every event.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import msgspec

from almenara.model.ids import MemberId

if TYPE_CHECKING:
    from chaos.scene import Scene


class _Meta(msgspec.StructMeta, ABCMeta):
    """Of an event that leaves something out none can be made."""


class Event(msgspec.Struct, metaclass=_Meta, frozen=True, kw_only=True):
    """One thing that befalls a federation; derive from it, see above."""

    kills: ClassVar[bool] = False
    """Whether a process of ours is killed by it."""

    member: MemberId | None = None
    """Whose messages it may hold up, those to it and those from it; None: everybody's."""

    lasts_s: float = 0.0
    """From `do` to `undo`."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """Return its row in the table."""

    @property
    @abstractmethod
    def victim(self) -> str:
        """Return what it happens to: one event after another, those of other victims beside it."""

    @abstractmethod
    async def up(self, scene: Scene) -> None:
        """Return once its victim is there to be hit; the storm sets the limit."""

    @abstractmethod
    async def do(self, scene: Scene) -> None:
        """Bring it about; the storm sets the limit."""

    async def undo(self, scene: Scene) -> None:
        """Take it back; a kill needs nothing, since what ends is started again."""

    def __str__(self) -> str:
        return self.kind if self.member is None else f"{self.kind} of {self.member}"


class MemberEvent(Event, frozen=True, kw_only=True):
    """An event that befalls one member."""

    member: MemberId
