"""A member's store becomes an earlier one: put back from a backup, or with its log cut off by a crash.

    backup of now     -> a while -> node killed -> store as it was put aside -> the backup stands there
    log into the file -> a while -> node killed -> store as it was put aside -> its log ends sooner

What the member has said since, its store knows no more: readers may hold it, and the auditor judges them
by the store that was put aside (taken_back.py). By the file of marks beside its keys a node sees this by
itself, and opens a new epoch; where the marks are no further than the store, the person who put the backup
there says so (`almenara epoch open`), as the guides ask for.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
from contextlib import closing
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple, assert_never

from almenara.node.node import open_epochs
from almenara.store import highwater, outbox
from almenara.store.database import Store
from chaos.events.kill import Strike, Target
from chaos.store_files import carry_log, copy_store, index_of, log_of, rows

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from almenara.model.ids import MemberId
    from almenara.node.settings import MemberSettings
    from chaos.scene import Scene
    from chaos.schedule import Draw

AGE_S = (2.0, 12.0)
"""How old a backup is when it is put back: as many messages as in service in a day."""

WAL_HEADER, FRAME_HEADER = 32, 24

_POLL_S = 0.1


class Past(StrEnum):
    """Which earlier store it is."""

    BACKUP = "store restored"
    CUT_LOG = "store log cut"


class Rewind(Strike, frozen=True, kw_only=True):
    """Kill a node, and have its store be an earlier one when it comes back."""

    kills: ClassVar = True

    member: MemberId
    target: Target = Target.NODE
    past: Past
    age_s: float
    """How old a backup is, and how much a log has that the file has not."""
    part: float
    """How much of what it could lose the log keeps, from 0 to 1."""

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return self.past.value

    async def do(self, scene: Scene) -> None:
        """Bring it about, and return once the node starts over the earlier store."""
        node, settings = scene.nodes[self.member], scene.settings(self.member)
        while not await asyncio.to_thread(_has_spoken, settings.store_path):  # noqa: ASYNC110 - another process does
            await asyncio.sleep(_POLL_S)
        match self.past:
            case Past.BACKUP:
                backup = settings.folder / "backup.db"
                await asyncio.to_thread(copy_store, settings.store_path, backup)
                change = partial(_put_back, backup)
            case Past.CUT_LOG:
                # From here on the log alone has what is said: what the file has no crash takes.
                while not await asyncio.to_thread(carry_log, settings.store_path):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(_POLL_S)
                change = partial(cut_log, part=self.part)
            case _:
                assert_never(self.past)
        await asyncio.sleep(self.age_s)
        done = asyncio.Event()

        def rewind() -> None:
            scene.take_back(self.member, partial(change, settings.store_path))
            if _unmarked(settings):
                open_epochs(settings)
            done.set()

        await node.kill(then=rewind)
        await done.wait()


def rewind(past: Past) -> Draw:
    """Return how to draw that loss."""

    def draw(random: Random, member: MemberId) -> Rewind:
        return Rewind(past=past, member=member, age_s=random.uniform(*AGE_S), part=random.random())

    return draw


def _put_back(backup: Path, store: Path) -> None:
    log_of(store).unlink(missing_ok=True)
    index_of(store).unlink(missing_ok=True)
    shutil.copyfile(backup, store)


class _Log(NamedTuple):
    """How far SQLite's log goes, in frames."""

    carried: int
    """So many stand in the file too; SQLite writes the log to disk before that, so no crash takes them."""
    written: int
    page: int

    @classmethod
    def of(cls, store: Path) -> _Log:
        """Read it from the index of the log: the header's page size and last frame, and what was carried."""
        index = index_of(store).read_bytes()
        (page,), (written,), (carried,) = (
            struct.unpack_from(form, index, at) for form, at in (("=H", 14), ("=I", 16), ("=I", 96))
        )
        return cls(carried, written, page)


def cut_log(store: Path, *, part: float) -> None:
    """Cut the log of a killed process off, and leave a part of what a crash could take of it."""
    log = _Log.of(store)
    kept = log.carried + int(part * (log.written - log.carried))
    end = WAL_HEADER + kept * (FRAME_HEADER + log.page)
    if end < log_of(store).stat().st_size:
        with log_of(store).open("r+b") as file:
            file.truncate(end)
    index_of(store).unlink()


def _has_spoken(store: Path) -> bool:
    """Tell whether the store knows of a statement of its member: an earlier one would be a lost one."""
    return bool(rows(store, "SELECT 1 FROM outbox LIMIT 1"))


def _unmarked(settings: MemberSettings) -> bool:
    """Tell whether the marks do not say that the store is an earlier one."""
    with closing(Store.open(settings.store_path)) as store:
        heads = store.read_now(outbox.own_heads)
    marks = highwater.read_marks(settings.marks_path)
    return bool(highwater.lost(heads, marks)) or not highwater.behind(heads, marks)
