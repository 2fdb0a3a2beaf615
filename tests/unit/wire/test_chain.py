"""What each kind of statement does to a chain, one promise a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.wire.chain import (
    NOWHERE,
    Accepted,
    Anchor,
    BeforeAnchor,
    ChainState,
    Claim,
    Duplicate,
    Early,
    Equivocation,
    Fill,
    Gap,
    NewEpoch,
    Next,
    OldEpoch,
    OpenGap,
    Place,
    Span,
    Step,
    Unproven,
    after_gap,
    compare_claim,
    judge,
)
from almenara.wire.records import GENESIS_PREV
from unit.wire.chains import Link, run

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST = run(1, prev=GENESIS_PREV, length=10)
"""Epoch 1, whole."""

FORK = [Link(1, 5, FIRST[4].hash, "fork"), Link(1, 6, FIRST[5].hash, "fork")]


def step(
    link: Link, chain: ChainState | None, *, known: bytes | None = None, prev_at: Place | None = None
) -> Step:
    return judge(link.head, link.hash, chain=chain, known=known, prev_at=prev_at)


def read(links: Iterable[Link], chain: ChainState | None = None) -> ChainState:
    """Return the state after links that are all accepted, by waiting where one is beyond a gap."""
    for link in links:
        done = step(link, chain)
        if isinstance(done, Gap):
            assert chain is not None
            chain = after_gap(link.head, link.hash, chain=chain)
        else:
            assert isinstance(done, Accepted)
            chain = done.chain
    assert chain is not None
    return chain


def gap(low: Link, high: Link) -> OpenGap:
    return OpenGap(
        low_epoch=low.epoch,
        low_seq=low.seq,
        low_hash=low.hash,
        high_epoch=high.epoch,
        high_seq=high.seq,
        high_prev=high.prev,
    )


def test_the_very_first_statement_anchors_a_complete_chain() -> None:
    assert step(FIRST[0], None) == Anchor(chain=ChainState(epoch=1, seq=0, hash=FIRST[0].hash), complete=True)


@pytest.mark.parametrize(
    "link", [FIRST[4], Link(2, 0, FIRST[9].hash)], ids=["in an epoch", "at an epoch's start"]
)
def test_a_later_first_statement_anchors_a_chain_with_nothing_proven_before(link: Link) -> None:
    anchor = step(link, None)
    assert isinstance(anchor, Anchor)
    assert not anchor.complete


def test_the_next_seq_with_matching_prev_is_next() -> None:
    chain = read(FIRST[:4])
    assert step(FIRST[4], chain) == Next(chain=ChainState(epoch=1, seq=4, hash=FIRST[4].hash))


def test_the_next_seq_with_another_prev_is_an_equivocation_over_the_head() -> None:
    wrong = Link(1, 4, b"\7" * 32)
    assert step(wrong, read(FIRST[:4])) == Equivocation(place=Place(1, 3), expected=FIRST[3].hash)


@pytest.mark.parametrize("seq", [0, 2, 3])
def test_a_held_statement_is_a_duplicate(seq: int) -> None:
    known = FIRST[seq].hash if seq < 3 else None  # the head needs no look-up
    assert step(FIRST[seq], read(FIRST[:4]), known=known) == Duplicate()


@pytest.mark.parametrize("seq", [5, 6])
def test_another_hash_at_a_held_place_is_an_equivocation(seq: int) -> None:
    known = FIRST[5].hash if seq == 5 else None
    assert step(FORK[seq - 5], read(FIRST[:7]), known=known) == Equivocation(
        place=Place(1, seq), expected=FIRST[seq].hash
    )


def test_another_hash_at_a_held_place_of_an_ended_epoch_is_an_equivocation() -> None:
    chain = read([*FIRST, Link(2, 0, FIRST[9].hash)])
    assert step(FORK[0], chain, known=FIRST[5].hash) == Equivocation(
        place=Place(1, 5), expected=FIRST[5].hash
    )


def ended(
    link: Link, chain: ChainState | None, *, known: bytes | None = None, superseded: bool = False
) -> Step:
    """Judge a statement whose key has ended; the chain's head is of that key too unless `superseded`."""
    return judge(
        link.head, link.hash, chain=chain, known=known, prev_at=None, ended=True, superseded=superseded
    )


