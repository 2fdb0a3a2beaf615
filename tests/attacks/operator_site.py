"""An operator that serves a topic as it likes, and a reader that follows it as the subscriber does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from almenara.bus.received import Received
from almenara.store import inbox
from almenara.trust.admit import VerifiedStatement, admit, read_statement
from almenara.wire.chain import Place
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import NOW, directory

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from almenara.model.ids import MemberId
    from almenara.store.inbox import ChainRow
    from almenara.store.outbox import OwnHead
    from almenara.subscriber.state import Seek
    from almenara.trust.directory import Directory
    from almenara.wire.chain import OpenGap

SECOND = timedelta(seconds=1)
POLLS_MAX = 5_000


class Said(NamedTuple):
    """One signed statement, as its author knows it."""

    place: Place
    hash: bytes
    record: bytes
    message: UUID
    to: tuple[MemberId, ...]
    announced_at: Place
    head: OwnHead


class Story:
    """An author, all it signed, and the line of statements that it stands by."""

    def __init__(self) -> None:
        self.author = Author()
        self.now = NOW
        self.signed: list[Said] = []
        self.line: list[Said] = []
        self._announced: dict[bytes, Place] = {}
        self._lists: list[tuple[MemberId, ...]] = []

    def says(self, to: tuple[MemberId, ...] = (), *, number: int | None = None, text: str = "") -> Said:
        """Sign one statement; a number that was used before says that message again to the same readers."""
        if number is None:
            number = len(self._lists)
            self._lists.append(to)
        to = self._lists[number]
        message = alert(number, reference=f"PE-2026-{number:06}{text}")
        record = self.author.says(message, to=to or None, at=self.now)
        verified = admit(record, stream=self.author.stream, directory=directory(), now=self.now)
        assert isinstance(verified, VerifiedStatement)
        assert self.author.head is not None
        place = Place(verified.head.epoch, verified.head.seq)
        if read_statement(verified).key_wraps:
            self._announced[verified.head.sender_key] = place
        said = Said(
            place=place,
            hash=verified.statement_hash,
            record=record,
            message=message.message_id,
            to=to,
            announced_at=self._announced[verified.head.sender_key],
            head=self.author.head,
        )
        self.signed.append(said)
        self.line.append(said)
        return said

    def repeats(self, number: int) -> None:
        """Say an earlier message again, as a system does that missed the answer."""
        self.says(number=number % len(self._lists))

    def restores(self, back: int) -> None:
        """Lose the last statements and open an epoch, as after a restore of the store."""
        self.now += SECOND
        self.line = self.line[: max(1, len(self.line) - back)]
        self.author.head = replace(self.line[-1].head, fresh_epoch=True)

    def forks(self, back: int, text: str) -> None:
        """Lie: go on from an earlier statement as if the later ones had not been signed."""
        self.line = self.line[: max(1, len(self.line) - back)]
        self.author.head = self.line[-1].head
        self.says(text=text)


class OperatedTopic:
    """A topic in memory under the operator's hand; left alone it is as Kafka's (test_contract.py)."""

    def __init__(self) -> None:
        self.log: list[bytes | None] = []

    def append(self, record: bytes) -> None:
        self.log.append(record)

    def rewrite(self, place: int, record: bytes | None) -> None:
        """Serve something else, or nothing, at an offset."""
        if self.log:
            self.log[place % len(self.log)] = record

    def recreate(self, records: list[bytes]) -> None:
        """Make the topic anew: offsets begin again at 0."""
        self.log = list(records)

    def read(self, position: int, count: int) -> tuple[list[tuple[int, bytes]], int]:
        """Return what stands at so many offsets from a position, and the next position.

        A position out of range is moved to the earliest, as `bus.kafka.Reader` does.
        """
        begin = position if position <= len(self.log) else 0
        served = range(begin, min(begin + count, len(self.log)))
        return [(at, record) for at in served if (record := self.log[at]) is not None], served.stop


class Operated:
    """A topic under the operator's hand, and the reader's place in it, as `Subscriber` keeps it."""

    def __init__(self, folder: Path) -> None:
        self.reader = ReaderSite(folder)
        self.topic = OperatedTopic()
        self.now = NOW
        self.position = 0
        self.seek: Seek | None = None
        self.delivered = 0
        self.known = directory()

    def learns(self, known: Directory) -> None:
        """Take up a directory as `Subscriber` does: what was passed over for its key is judged again."""
        self.known = known
        stream = self.reader.stream
        self.reader.store.write_now(lambda c: self.reader.absorber.look_again(c, [stream]))
        self.reader.absorber.committed()
        row = self.reader.store.read_now(inbox.chains).get(stream)
        self.position = row.next_offset if row else 0
        self.seek = None

    def close(self) -> None:
        self.reader.store.close()

    def restart(self) -> None:
        """Kill the reader: only its store remains."""
        self.reader.restarts()
        self.learns(self.known)

    def poll(self, count: int, *, killed: bool = False) -> None:
        """Read and absorb some records; `killed` dies before the commit."""
        if self.seek is not None:
            if self.seek.at > self.now:
                return  # the stream stands; what is fetched meanwhile is dropped
            self.position = self.seek.offset or 0
            self.seek = None
        found, self.position = self.topic.read(self.position, count)
        if killed:
            self._dies_before_the_commit(found)
            return
        absorbed = self.reader.reads(*found, known=self.known, at=self.now)
        self.delivered += absorbed.delivered
        self.seek = absorbed.seeks.get(self.reader.stream)

    def _dies_before_the_commit(self, found: list[tuple[int, bytes]]) -> None:
        stream = self.reader.stream
        records = [(stream, Received("topic", offset, record, 0)) for offset, record in found]

        def work() -> None:
            self.reader.store.write_now(
                lambda c: (
                    self.reader.absorber.absorb(c, records, directory=self.known, now=self.now),
                    1 / 0,
                )
            )

        try:
            work()
        except ZeroDivisionError:
            self.restart()

    def read_on(self) -> None:
        """Read to the end, waiting wherever the stream stands."""
        for _ in range(POLLS_MAX):
            if self.seek is None and self.position == len(self.topic.log):
                return
            if self.seek is not None and self.seek.at > self.now:
                self.now = self.seek.at
            self.poll(10)
        raise AssertionError("the stream never gets to its end")

    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @property
    def row(self) -> ChainRow:
        """Return how the stream stands in the store."""
        return self.reader.store.read_now(inbox.chains)[self.reader.stream]

    @property
    def gaps(self) -> tuple[OpenGap, ...]:
        return self.reader.store.read_now(inbox.gaps).get(self.reader.stream, ())

    def held_at(self, place: Place) -> bytes | None:
        return self.reader.store.read_now(lambda c: inbox.hash_at(c, self.reader.stream, *place))
