"""A reader that is alive and confirms nothing more is told; one that catches up, or is gone, is not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from almenara.clock import to_micros
from almenara.model.ids import Stream
from almenara.node.answers import StreamState
from almenara.node.lateness import Waiting, late, waiting
from almenara.node.streams import Heard, Own, own_view
from almenara.node.watch import Facts
from almenara.store.inbox import ChainRow
from almenara.store.outbox import Asked, OwnHead
from almenara.store.witness import Claim, Word
from unit.trust.federation import AR, CL, CONDOR, NOW, PE, REGION, directory

if TYPE_CHECKING:
    from almenara.model.ids import MemberId

AFTER = timedelta(minutes=2)
MINUTE = timedelta(minutes=1)
OURS = Stream(REGION, PE)
HASH = bytes(32)
HEAD = OwnHead(
    audience=REGION,
    epoch=1,
    seq=9,
    hash=HASH,
    issued_at=to_micros(NOW),
    directory_version=1,
    fresh_epoch=False,
    key_id=HASH,
)


def word(reader: MemberId, seq: int) -> Word:
    at = to_micros(NOW)
    claim = Claim(audience=REGION, publisher=PE, witness=reader, epoch=1, seq=seq, hash=HASH, claimed_at=at)
    return Word(claim=claim, known=HASH, unmet_since=0)


def found(*words: Word, heard_after: timedelta | None = None, asked: int = 9) -> Facts:
    """Return our stream with these words, and AR heard of on op-condor that long after NOW."""
    rows = {}
    if heard_after is not None:
        row = ChainRow(audience=CONDOR, publisher=AR, heard_at=to_micros(NOW + heard_after))
        rows[Stream(CONDOR, AR)] = Heard(row=row)
    own = Own(head=HEAD, asked=Asked(epoch=1, seq=asked), words=words)
    return Facts(own={OURS: own}, heard=rows)


def looks(*facts: Facts) -> Waiting:
    """Return what is remembered after a look a minute, the first at NOW."""
    behind: Waiting = {}
    for number, each in enumerate(facts):
        behind = waiting(behind, each, directory=directory(), now=NOW + number * MINUTE)
    return behind


def test_who_is_alive_and_confirms_nothing_more_is_late_once_the_time_is_over() -> None:
    facts = found(word(AR, 5), word(CL, 9), heard_after=MINUTE)
    behind = looks(facts, facts, facts)
    assert late(behind, facts, now=NOW + AFTER, after=AFTER) == {OURS: {AR}}
    assert late(behind, facts, now=NOW + AFTER - MINUTE, after=AFTER) == {}


def test_who_never_said_a_word_is_late_too() -> None:
    facts = found(word(CL, 9), heard_after=MINUTE)
    assert late(looks(facts), facts, now=NOW + AFTER, after=AFTER) == {OURS: {AR}}


def test_after_a_clock_was_set_back_the_time_begins_anew() -> None:
    facts = found(word(AR, 5), word(CL, 9), heard_after=MINUTE)
    tomorrow = waiting({}, facts, directory=directory(), now=NOW + timedelta(days=1))
    behind = waiting(tomorrow, facts, directory=directory(), now=NOW)
    assert late(behind, facts, now=NOW + AFTER, after=AFTER) == {OURS: {AR}}


def test_who_is_gone_is_not_late() -> None:
    for facts in (found(word(CL, 9)), found(word(CL, 9), heard_after=-MINUTE)):
        assert late(looks(facts), facts, now=NOW + AFTER, after=AFTER) == {}


def test_who_reads_a_backlog_is_not_late() -> None:
    stories = [found(word(AR, seq), word(CL, 9), heard_after=2 * MINUTE) for seq in (3, 5, 7)]
    assert late(looks(*stories), stories[-1], now=NOW + AFTER, after=AFTER) == {}


def test_who_has_confirmed_all_that_asks_for_it_is_forgotten() -> None:
    behind = looks(found(word(AR, 5), word(CL, 9)), found(word(AR, 9), word(CL, 9)))
    assert behind == {}
    assert looks(found(asked=-1)) == {}


def test_the_stream_shows_it_as_an_alarm() -> None:
    own = Own(head=HEAD, asked=Asked(epoch=1, seq=9), words=(word(AR, 5), word(CL, 9)))
    readers = frozenset({AR, CL})
    view = own_view(
        OURS, own, readers=readers, keyless=frozenset(), fault=None, now=NOW, late=frozenset({AR, CL})
    )
    assert (view.state, view.unconfirmed, view.behind) == (StreamState.UNCONFIRMED, (AR,), (AR,))
    assert "AR confirms nothing more" in view.detail
    quiet = own_view(OURS, own, readers=readers, keyless=frozenset(), fault=None, now=NOW)
    assert (quiet.state, quiet.unconfirmed) == (StreamState.OK, ())