@pytest.mark.parametrize(
    "link", [FIRST[4], FIRST[6], Link(2, 0, FIRST[3].hash)], ids=["next", "gap", "epoch"]
)
def test_an_ended_key_adds_nothing_before_its_successor_has_spoken_and_never_after(link: Link) -> None:
    assert ended(link, None) == Unproven()
    assert ended(link, read(FIRST[:4])) == Unproven()
    assert ended(link, read(FIRST[:4]), superseded=True) == OldEpoch()


def test_an_ended_key_makes_no_evidence_against_its_member() -> None:
    chain = read(FIRST[:7])
    assert ended(FIRST[5], chain, known=FIRST[5].hash) == Duplicate()
    assert ended(FIRST[6], chain) == Duplicate()
    assert ended(FORK[0], chain, known=FIRST[5].hash) == Unproven()
    assert ended(FORK[0], chain, known=FIRST[5].hash, superseded=True) == OldEpoch()


def test_in_a_gap_an_ended_key_fills_what_a_held_statement_names_and_nothing_else() -> None:
    chain = read([*FIRST[:3], FIRST[6]])
    assert isinstance(ended(FIRST[5], chain, superseded=True), Fill)
    for link in (FIRST[3], FIRST[4], Link(1, 5, FIRST[4].hash, "fork"), Link(1, 3, b"\7" * 32)):
        assert ended(link, chain, superseded=True) == Early(gap=gap(FIRST[2], FIRST[6]))


def test_what_lies_below_all_that_is_held_stays_there() -> None:
    chain = read(FIRST[4:6])
    assert ended(FIRST[2], chain) == BeforeAnchor()
    assert ended(FIRST[2], read([Link(2, 0, FIRST[9].hash)]), superseded=True) == OldEpoch()


def test_a_higher_seq_is_a_gap_and_opens_one_after_the_wait() -> None:
    chain = read(FIRST[:3])
    assert step(FIRST[6], chain) == Gap(missing=Span(after=Place(1, 2), before=Place(1, 6)))
    after = after_gap(FIRST[6].head, FIRST[6].hash, chain=chain)
    assert after == ChainState(epoch=1, seq=6, hash=FIRST[6].hash, gaps=(gap(FIRST[2], FIRST[6]),))
    assert after.gaps[0].missing(1) == (3, 5)
    assert after.gaps[0].missing(2) is None


def test_a_gap_fills_from_its_low_end_up_and_closes() -> None:
    chain = read([*FIRST[:3], FIRST[6]])
    chain = read([FIRST[3]], chain)
    assert chain.gaps == (gap(FIRST[3], FIRST[6]),)
    chain = read([FIRST[4]], chain)
    assert step(FIRST[5], chain) == Fill(chain=ChainState(epoch=1, seq=6, hash=FIRST[6].hash))


def test_a_gap_fills_from_its_high_end_down_and_closes() -> None:
    chain = read([*FIRST[:3], FIRST[6], FIRST[5]])
    assert chain.gaps == (gap(FIRST[2], FIRST[5]),)
    assert read([FIRST[4], FIRST[3]], chain) == ChainState(epoch=1, seq=6, hash=FIRST[6].hash)


def test_a_fill_leaves_the_other_gaps_as_they_are() -> None:
    chain = read([FIRST[0], FIRST[2], FIRST[5], FIRST[9]])
    assert read([FIRST[3]], chain).gaps == (
        gap(FIRST[0], FIRST[2]),
        gap(FIRST[3], FIRST[5]),
        gap(FIRST[5], FIRST[9]),
    )


