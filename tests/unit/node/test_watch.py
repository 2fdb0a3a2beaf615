"""What others claim of a stream is measured against what is held, and a contradiction stays on record."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from almenara.model.bodies import Received
from almenara.model.ids import Stream
from almenara.model.values import Digest
from almenara.node import watch
from almenara.node.answers import StreamState
from almenara.publisher.receipts import receipt_message
from almenara.store import inbox
from almenara.store.quarantine import FORKED_CLAIM, evidence_of
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import AR, CL, NOW, PE, REGION, directory

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from almenara.node.answers import StreamView

SECOND = timedelta(seconds=1)
PE_STREAM, CL_STREAM = Stream(REGION, PE), Stream(REGION, CL)


@pytest.fixture
def author() -> Author:
    return Author()


@pytest.fixture
def witness() -> Author:
    return Author(CL)


@pytest.fixture
def reader(tmp_path: Path) -> ReaderSite:
    return ReaderSite(tmp_path)


def views(reader: ReaderSite, now: datetime) -> dict[Stream, StreamView]:
    found = reader.store.read_now(lambda c: watch.facts(c, AR, directory(), now=NOW))
    shown = watch.views(
        found, directory=directory(), faults={}, now=now, withheld_after=timedelta(seconds=30)
    )
    return {Stream(view.audience, view.publisher): view for view in shown}


def state(reader: ReaderSite, now: datetime) -> StreamState:
    return views(reader, now)[PE_STREAM].state


def receipt(witness: Author, author: Author, *, seq: int, claimed: bytes) -> bytes:
    """Return the witness's receipt that it holds the author's stream up to there."""
    assert author.head is not None
    vector = (Received(publisher=PE, epoch=author.head.epoch, seq=seq, hash=Digest(claimed)),)
    return witness.says(receipt_message(vector, now=NOW))


def tells(reader: ReaderSite, offset: int, record: bytes, at: datetime) -> None:
    """Let the reader hear a record of the witness, then go on with the author's stream."""
    reader.stream = CL_STREAM
    reader.reads((offset, record), at=at)
    reader.stream = PE_STREAM


def test_a_receipt_that_knows_more_is_withheld_once_the_wait_is_over(
    author: Author, witness: Author, reader: ReaderSite
) -> None:
    reader.reads(author.says(alert(1)))
    withheld = author.says(alert(2))
    assert author.head is not None
    for number in range(3):  # it says so every ten seconds; the wait does not begin anew
        said = receipt(witness, author, seq=1, claimed=author.head.hash)
        tells(reader, number, said, NOW + 10 * number * SECOND)
    assert state(reader, NOW + 29 * SECOND) is StreamState.OK
    assert state(reader, NOW + 31 * SECOND) is StreamState.WITHHELD
    assert "CL knows statement" in views(reader, NOW + 31 * SECOND)[PE_STREAM].detail
    reader.reads((1, withheld), at=NOW + 32 * SECOND)
    assert state(reader, NOW + 60 * SECOND) is StreamState.OK


def test_a_heartbeat_that_knows_more_is_withheld_too(author: Author, reader: ReaderSite) -> None:
    reader.reads(author.says(alert(1)))
    author.says(alert(2))
    reader.reads((2, author.beats()))
    assert state(reader, NOW + 29 * SECOND) is StreamState.OK
    assert state(reader, NOW + 31 * SECOND) is StreamState.WITHHELD


def test_a_heartbeat_of_another_chain_is_evidence_at_once(author: Author, reader: ReaderSite) -> None:
    other = Author()
    reader.reads(author.says(alert(1)))
    other.says(alert(2))  # the same place, another statement
    record = other.beats()
    reader.reads((1, record))
    (evidence,) = reader.store.read_now(evidence_of)
    assert (evidence.kind, evidence.record) == (FORKED_CLAIM, record)
    assert state(reader, NOW + SECOND) is StreamState.EQUIVOCATION


def test_a_contradicting_receipt_stays_on_record_when_the_next_one_agrees(
    author: Author, witness: Author, reader: ReaderSite
) -> None:
    reader.reads(author.says(alert(1)))
    assert author.head is not None
    lie = receipt(witness, author, seq=0, claimed=b"x" * 32)
    tells(reader, 0, lie, NOW)
    found = reader.store.read_now(lambda c: watch.facts(c, AR, directory(), now=NOW))
    for _ in range(2):
        reader.store.write_now(lambda c: watch.keep_forks(c, words=watch.forks(found), now=NOW))
    tells(reader, 1, receipt(witness, author, seq=0, claimed=author.head.hash), NOW)
    (evidence,) = reader.store.read_now(evidence_of)
    assert (evidence.kind, evidence.publisher, evidence.hash) == (FORKED_CLAIM, PE, b"x" * 32)
    assert evidence.known_hash == author.head.hash
    assert evidence.record == lie
    assert state(reader, NOW + SECOND) is StreamState.EQUIVOCATION


def test_a_stream_that_stands_still_says_what_it_waits_for(author: Author, reader: ReaderSite) -> None:
    first, *_, last = [author.says(alert(number)) for number in range(4)]
    reader.reads(first, (3, last))
    assert state(reader, NOW + SECOND) is StreamState.GAP
    assert reader.store.read_now(inbox.chains)[PE_STREAM].wait_code == "GAP"
    reader.reads(*enumerate(author.records))
    assert state(reader, NOW + SECOND) is StreamState.OK


def test_only_changes_are_logged_and_alarms_as_errors(author: Author, reader: ReaderSite) -> None:
    reader.reads(author.says(alert(1)), author.beats())
    states: dict[Stream, StreamState] = {}
    with capture_logs() as logs:
        for after in (1, 2, 40, 41, 42):
            shown = [views(reader, NOW + after * SECOND)[PE_STREAM]]
            states = watch.report(states, shown)
    assert [(log["log_level"], log["state"]) for log in logs] == [("info", "OK"), ("error", "STALE")]
