"""Is there room for one more message? Two bounds: what waits in memory to be signed, and on disk to be sent.

Receipts pass both: they are few, and a member that says none looks dead.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from almenara.errors import Code, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from almenara.model.ids import AudienceId
    from almenara.publisher.waiting import Waiting

WAITING_MAX = 20_000
"""Messages that may wait for the writer; it takes about 10,000 a second, so this is 2 s of work."""

WAITING_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of them: as much as 20,000 alerts, so that a few callers of large messages fill no memory."""

WAITING_RETRY_S = 2.0

FULL_RETRY_S = 30.0
"""When to offer a message again where the broker must take what waits first: an absence takes minutes."""


class Queue:
    """The messages that wait to be signed, in order."""

    def __init__(self) -> None:
        self._each: deque[Waiting] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._each)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._each)

    def put(self, waiting: Waiting) -> None:
        """Let a message wait behind the others."""
        self._each.append(waiting)
        self._bytes += len(waiting.accepted.item)

    def let_go(self, count: int) -> None:
        """Forget the first so many; they were answered."""
        for _ in range(count):
            self._bytes -= len(self._each.popleft().accepted.item)

    def require_room(self) -> None:
        """Raise Unavailable OUTBOX_FULL if too many wait, or too much."""
        if len(self._each) >= WAITING_MAX or self._bytes >= WAITING_BYTES_MAX:
            raise Unavailable(
                Code.OUTBOX_FULL,
                f"outbox: {len(self._each)} messages wait to be signed; send it again in a moment",
                retry_after_s=WAITING_RETRY_S,
            )


def outbox_full(audience: AudienceId, unsent_bytes: int, *, most: int) -> Unavailable | None:
    """Return why a stream of which so many bytes wait for the broker takes no more, None if it does."""
    if unsent_bytes < most:
        return None
    return Unavailable(
        Code.OUTBOX_FULL,
        f"outbox: {unsent_bytes / 2**20:.1f} MiB of stream {audience} wait for the broker, all that "
        "publisher.outbox_max_bytes allows; what was accepted is safe, send the next once the broker takes "
        "it (what is wrong says: almenara doctor)",
        retry_after_s=FULL_RETRY_S,
    )