def test_a_fill_that_touches_neither_end_is_early() -> None:
    chain = read([*FIRST[:3], FIRST[8]])
    assert step(FIRST[5], chain) == Early(gap=gap(FIRST[2], FIRST[8]))


def test_a_fill_that_denies_the_low_end_is_an_equivocation() -> None:
    chain = read([*FIRST[:3], FIRST[8]])
    wrong = Link(1, 3, b"\7" * 32)
    assert step(wrong, chain) == Equivocation(place=Place(1, 2), expected=FIRST[2].hash)


def test_a_fill_that_the_high_end_denies_is_an_equivocation() -> None:
    chain = read([*FIRST[:3], FIRST[7]])
    assert step(FORK[1], chain) == Equivocation(place=Place(1, 6), expected=FIRST[6].hash)


def test_the_last_fill_is_an_equivocation_if_the_ends_do_not_meet() -> None:
    """The low end was filled with a fork; the statement that the high end names denies it."""
    chain = read([*FIRST[:5], FIRST[7], FORK[0]])
    assert step(FIRST[6], chain) == Equivocation(place=Place(1, 5), expected=FORK[0].hash)


def test_an_unknown_statement_below_the_anchor_is_before_it() -> None:
    chain = read(FIRST[4:8])
    assert step(FIRST[3], chain) == BeforeAnchor()


def test_a_new_epoch_that_stands_by_the_head_continues() -> None:
    chain = read([FIRST[0], *FIRST[3:]])
    opener = Link(2, 0, FIRST[9].hash)
    assert step(opener, chain) == NewEpoch(
        chain=ChainState(epoch=2, seq=0, hash=opener.hash, gaps=(gap(FIRST[0], FIRST[3]),)), truncated=None
    )


def test_a_new_epoch_that_stands_by_an_earlier_statement_truncates_what_lay_beyond() -> None:
    chain = read([FIRST[0], FIRST[2], FIRST[3], FIRST[6]])
    opener = Link(2, 0, FIRST[3].hash)
    assert step(opener, chain, prev_at=Place(1, 3)) == NewEpoch(
        chain=ChainState(epoch=2, seq=0, hash=opener.hash, gaps=(gap(FIRST[0], FIRST[2]),)),
        truncated=Span(after=Place(1, 3), before=Place(2, 0)),
    )


def test_a_new_epoch_that_stands_by_nothing_truncates_all() -> None:
    opener = Link(2, 0, GENESIS_PREV)
    assert step(opener, read([FIRST[0], FIRST[5]])) == NewEpoch(
        chain=ChainState(epoch=2, seq=0, hash=opener.hash),
        truncated=Span(after=NOWHERE, before=Place(2, 0)),
    )


@pytest.mark.parametrize(
    "link", [Link(2, 0, FIRST[9].hash), Link(2, 3, b"\1" * 32)], ids=["opener", "seq above 0"]
)
def test_an_epoch_whose_start_the_reader_cannot_link_is_a_gap(link: Link) -> None:
    assert step(link, read(FIRST[:6])) == Gap(missing=Span(after=Place(1, 5), before=link.place))


def test_missing_seqs_of_a_new_epoch_are_known_only_up_to_the_held_one() -> None:
    second = run(2, prev=FIRST[9].hash, length=4)
    open_gap = gap(FIRST[5], second[3])
    assert open_gap.missing(2) == (0, 2)
    assert open_gap.missing(1) is None
    assert gap(FIRST[5], second[0]).missing(2) is None


def test_a_statement_of_an_ended_epoch_is_refused() -> None:
    chain = read([*FIRST[:6], Link(2, 0, FIRST[5].hash)])
    assert step(FIRST[6], chain) == OldEpoch()


