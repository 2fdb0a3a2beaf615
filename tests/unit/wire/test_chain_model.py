"""A reader that follows chain.py, an operator that drops, repeats and reorders, an author that may lie."""

from __future__ import annotations

from itertools import pairwise
from typing import assert_never

from hypothesis import given, settings
from hypothesis import strategies as st

from almenara.wire.chain import (
    Anchor,
    BeforeAnchor,
    ChainState,
    Duplicate,
    Early,
    Equivocation,
    Fill,
    Gap,
    NewEpoch,
    Next,
    OldEpoch,
    Place,
    Span,
    Step,
    Unproven,
    after_gap,
    judge,
)
from almenara.wire.records import GENESIS_PREV
from unit.wire.chains import Link, run


class Reader:
    """What a subscriber does with the steps, without keys, store or clock."""

    def __init__(self) -> None:
        self.chain: ChainState | None = None
        self.held: dict[Place, Link] = {}
        self.accepted: list[Place] = []
        self.truncated: set[Place] = set()
        self.waiting: set[Link] = set()
        self.began = Place(0, 0)
        self.alarms = 0

    def receive(self, link: Link) -> None:
        """Judge a statement, then all that waits, from the highest, until nothing more is accepted."""
        moved = self._take(link)
        while moved:
            waiting = sorted(self.waiting, reverse=True)
            self.waiting = set()
            moved = sum(self._take(each) for each in waiting) > 0

    def stop_waiting(self) -> None:
        """Let the lowest statement beyond a gap through, as a subscriber does after its wait."""
        for link in sorted(self.waiting):
            if isinstance(self._judge(link), Gap):
                self.waiting.remove(link)
                assert self.chain is not None
                self._accept(link, after_gap(link.head, link.hash, chain=self.chain))
                self.receive(link)
                return

    def _judge(self, link: Link) -> Step:
        known = self.held.get(link.place)
        prev_at = next((p for p, each in self.held.items() if each.hash == link.prev), None)
        return judge(
            link.head,
            link.hash,
            chain=self.chain,
            known=known.hash if known else None,
            prev_at=prev_at if link.seq == 0 else None,
        )

    def _take(self, link: Link) -> bool:
        step = self._judge(link)
        known = self.held.get(link.place)
        if known is not None:
            assert isinstance(step, Duplicate if known == link else Equivocation)
        match step:
            case Anchor():
                self.began = link.place
                return self._accept(link, step.chain)
            case Next():
                return self._accept(link, step.chain)
            case NewEpoch():
                return self._accept(link, step.chain, step.truncated)
            case Fill():
                assert self.chain is not None
                if not any(gap.low < link.place < gap.high for gap in self.chain.gaps):
                    self.began = link.place  # the author stands by what lies before the anchor
                return self._accept(link, step.chain, *step.truncated)
            case Gap() | Early():
                self.waiting.add(link)
                return False
            case Equivocation():
                self.alarms += 1
                return False
            case Duplicate() | BeforeAnchor() | OldEpoch() | Unproven():
                return False
            case _:
                assert_never(step)

    def _accept(self, link: Link, chain: ChainState, *spans: Span | None) -> bool:
        self.accepted.append(link.place)
        for span in spans:
            if span is not None:
                self.truncated |= {p for p in self.held if span.after < p < span.before}
        self.held[link.place] = link
        self._stands_by(link)
        self.chain = chain
        self.check()
        return True

    def _stands_by(self, link: Link) -> None:
        """Count what an author gave up, and stands by again with this statement, as its history."""
        before = next((p for p in self.truncated if self.held[p].hash == link.prev), None)
        follows = before is not None and (
            before < link.place if link.seq == 0 else before == (link.epoch, link.seq - 1)
        )
        if before is not None and follows:
            self.truncated.remove(before)
            self._stands_by(self.held[before])

    def check(self) -> None:
        """Fail if two neighbours are delivered as one history that do not link, with no gap shown."""
        assert self.chain is not None
        assert self.chain.hash == self.held[self.chain.place].hash
        assert self.chain.place == max(self.held)
        places = [p for p in sorted(self.held) if p >= self.began and p not in self.truncated]
        open_gaps = {(gap.low, gap.high) for gap in self.chain.gaps}
        for low, high in pairwise(places):
            link = self.held[high]
            opens = link.seq == 0
            follows = opens or high == (low.epoch, low.seq + 1)
            linked = follows and link.prev in {self.held[low].hash, *([GENESIS_PREV] if opens else [])}
            assert linked != ((low, high) in open_gaps), (low, high)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Link], list[Link]]:
    """Return all that an honest author signed, in order, and the line it stands by in the end."""
    line = run(1, prev=GENESIS_PREV, length=draw(st.integers(1, 6)))
    signed = list(line)
    for epoch in range(2, 2 + draw(st.integers(0, 3))):
        line = line[: draw(st.integers(max(0, len(line) - 4), len(line)))]
        more = run(epoch, prev=line[-1].hash if line else GENESIS_PREV, length=draw(st.integers(1, 5)))
        line = line + more
        signed += more
    return signed, line


