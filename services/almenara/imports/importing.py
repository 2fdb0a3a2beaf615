r"""How does a file of rows get published, once and completely, however often it is tried?

    row --> messages --> narrowed to the members there are --> published, up to IN_FLIGHT rows at once
       \-> reject, duplicate, not ours: counted, in the order of the file

There is no cursor: ids and contents depend on the row alone (rows.py), and a node takes the same message
again as the one it holds. Crash points: anywhere; the next run publishes what the last one did not.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from almenara.errors import Code, MessageRefused, Misconfigured, Unavailable
from almenara.imports.rejects import open_rejects
from almenara.imports.rows import Duplicate, Mapped, NotOurs, Rejected, open_rows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container
    from datetime import datetime
    from pathlib import Path

    from almenara.errors import Fault
    from almenara.imports.mapping import Mapping
    from almenara.imports.rejects import Rejects
    from almenara.imports.rows import Row
    from almenara.model.ids import AudienceId, MemberId
    from almenara.model.messages import Message

    Publish: TypeAlias = Callable[[Message, AudienceId], Awaitable[bool]]
    """Publish a message; True if it is new, False if the node held it already.

    Raises MessageRefused to have the row rejected, Unavailable to be asked again later.
    """

IN_FLIGHT = 256
"""Rows being published at once: half of what one statement holds (DESIGN 3), so that the next commit
fills while one is written."""

PATIENCE_S = 60.0
"""How long one message waits for a node that is away: a restart takes seconds. One that is full is waited
for without end, for it answers, and goes on once the broker takes what waits."""

_SHORTEST_WAIT_S = 0.1

_READ_TO_THE_END = 0.99
"""The share told of a file whose last rows are still being published; 1.0 is told once, at the end."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Count what became of a file: `published` and `already_there` are messages, the others rows.

    `outside` counts the addressees left out because they are no members.
    """

    rows: int = 0
    published: int = 0
    already_there: int = 0
    duplicates: int = 0
    rejected: int = 0
    not_ours: int = 0
    outside: int = 0


class _Published(NamedTuple):
    new: int
    held: int
    outside: int
    faults: tuple[Fault, ...] = ()


def addressed(message: Message, members: Container[MemberId] | None) -> tuple[Message, int]:
    """Return the message for the recipients that are members, and how many are not.

    `members` None takes all that the row names. If none is a member, the message goes to the whole
    audience, as one that names nobody. Actions asked of others fall away with them.
    """
    if members is None:
        return message, 0
    recipients = tuple(member for member in message.recipients if member in members)
    actions = tuple(action for action in message.actions if not action.member or action.member in recipients)
    narrowed = msgspec.structs.replace(message, recipients=recipients, actions=actions)
    return narrowed, len(message.recipients) - len(recipients)


async def import_file(
    path: Path,
    mapping: Mapping,
    *,
    publishers: Callable[[MemberId], Publish | None],
    members: Container[MemberId] | None,
    rejects: Path,
    now: datetime,
    progress: Callable[[Report, float], None] = lambda _report, _share: None,
    full: Callable[[str], None] = lambda _why: None,
    more: Callable[[], Awaitable[bool]] | None = None,
) -> Report:
    """Publish the rows of a file and return what became of them.

    `publishers` gives the way to publish as a member, None for a member that is not ours. `progress` is
    told the counts and which share of the file is read. `more` is asked before each row that is to be
    published: it may wait, and by False ends the import there; `Report.rows` counts the rows up to there,
    and a later run goes on from them. `full` is told why a message waits while the node accepts nothing
    more. Raises Misconfigured for files that cannot be
    read or written, Unavailable when a node stays away: what was published stays published, and the
    rejects file is that of the last run that came to its end.
    """
    if rejects.exists() and path.exists() and rejects.samefile(path):
        raise Misconfigured(Code.CONFIGURATION, f"{rejects}: is the file of rows itself; name another")
    with open_rows(path, mapping) as file, open_rejects(rejects, file.header) as kept:
        tally: Counter[str] = Counter()
        try:
            async with asyncio.TaskGroup() as tasks:
                pending: deque[tuple[Row, asyncio.Task[_Published] | None]] = deque()
                for row in file.rows(now=now, is_ours=lambda sender: publishers(sender) is not None):
                    task = None
                    if isinstance(row.outcome, Mapped):
                        if more is not None and not await more():
                            break
                        publish = publishers(row.outcome.sender)
                        assert publish is not None  # noqa: S101 - rows() asked before
                        task = tasks.create_task(_publish_row(row.outcome, publish, mapping, members, full))
                    pending.append((row, task))
                    if len(pending) >= IN_FLIGHT:
                        await _settle(*pending.popleft(), kept, tally)
                        progress(Report(**tally), min(row.share, _READ_TO_THE_END))
                while pending:
                    await _settle(*pending.popleft(), kept, tally)
        except ExceptionGroup as group:
            raise _first(group) from group
        report = Report(**tally)
        progress(report, 1.0)
        return report


async def _publish_row(
    row: Mapped,
    publish: Publish,
    mapping: Mapping,
    members: Container[MemberId] | None,
    full: Callable[[str], None],
) -> _Published:
    """Publish the messages of a row one after the other: an answer follows what it answers."""
    new = held = dropped = 0
    for message in row.messages:
        narrowed, dropped = addressed(message, members)
        try:
            is_new = await _patiently(publish, narrowed, mapping.audience, full)
        except MessageRefused as refusal:
            return _Published(new, held, dropped, refusal.faults)
        new, held = new + is_new, held + (not is_new)
    return _Published(new, held, dropped)


async def _patiently(
    publish: Publish, message: Message, audience: AudienceId, full: Callable[[str], None]
) -> bool:
    waited = 0.0
    while True:
        try:
            return await publish(message, audience)
        except Unavailable as error:
            wait = max(error.retry_after_s, _SHORTEST_WAIT_S)
            if error.code == Code.OUTBOX_FULL:
                full(error.text)
            elif waited >= PATIENCE_S:
                raise
            else:
                waited += wait
            await asyncio.sleep(wait)


async def _settle(
    row: Row, task: asyncio.Task[_Published] | None, rejects: Rejects, tally: Counter[str]
) -> None:
    """Count what became of a row, and keep it if it was rejected."""
    tally["rows"] += 1
    # Rows that need no waiting must not keep the node of this process from its work.
    await asyncio.sleep(0)
    if task is not None:
        published = await task
        tally.update(published=published.new, already_there=published.held, outside=published.outside)
        if published.faults:
            tally["rejected"] += 1
            rejects.add(row.number, row.cells, published.faults)
        return
    match row.outcome:
        case Rejected(faults):
            tally["rejected"] += 1
            rejects.add(row.number, row.cells, faults)
        case Duplicate():
            tally["duplicates"] += 1
        case NotOurs():
            tally["not_ours"] += 1
        case Mapped():
            raise AssertionError("a row that was mapped is published")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