def test_a_gap_across_epochs_takes_ancestors_of_the_later_epoch_alone() -> None:
    """A stolen key of the ended epoch could continue it, so a low end proves nothing there."""
    opener = Link(2, 0, FIRST[9].hash)
    chain = read([*FIRST[:7], opener])
    assert step(FIRST[7], chain) == Early(gap=gap(FIRST[6], opener))
    forged = Link(1, 9, FIRST[8].hash, "stolen key")
    assert step(forged, chain) == Early(gap=gap(FIRST[6], opener))
    chain = read([FIRST[9], FIRST[8], FIRST[7]], chain)
    assert chain == ChainState(epoch=2, seq=0, hash=opener.hash)
    assert step(forged, chain, known=FIRST[9].hash) == Equivocation(place=Place(1, 9), expected=FIRST[9].hash)


def test_a_gap_across_epochs_takes_the_opener_of_the_epoch_above_at_once() -> None:
    second = run(2, prev=FIRST[9].hash, length=5)
    chain = read([*FIRST[:7], second[4], second[0]])
    assert chain.gaps == (gap(FIRST[6], second[0]), gap(second[0], second[4]))
    assert read([*second[1:4], *reversed(FIRST[7:])], chain).gaps == ()


def test_an_opener_that_stands_by_the_low_end_closes_the_part_below_it() -> None:
    second = run(2, prev=FIRST[6].hash, length=5)
    assert read([*FIRST[:7], second[4], second[0]]).gaps == (gap(second[0], second[4]),)


def test_an_opener_found_late_truncates_what_it_does_not_stand_by() -> None:
    second = run(2, prev=FIRST[3].hash, length=5)
    chain = read([FIRST[0], FIRST[2], FIRST[3], FIRST[6], second[4]])
    assert step(second[0], chain, prev_at=Place(1, 3)) == Fill(
        chain=ChainState(
            epoch=2,
            seq=4,
            hash=second[4].hash,
            gaps=(gap(FIRST[0], FIRST[2]), gap(second[0], second[4])),
        ),
        truncated=(Span(after=Place(1, 3), before=Place(2, 0)),),
    )


def test_an_opener_that_denies_the_high_end_above_it_is_an_equivocation() -> None:
    second = run(2, prev=FIRST[6].hash, length=2)
    chain = read([*FIRST[:7], second[1]])
    forged = Link(2, 0, FIRST[6].hash, "fork")
    assert step(forged, chain) == Equivocation(place=Place(2, 0), expected=second[0].hash)


def test_an_epoch_between_two_held_ones_comes_in_by_ancestry() -> None:
    second = run(2, prev=FIRST[6].hash, length=3)
    opener = Link(3, 0, second[2].hash)
    chain = read([*FIRST[:7], opener])
    assert step(second[0], chain) == Early(gap=gap(FIRST[6], opener))
    chain = read([second[2], second[1]], chain)
    assert chain.gaps == (gap(FIRST[6], second[1]),)
    assert read([second[0]], chain) == ChainState(epoch=3, seq=0, hash=opener.hash)


def test_an_epoch_that_denies_the_low_end_is_an_equivocation_when_it_reaches_it() -> None:
    rewritten = [Link(1, 7, FORK[1].hash, "fork")]
    opener = Link(2, 0, rewritten[0].hash)
    chain = read([*FIRST[:7], opener])
    assert step(rewritten[0], chain) == Equivocation(place=Place(1, 6), expected=FIRST[6].hash)


def test_a_new_epoch_may_stand_by_a_statement_in_an_older_gap() -> None:
    """The older gap and the newer one both name 1.6; the newer word decides, 1.7 is truncated."""
    opener = Link(2, 0, FIRST[6].hash)
    chain = read([*FIRST[:5], FIRST[7], opener])
    found = step(FIRST[6], chain)
    assert found == Fill(
        chain=ChainState(epoch=2, seq=0, hash=opener.hash, gaps=(gap(FIRST[4], FIRST[6]),)),
        truncated=(Span(after=Place(1, 6), before=Place(2, 0)),),
    )


