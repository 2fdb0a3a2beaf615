"""Is a chain in a store whole? Every hash from the signed bytes anew, every link followed."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from almenara.errors import RecordRefused
from almenara.model.ids import Stream
from almenara.wire.records import GENESIS_PREV, parse_record, parse_statement, statement_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from almenara.model.ids import AudienceId, MemberId


class Place(NamedTuple):
    """Where a statement stands in its stream."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}/{self.seq}"


class StatementRow(NamedTuple):
    """One statement as a store keeps it; `code` "" when its content was opened."""

    audience: AudienceId
    publisher: MemberId
    epoch: int
    seq: int
    hash: bytes
    code: str
    record: bytes


class Link(NamedTuple):
    """One statement of a chain that was looked at."""

    hash: bytes
    code: str


class Chain(NamedTuple):
    """One stream in one store: its statements in order, and what is wrong with them."""

    links: dict[Place, Link]
    faults: Sequence[str]

    @property
    def end(self) -> Place:
        """Return the place of the last statement."""
        return next(reversed(self.links))


class _Facts(NamedTuple):
    """What the signed bytes of a statement say."""

    stream: Stream
    place: Place
    prev: bytes
    hash: bytes


class ChainReader:
    """Walk chains. The bytes of a statement are the same in every store, so they are read once."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Facts | str] = {}

    def read(self, rows: Iterable[StatementRow], *, holder: MemberId) -> Mapping[Stream, Chain]:
        """Return the chain of every stream; the rows of one stream must come in order."""
        links: dict[Stream, dict[Place, Link]] = {}
        faults: dict[Stream, list[str]] = {}
        for row in rows:
            stream, place = Stream(row.audience, row.publisher), Place(row.epoch, row.seq)
            before = links.setdefault(stream, {})
            fault = self._fault(row, stream, place, before)
            if fault is not None:
                faults.setdefault(stream, []).append(
                    f"stream {stream}: statement {place} at {holder} {fault}"
                )
            before[place] = Link(row.hash, row.code)
        return {stream: Chain(chain, faults.get(stream, ())) for stream, chain in links.items()}

    def _fault(self, row: StatementRow, stream: Stream, place: Place, chain: dict[Place, Link]) -> str | None:
        facts = self._facts(row.record)
        if isinstance(facts, str):
            return f"cannot be read ({facts})"
        if facts.hash != row.hash:
            return "has another hash than its signed bytes"
        if (facts.stream, facts.place) != (stream, place):
            return f"says of itself that it is {facts.place} of {facts.stream}"
        if not chain:
            follows = place.seq == 0 and facts.prev == GENESIS_PREV
            return None if follows else "does not follow the beginning"
        last = next(reversed(chain))
        expected = Place(last.epoch, last.seq + 1) if last.epoch == place.epoch else Place(place.epoch, 0)
        follows = place == expected and facts.prev == chain[last].hash
        return None if follows else f"does not follow {last}"

    def _facts(self, record: bytes) -> _Facts | str:
        key = sha256(record).digest()
        if key not in self._known:
            self._known[key] = _read(record)
        return self._known[key]


def _read(record: bytes) -> _Facts | str:
    try:
        payload = parse_record(record).payload
        head = parse_statement(payload).head
    except RecordRefused as refusal:
        return str(refusal.code)
    return _Facts(
        Stream(head.audience, head.publisher), Place(head.epoch, head.seq), head.prev, statement_hash(payload)
    )
