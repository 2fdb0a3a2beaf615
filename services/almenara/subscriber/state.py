"""What does the subscriber hold in memory of one stream between two records?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara.store.inbox import ChainRow
from almenara.wire.chain import ChainState

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.model.ids import Stream
    from almenara.wire.chain import OpenGap


class Wait(NamedTuple):
    """A stream stands still at a record that cannot be judged yet.

    flowing --Gap--> rereading the topic from its start --the record again--> standing --60 s--> flowing
    flowing --Held-> standing until the directory moves
    """

    code: str
    offset: int
    since: datetime


class StreamState:
    """One stream: its row and gaps, the sender keys seen, and what it waits for.

    Changed in the worker thread alone; `reset` after a failed commit brings back the committed state.
    """

    def __init__(self, stream: Stream, row: ChainRow | None, gaps: tuple[OpenGap, ...]) -> None:
        self.stream = stream
        self.row = row or ChainRow(audience=stream.audience, publisher=stream.publisher)
        self.gaps = gaps
        self.keys: dict[bytes, bytes | None] = {}
        self.wait: Wait | None = None
        self.passed_over = False  # a statement that proved nothing when it came; a gap may prove it
        self._committed = (self.row, self.gaps)

    @property
    def chain(self) -> ChainState | None:
        """Return the chain as the wire's rules see it, None before the first statement."""
        if self.row.seq < 0:
            return None
        return ChainState(epoch=self.row.epoch, seq=self.row.seq, hash=self.row.hash, gaps=self.gaps)

    @property
    def changed(self) -> bool:
        """Tell whether the row differs from the committed one."""
        return self.row is not self._committed[0]

    @property
    def gaps_changed(self) -> bool:
        """Tell whether the open gaps differ from the committed ones."""
        return self.gaps != self._committed[1]

    def update(self, **fields: int | bytes | str) -> None:
        """Set columns of the row."""
        self.row = msgspec.structs.replace(self.row, **fields)

    def stand(self, wait: Wait | None) -> None:
        """Note what the stream waits for, None when it flows; the store shows it to those who ask."""
        self.wait = wait
        code = "" if wait is None else wait.code
        if self.row.wait_code != code:
            self.update(wait_code=code)

    def move(self, chain: ChainState) -> None:
        """Take the chain as a step left it."""
        self.update(epoch=chain.epoch, seq=chain.seq, hash=chain.hash)
        self.gaps = chain.gaps

    def committed(self) -> None:
        """Note that the store now holds this state."""
        self._committed = (self.row, self.gaps)

    def reset(self) -> None:
        """Go back to what the store holds: the transaction failed."""
        self.row, self.gaps = self._committed
        self.keys.clear()
        self.wait = None
        self.passed_over = False