def test_gaps_between_a_new_epoch_and_what_it_stands_by_are_dropped() -> None:
    opener = Link(2, 0, FIRST[3].hash)
    third = Link(3, 4, b"\2" * 32)
    chain = read([FIRST[0], FIRST[2], FIRST[4], FIRST[6], opener, third])
    found = step(FIRST[3], chain)
    assert found == Fill(
        chain=ChainState(epoch=3, seq=4, hash=third.hash, gaps=(gap(FIRST[0], FIRST[2]), gap(opener, third))),
        truncated=(Span(after=Place(1, 3), before=Place(2, 0)),),
    )


def test_a_new_epoch_may_stand_by_a_statement_before_the_anchor() -> None:
    opener = Link(2, 0, FIRST[3].hash)
    chain = read([*FIRST[5:8], opener])
    assert step(FIRST[3], chain) == Fill(
        chain=ChainState(epoch=2, seq=0, hash=opener.hash),
        truncated=(Span(after=Place(1, 3), before=Place(2, 0)),),
    )


def test_a_link_to_a_later_statement_closes_nothing() -> None:
    """Only an author that lies can sign it; the gap stays open and is shown."""
    second = run(2, prev=b"\3" * 32, length=5)
    chain = read([*FIRST[:3], second[4]])
    found = step(second[0], chain, prev_at=Place(2, 4))
    assert isinstance(found, Fill)
    assert found.chain.gaps == (gap(FIRST[2], second[0]), gap(second[0], second[4]))


def test_a_link_that_skips_a_seq_closes_nothing() -> None:
    skipping = Link(1, 5, FIRST[2].hash, "skip")
    above = Link(1, 6, skipping.hash)
    chain = read([*FIRST[:3], above])
    found = step(skipping, chain, prev_at=Place(1, 2))
    assert isinstance(found, Fill)
    assert found.chain.gaps == (gap(FIRST[2], skipping),)


def test_only_accepting_steps_change_the_state() -> None:
    chain = read(FIRST[:4])
    assert read(FIRST[4:5], chain) == read(FIRST[:5])
    for link in (FIRST[3], FIRST[6], Link(1, 4, b"\7" * 32)):
        assert not isinstance(step(link, chain), Accepted)


CHAIN = read([*FIRST[:3], *FIRST[6:8]])


@pytest.mark.parametrize(
    ("link", "known", "expected"),
    [
        (FIRST[7], None, Claim.AGREES),
        (Link(1, 7, b"", "other"), None, Claim.FORKED),
        (FIRST[8], None, Claim.BEHIND),
        (Link(2, 0, FIRST[7].hash), None, Claim.BEHIND),
        (FIRST[2], FIRST[2].hash, Claim.OLDER),
        (Link(1, 2, b"", "other"), FIRST[2].hash, Claim.FORKED),
        (FIRST[4], None, Claim.OLDER),
        (FIRST[5], None, Claim.OLDER),
        (Link(1, 5, b"", "other"), None, Claim.FORKED),
    ],
    ids=[
        "the head",
        "another head",
        "a later seq",
        "a later epoch",
        "a held one",
        "another at a held place",
        "one in a gap",
        "the one a gap's high end names",
        "another than a gap's high end names",
    ],
)
def test_a_claim_is_compared_with_what_is_held(link: Link, known: bytes | None, expected: Claim) -> None:
    assert (
        compare_claim(CHAIN, epoch=link.epoch, seq=link.seq, claimed_hash=link.hash, known=known) == expected
    )


def test_a_claim_about_a_stream_not_heard_is_ahead_unless_it_claims_nothing() -> None:
    assert compare_claim(None, epoch=1, seq=0, claimed_hash=FIRST[0].hash, known=None) == Claim.BEHIND
    assert compare_claim(None, epoch=0, seq=-1, claimed_hash=bytes(32), known=None) == Claim.AGREES
    assert compare_claim(CHAIN, epoch=0, seq=-1, claimed_hash=bytes(32), known=None) == Claim.OLDER
