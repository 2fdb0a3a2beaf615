"""What stands in a member's store? Read from its file with sqlite3, read-only.

None of the nodes' own code reads here: the audit must not believe what it is to judge.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from almenara.demo.chains import Place, StatementRow
from almenara.model.ids import AudienceId, MemberId, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class HeldMessage(NamedTuple):
    """A message in an inbox; `item` are its bytes as it stood in its statement."""

    publisher: MemberId
    message_id: bytes
    stream: Stream
    place: Place
    recipients: frozenset[str]
    received_at: int
    item: bytes


class Refusal(NamedTuple):
    """One record in a member's quarantine."""

    member: MemberId
    stream: Stream
    code: str
    detail: str
    record: bytes


class Ledger:
    """One member's store; `open_ledger` lends it."""

    def __init__(self, member: MemberId, connection: sqlite3.Connection) -> None:
        self.member = member
        self._connection = connection

    def outgoing(self) -> Mapping[bytes, tuple[Stream, Place]]:
        """Return where each message stands that the member published, receipts apart."""
        rows = self._connection.execute(
            "SELECT message_id, audience, epoch, seq FROM outgoing WHERE kind <> 'RECEIPT'"
        )
        return {
            message_id: (Stream(AudienceId(audience), self.member), Place(epoch, seq))
            for message_id, audience, epoch, seq in rows
        }

    def own_statements(self) -> Iterator[StatementRow]:
        """Yield what the member has said, in order."""
        rows = self._connection.execute(
            "SELECT audience, epoch, seq, hash, record FROM outbox ORDER BY audience, epoch, seq"
        )
        for audience, epoch, seq, digest, record in rows:
            yield StatementRow(AudienceId(audience), self.member, epoch, seq, digest, "", record)

    def own_ends(self) -> Mapping[Stream, Place]:
        """Return where each stream of the member ends."""
        rows = self._connection.execute("SELECT audience, epoch, seq FROM own_stream")
        return {Stream(AudienceId(audience), self.member): Place(epoch, seq) for audience, epoch, seq in rows}

    def heard_ends(self) -> Mapping[Stream, Place]:
        """Return up to where the member has accepted each stream of others."""
        rows = self._connection.execute("SELECT audience, publisher, epoch, seq FROM chain")
        return {
            Stream(AudienceId(audience), MemberId(publisher)): Place(epoch, seq)
            for audience, publisher, epoch, seq in rows
        }

    def statements(self) -> Iterator[StatementRow]:
        """Yield what the member has accepted from others, in order."""
        rows = self._connection.execute(
            "SELECT audience, publisher, epoch, seq, hash, code, record FROM statement"
            " ORDER BY audience, publisher, epoch, seq"
        )
        for audience, publisher, *rest in rows:
            yield StatementRow(AudienceId(audience), MemberId(publisher), *rest)

    def inbox(self) -> Iterator[HeldMessage]:
        """Yield every message held, in the order of arrival."""
        rows = self._connection.execute(
            "SELECT publisher, message_id, audience, epoch, seq, recipients, received_at, body"
            " FROM message ORDER BY position"
        )
        for publisher, message_id, audience, epoch, seq, recipients, received_at, item in rows:
            yield HeldMessage(
                MemberId(publisher),
                message_id,
                Stream(AudienceId(audience), MemberId(publisher)),
                Place(epoch, seq),
                frozenset(recipients.split()),
                received_at,
                item,
            )

    def refusals(self) -> list[Refusal]:
        """Return what was refused, oldest first."""
        rows = self._connection.execute(
            "SELECT audience, publisher, code, detail, record FROM quarantine ORDER BY position"
        )
        return [
            Refusal(self.member, Stream(AudienceId(audience), MemberId(publisher)), *rest)
            for audience, publisher, *rest in rows
        ]

    def holds_record(self, stream: Stream, record: bytes) -> bool:
        """Tell whether exactly these bytes were accepted into a stream."""
        found = self._connection.execute(
            "SELECT 1 FROM statement WHERE audience = ? AND publisher = ? AND record = ?",
            (stream.audience, stream.publisher, record),
        )
        return found.fetchone() is not None

    def open_gaps(self) -> int:
        """Return how many gaps are open."""
        return self._count("SELECT count(*) FROM gap")

    def contradictions(self) -> int:
        """Return how many records contradict what is held."""
        return self._count("SELECT count(*) FROM evidence")

    def _count(self, query: str) -> int:
        (count,) = self._connection.execute(query).fetchone()
        return int(count)


@contextmanager
def open_ledger(member: MemberId, store: Path) -> Iterator[Ledger]:
    """Lend one snapshot of a store; raise sqlite3.Error for a file that is none."""
    # Read-only: a missing file must be an error, not a new and empty store.
    connection = sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("BEGIN")
        yield Ledger(member, connection)
    finally:
        connection.close()
