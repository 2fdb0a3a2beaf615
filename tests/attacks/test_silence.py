"""Whatever the operator keeps back shows in time, and delays little (THREATS 8)."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from almenara.model.ids import REGION, Stream
from almenara.node import watch
from almenara.node.answers import StreamState
from almenara.publisher.receipts import receipt_message, vector
from almenara.store.quarantine import evidence_of
from attacks.operator_site import Operated, Story
from unit.subscriber.stream import GAP_WAIT, Author, ReaderSite, alert
from unit.trust.federation import AR, CL, NOW, PE, directory

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.store.database import Store

pytestmark = pytest.mark.attacks

MINUTE = timedelta(seconds=60)
WITHHELD_AFTER = timedelta(seconds=30)
HOME = Stream(REGION, PE)
LOUD = {StreamState.GAP, StreamState.WITHHELD, StreamState.EQUIVOCATION}


def state(store: Store, now: datetime) -> StreamState:
    """Return what AR's node shows of PE's stream, once it has looked for contradictions."""
    found = store.read_now(lambda c: watch.facts(c, AR, directory(), now=now))
    store.write_now(lambda c: watch.keep_forks(c, words=watch.forks(found), now=now))
    shown = watch.views(found, directory=directory(), faults={}, now=now, withheld_after=WITHHELD_AFTER)
    return next(view.state for view in shown if (view.audience, view.publisher) == HOME)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.lists(st.integers(0, 8), max_size=12))
def test_what_is_kept_back_shows_within_a_minute_of_the_next_heartbeat(
    length: int, served: list[int]
) -> None:
    """The operator serves some statements, in any order and more than once, then the heartbeat."""
    with TemporaryDirectory() as folder, closing(Operated(Path(folder))) as site:
        story = Story()
        said = [story.says() for _ in range(length)]
        for index in served:
            site.topic.append(said[index % length].record)
            site.poll(1)
        site.topic.append(story.author.beats(site.now))
        heartbeat_at = site.now
        site.read_on()
        assert site.now - heartbeat_at <= MINUTE
        seen = state(site.reader.store, site.now + MINUTE)  # while it stood still it showed the gap
        whole = site.gaps == () and site.held_at(said[-1].place) == said[-1].hash
        assert (seen in LOUD) is not whole


DROPPED = {
    "one": {3},
    "every second": set(range(1, 31, 2)),
    "two of three": set(range(1, 31)) - set(range(3, 31, 3)),
    "all between the first and the last": set(range(1, 31)),
    "two runs": {*range(2, 9), *range(20, 25)},
}


@pytest.mark.parametrize("dropped", DROPPED.values(), ids=DROPPED.keys())
def test_gaps_delay_what_follows_by_a_minute_in_all_however_many_they_are(dropped: set[int]) -> None:
    with TemporaryDirectory() as folder, closing(Operated(Path(folder))) as site:
        story = Story()
        said = [story.says() for _ in range(32)]
        kept = [each for number, each in enumerate(said) if number not in dropped]
        for each in kept:
            site.topic.append(each.record)
        site.read_on()
        assert site.now - NOW <= GAP_WAIT
        assert site.reader.ids == [each.message for each in kept]
        # The operator thinks better of it: all that was missing is delivered, and no gap stays.
        for number in sorted(dropped, reverse=True):
            site.topic.append(said[number].record)
        site.read_on()
        assert sorted(site.reader.ids) == [each.message for each in said]
        assert site.gaps == ()


def confirmed(reader: ReaderSite, author: Author, at: datetime) -> bytes:
    """Return the record of a reader's receipt for what its store holds of the region."""
    received = reader.store.read_now(lambda c: vector(c, REGION))
    return author.says(receipt_message(received, now=at), at=at)


def test_two_readers_that_were_shown_two_faces_find_out_by_their_receipts(tmp_path: Path) -> None:
    """PE and the operator together: one statement for AR, another at its place for CL."""
    one, other = Author(), Author()
    shared = one.says(alert(0))
    other.head = one.head
    ar, cl = ReaderSite(tmp_path, AR), ReaderSite(tmp_path, CL)
    ar.reads(shared, one.says(alert(1)))
    cl.reads(shared, other.says(alert(2)))
    assert state(ar.store, NOW) is StreamState.OK
    receipt = confirmed(cl, Author(CL), NOW)
    ar.stream = Stream(REGION, CL)
    ar.reads(receipt)
    assert state(ar.store, NOW) is StreamState.EQUIVOCATION
    (evidence,) = ar.store.read_now(evidence_of)
    assert (evidence.publisher, evidence.record) == (PE, receipt), "and can show it to others"


def test_a_statement_kept_from_one_reader_shows_by_the_receipt_of_another(tmp_path: Path) -> None:
    author = Author()
    first, second = author.says(alert(1)), author.says(alert(2))
    ar, cl = ReaderSite(tmp_path, AR), ReaderSite(tmp_path, CL)
    ar.reads(first)
    cl.reads(first, second)
    receipt = confirmed(cl, Author(CL), NOW)
    ar.stream = Stream(REGION, CL)
    ar.reads(receipt)
    assert state(ar.store, NOW + MINUTE) is StreamState.WITHHELD


def test_old_heartbeats_shown_again_do_not_hide_that_a_member_has_gone_silent(tmp_path: Path) -> None:
    author, site = Author(), ReaderSite(tmp_path)
    first, beat = author.says(alert(1)), author.beats()
    site.reads(first, beat)
    assert state(site.store, NOW) is StreamState.OK
    for number in range(10):
        site.reads((2 + number, beat), at=NOW + number * MINUTE)
    assert state(site.store, NOW + 10 * MINUTE) is StreamState.STALE


def test_a_stream_that_is_let_through_drop_by_drop_shows_as_withheld(tmp_path: Path) -> None:
    """The operator lets one old statement through now and then, and falls ever further behind."""
    author, site = Author(), ReaderSite(tmp_path)
    said = [author.says(alert(number)) for number in range(100)]
    latest = author.beats()
    site.reads(said[0], (200, latest))
    states = set()
    for second in range(0, 120, 4):
        now = NOW + timedelta(seconds=second)
        site.reads((1 + second, said[1 + second // 4]), at=now)
        states.add(state(site.store, now))
    assert StreamState.WITHHELD in states
