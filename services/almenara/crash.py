"""At which steps can a test end a process, to see that nothing is lost there and nothing doubled?

    echo outbox.committed > FILE        the next process that comes to that point dies there, once
    ls FILE.*                           FILE.4711: it was this one

A crash point does nothing, unless the environment names a file in ALMENARA_CRASH_FILE. Then the process
that comes to the point whose name stands in that file gives the file its own number and kills itself
with SIGKILL, as a power cut would end it: no `finally` runs, nothing is flushed. The file is looked for
at each point, so a running process can be ended too, and whatever starts it again is not.

Safe in service: the variable is read once, when a process starts, and whoever sets a process's
environment may end it anyway. Without it a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

VARIABLE = "ALMENARA_CRASH_FILE"


class Point(StrEnum):
    """Every step, by the order in which a process comes to it; each stands at one place in the code."""

    NODE_LEASED = "node.leased"
    """The lease is held, and nothing was looked at yet."""
    NODE_PREPARED = "node.prepared"
    """Store and directory are there, and no child."""
    CHILD_STARTED = "node.child_started"
    """A child runs, and its parent has not noted which."""
    NODE_ANNOUNCED = "node.announced"
    """Others can read that the node is ready."""

    TAIL_COMPARED = "tail.compared"
    """The broker has said what it holds of a stream, and nothing was noted of it."""
    TAIL_NOTED = "tail.noted"
    """What is to be sent again is noted, and nothing was sent."""

    OUTBOX_TAKEN = "outbox.taken"
    """Messages were taken from those that wait."""
    OUTBOX_SIGNED = "outbox.signed"
    """They are sealed and signed, in memory alone."""
    OUTBOX_WRITTEN = "outbox.written"
    """All is written, within the transaction."""
    OUTBOX_COMMITTED = "outbox.committed"
    """The transaction is on disk, and nobody was answered."""
    OUTBOX_ANSWERED = "outbox.answered"
    """The callers' answers are on their way, and nothing waits to be sent."""
    OUTBOX_SENDING = "outbox.sending"
    """Statements are about to be given to the broker."""
    OUTBOX_ACKNOWLEDGED = "outbox.acknowledged"
    """The broker holds them, and nobody has noted it."""
    OUTBOX_MARKING = "outbox.marking"
    """They are marked as sent, within the transaction."""
    OUTBOX_MARKED = "outbox.marked"
    """The marks are on disk, and memory knows nothing of it."""

    FILE_DRAFTED = "file.drafted"
    """The new content of a file is whole beside the old, and has not its name."""
    MARKS_WRITTEN = "marks.written"
    """The file that tells a restored store from a whole one was written."""

    INBOX_FETCHED = "inbox.fetched"
    """Records came from the broker, and none was looked at."""
    INBOX_JUDGED = "inbox.judged"
    """They are verified, opened and collected, within the transaction."""
    INBOX_WRITTEN = "inbox.written"
    """All is written, within the transaction."""
    INBOX_COMMITTED = "inbox.committed"
    """The transaction is on disk, and memory knows nothing of it."""

    RECEIPT_ACCEPTED = "receipt.accepted"
    """A receipt is in the outbox, and not noted as given."""
    RECEIPT_NOTED = "receipt.noted"
    """It is noted."""

    DIRECTORY_VERIFIED = "directory.verified"
    """A newer directory has proven itself; its files are in the cache, and the store has the old one."""
    DIRECTORY_WRITTEN = "directory.written"
    """It is written, within the transaction."""
    DIRECTORY_COMMITTED = "directory.committed"
    """The transaction is on disk, and the old one is in force."""

    CERTIFICATE_HALF = "certificate.half"
    """Of a renewed certificate the authority is on disk, and not the certificate itself."""
    CERTIFICATE_INSTALLED = "certificate.installed"
    """The renewed certificate is on disk, and nobody uses it."""


_file = os.environ.get(VARIABLE, "")


def crash_point(point: Point) -> None:
    """End this process if the file that the environment names says that it is to end here."""
    if _file:
        _crash(point, Path(_file))


def _crash(point: Point, file: Path) -> None:
    with suppress(FileNotFoundError):
        if file.read_text().strip() != point:
            return
        # Of two processes that come here one finds it, and dies.
        file.rename(f"{file}.{os.getpid()}")
        os.kill(os.getpid(), signal.SIGKILL)
