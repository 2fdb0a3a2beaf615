"""Up to where is a stream signed post-quantum, as a reader's store remembers it?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from msgspec.structs import replace

from almenara.errors import Code
from almenara.publisher.checkpoints import due
from almenara.publisher.sealing import Sealer
from almenara.store import inbox
from almenara.store.quarantine import refusals
from almenara.trust.heldkeys import HeldKeys
from almenara.trust.keys import CheckpointKey
from almenara.trust.targets import member_target
from almenara.wire.records import encode_record, parse_record
from unit.subscriber.stream import GAP_WAIT, Author, ReaderSite, alert
from unit.trust.federation import KEYS, NOW, PE, directory, enrol, member_file, targets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from almenara.store.place import Place
    from almenara.subscriber.absorb import Absorbed

SECOND = timedelta(seconds=1)
KEY = CheckpointKey(MLDSA65PrivateKey.generate())
FILES = {**targets(), member_target(PE): member_file(enrol(PE, checkpoint=KEY))}
KNOWN = directory(FILES)


class Closing(Author):
    """PE, which closes its history when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._sealer = Sealer(
            federation="ams",
            member=PE,
            signing_keys=HeldKeys([KEYS[PE].signing]),
            checkpoint_keys=HeldKeys([KEY]),
        )

    def closes(self) -> bytes:
        """Return the record of a checkpoint of all that was said."""
        assert self.head is not None
        groups = due([self.head], interval=timedelta(0), now=NOW)
        heads = {self.stream.audience: self.head}
        ((draft,), keys) = self._sealer.draft(groups, heads=heads, directory=KNOWN, now=NOW)
        self._sealer.adopt(keys)
        self.head = draft.after
        self.records.append(draft.records[0].record)
        return self.records[-1]


@pytest.fixture
def author() -> Closing:
    return Closing()


@pytest.fixture
def reader(tmp_path: Path, place: Place) -> Iterator[ReaderSite]:
    made = ReaderSite(tmp_path, place=place)
    yield made
    made.store.close()


def read(reader: ReaderSite, *records: bytes | tuple[int, bytes], late: bool = False) -> Absorbed:
    return reader.reads(*records, known=KNOWN, at=NOW + GAP_WAIT if late else NOW)


def covered(reader: ReaderSite) -> tuple[int, int]:
    """Return seq of head and checkpoint, as the store has them."""
    row = reader.store.read_now(inbox.chains)[reader.stream]
    return row.seq, row.checkpoint_seq


def numbered(records: Sequence[bytes], start: int) -> list[tuple[int, bytes]]:
    return list(enumerate(records, start))


def test_a_reader_remembers_the_last_checkpoint(author: Closing, reader: ReaderSite) -> None:
    read(reader, author.says(alert(0)))
    assert covered(reader) == (0, -1)
    delivered = read(reader, (1, author.closes()), (2, author.says(alert(1)))).delivered
    assert (covered(reader), delivered) == ((2, 1), 1)
    read(reader, (3, author.closes()))
    reader.restarts()
    read(reader, (4, author.says(alert(2))))
    assert covered(reader) == (4, 3)
    assert reader.store.read_now(refusals) == []
    assert len(reader.ids) == 3


def test_a_stripped_signature_advances_nothing_and_the_whole_checkpoint_is_taken_later(
    author: Closing, reader: ReaderSite
) -> None:
    first, checkpoint = author.says(alert(0)), author.closes()
    record = parse_record(checkpoint)
    stripped = encode_record(replace(record, signatures=record.signatures[:1]))
    read(reader, first, stripped)
    assert covered(reader) == (0, -1)
    assert [(r.code, r.proven) for r in reader.store.read_now(refusals)] == [(Code.UNSIGNED, False)]
    read(reader, (2, checkpoint))
    assert covered(reader) == (1, 1)


def test_a_checkpoint_that_fills_a_gap_late_does_not_take_back_a_later_one(
    author: Closing, reader: ReaderSite
) -> None:
    first, early = author.says(alert(0)), author.closes()
    author.says(alert(1))
    last = author.closes()
    read(reader, first)
    read(reader, (3, last))
    read(reader, (3, last), late=True)
    assert covered(reader) == (3, 3)
    read(reader, *numbered([early], 4), late=True)
    assert covered(reader) == (3, 3)


def test_an_epoch_that_gives_up_a_checkpoint_is_covered_to_where_it_stands_by(
    author: Closing, reader: ReaderSite
) -> None:
    author.says(alert(0))
    stands_by = author.head
    author.says(alert(1))
    author.closes()
    read(reader, *author.records)
    assert covered(reader) == (2, 2)
    assert stands_by is not None
    author.head = replace(stands_by, fresh_epoch=True)
    read(reader, (3, author.says(alert(2), at=NOW + SECOND)))
    row = reader.store.read_now(inbox.chains)[reader.stream]
    assert (row.epoch > stands_by.epoch, row.seq) == (True, 0)
    assert (row.checkpoint_epoch, row.checkpoint_seq) == (stands_by.epoch, stands_by.seq)
