"""A publisher's stream and a reader's store without a broker between them: records pass as a list."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from msgspec.structs import replace

from almenara.bus.received import Received
from almenara.errors import AlmenaraError
from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.model.uuid7 import uuid7
from almenara.publisher.accept import accept
from almenara.publisher.groups import grouped
from almenara.publisher.sealing import Sealer
from almenara.publisher.shares import share_message
from almenara.store.database import Store
from almenara.store.owed import Debt
from almenara.store.views import InboxEntry, entries_after
from almenara.store.wanted import InboxFilter
from almenara.subscriber.absorb import Absorbed, Absorber
from almenara.trust.heldkeys import HeldKeys
from unit.model.drafts import ALERT
from unit.trust.federation import AR, KEYS, NOW, PE, REGION, directory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from almenara.model.messages import Message
    from almenara.store.outbox import OwnHead
    from almenara.store.place import Place
    from almenara.trust.directory import Directory
    from almenara.trust.keyuri import Signer

GAP_WAIT = timedelta(seconds=60)
HEARTBEAT_EVERY = timedelta(seconds=30)


def alert(number: int, **changes: Any) -> Message:  # noqa: ANN401 - any field
    """Return the alert of that number; the same number gives the same id."""
    identity = uuid7(ALERT.issued_at, entropy=number.to_bytes(10, "big"))
    return replace(ALERT, **{"message_id": identity, "reference": f"PE-2026-{number:06}", **changes})


class Author:
    """A member that publishes on one audience and keeps every record it made, in order."""

    def __init__(
        self, member: MemberId = PE, audience: AudienceId = REGION, *, keys: Sequence[Signer] = ()
    ) -> None:
        self.member = member
        self.stream = Stream(audience, member)
        held: HeldKeys[Signer] = HeldKeys(keys or [KEYS[member].signing])
        self._sealer = Sealer(federation="ams", member=member, signing_keys=held)
        self.head: OwnHead | None = None
        self.records: list[bytes] = []
        self.debts: list[Debt] = []

    def says(
        self,
        *messages: Message,
        to: tuple[MemberId, ...] | None = None,
        known: Directory | None = None,
        at: datetime = NOW,
    ) -> bytes:
        """Return the record of one more statement that holds these messages."""
        known = known or directory()
        accepted = [
            accept(message, member=self.member, audience=self.stream.audience, to=to, directory=known, now=at)
            for message in messages
        ]
        heads = {self.stream.audience: self.head} if self.head else {}
        drafts, keys = self._sealer.draft(list(grouped(accepted)), heads=heads, directory=known, now=at)
        self._sealer.adopt(keys)
        (draft,) = drafts
        self.head = draft.after
        self.records.extend(record.record for record in draft.records)
        announced = {row.key_id: row.key or b"" for row in draft.announced}
        self.debts.extend(Debt(owed=each, key=announced[each.key_id]) for each in draft.owed)
        return self.records[-1]

    def shares(self, to: MemberId, *, known: Directory, at: datetime = NOW) -> bytes:
        """Return the record that hands a member every key it was owed."""
        debts = [debt for debt in self.debts if debt.owed.member == to]
        return self.says(share_message(debts, now=at), to=(to,), known=known, at=at)

    def beats(self, at: datetime = NOW, known: Directory | None = None) -> bytes:
        """Return a heartbeat about the head as it stands."""
        record = self._sealer.heartbeat(
            self.stream.audience,
            self.head,
            directory=known or directory(),
            now=at,
            next_by=at + HEARTBEAT_EVERY,
        )
        self.records.append(record)
        return record


class Delivered(NamedTuple):
    """What stands in the inbox, for comparison."""

    message_id: UUID
    flags: str


class ReaderSite:
    """A member that reads one stream into a store of its own."""

    def __init__(
        self,
        folder: Path,
        member: MemberId = AR,
        stream: Stream | None = None,
        *,
        place: Place | None = None,
    ) -> None:
        self.member = member
        self.stream = stream or Stream(REGION, PE)
        self.store = Store.create(place or folder / f"{member}.db")
        self.absorber = Absorber(member=member, sealing_keys=[KEYS[member].sealing], gap_wait=GAP_WAIT)

    def reads(
        self, *records: bytes | tuple[int, bytes], known: Directory | None = None, at: datetime = NOW
    ) -> Absorbed:
        """Absorb these records; one without an offset follows the one before it, from 0."""
        numbered: list[tuple[Stream, Received]] = []
        for index, record in enumerate(records):
            offset, value = record if isinstance(record, tuple) else (index, record)
            numbered.append((self.stream, Received("topic", offset, value, 0)))

        def work() -> Absorbed:
            try:
                absorbed = self.store.write_now(
                    lambda c: self.absorber.absorb(c, numbered, directory=known or directory(), now=at)
                )
            except AlmenaraError:
                self.absorber.rolled_back()
                raise
            self.absorber.committed()
            return absorbed

        return work()

    def restarts(self) -> None:
        """Forget everything that is not in the store."""
        self.absorber = Absorber(
            member=self.member, sealing_keys=[KEYS[self.member].sealing], gap_wait=GAP_WAIT
        )

    @property
    def inbox(self) -> list[InboxEntry]:
        """Return what was delivered, oldest first."""
        return self.store.read_now(lambda c: entries_after(c, InboxFilter(), position=0, limit=10_000))

    @property
    def ids(self) -> list[UUID]:
        """Return the ids of what was delivered, oldest first."""
        return [UUID(bytes=entry.row.message_id) for entry in self.inbox]