@st.composite
def lying_histories(draw: st.DrawFn) -> list[Link]:
    """Return what an author signed that continues from statements of its choice, under any number."""
    signed = [Link(1, 0, GENESIS_PREV)]
    for number in range(draw(st.integers(1, 12))):
        base = draw(st.sampled_from(signed))
        if draw(st.integers(0, 4)):
            place = (base.epoch, base.seq + 1)
        else:
            place = (draw(st.integers(1, 4)), draw(st.integers(0, 3)))
        prev = draw(st.sampled_from([base.hash] * 6 + [GENESIS_PREV, b"\7" * 32]))
        signed.append(Link(*place, prev, str(draw(st.sampled_from([number, 0])))))
    return signed


def deliver(reader: Reader, links: list[Link], data: st.DataObject) -> None:
    """Deliver some, in any order, some twice, and let the waits end at any time."""
    for link in data.draw(st.lists(st.sampled_from([*links, None]), max_size=2 * len(links))):
        if link is None:
            reader.stop_waiting()
        else:
            reader.receive(link)


@settings(max_examples=400, deadline=None)
@given(histories(), st.data())
def test_an_honest_chain_is_held_whole_and_once_whatever_the_operator_does(
    history: tuple[list[Link], list[Link]], data: st.DataObject
) -> None:
    signed, line = history
    reader = Reader()
    deliver(reader, signed, data)
    for _ in signed:  # reads everything again until all gaps are closed; each round closes some
        for link in signed:
            reader.receive(link)
        reader.stop_waiting()

    assert reader.alarms == 0
    assert reader.chain is not None
    assert reader.chain.gaps == ()
    assert reader.chain.hash == line[-1].hash
    assert len(reader.accepted) == len(set(reader.accepted))
    delivered = {p for p in reader.held if p not in reader.truncated}
    assert delivered == {link.place for link in line if link.place in delivered}
    assert {link.place for link in line if link.place >= reader.began} <= delivered


@settings(max_examples=400, deadline=None)
@given(lying_histories(), st.data())
def test_no_fork_is_accepted_in_silence(signed: list[Link], data: st.DataObject) -> None:
    """`Reader.check` asserts it after every statement; here the author lies in every way it can."""
    reader = Reader()
    deliver(reader, signed, data)
    for link in signed:
        reader.receive(link)
        reader.stop_waiting()

    assert len(reader.accepted) == len(set(reader.accepted))
    for link in signed:
        held = reader.held.get(link.place)
        if held is not None and held != link:
            alarms = reader.alarms
            reader.receive(link)
            assert reader.alarms == alarms + 1


def test_an_author_may_stand_again_by_what_it_gave_up() -> None:
    """It contradicts itself, and both times what it left out is TRUNCATED; the last word stands."""
    first = Link(1, 0, GENESIS_PREV)
    given_up, other = Link(1, 1, first.hash), Link(2, 0, first.hash)
    reader = Reader()
    for link in (first, given_up, other, Link(3, 0, given_up.hash)):
        reader.receive(link)
    assert reader.accepted == [(1, 0), (1, 1), (2, 0), (3, 0)]
    assert reader.truncated == {(2, 0)}
