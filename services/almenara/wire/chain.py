"""What does a signed statement do to what a reader holds of its stream?

    nothing held            -> Anchor        "nothing proven before", unless it is the very first
    next seq, prev matches  -> Next
    seq beyond the next     -> Gap           read again; after the wait, `after_gap`
    epoch above, seq 0      -> NewEpoch      if its prev is held: what lies beyond it is truncated
                            -> Gap           if not: the reader is behind
    epoch above, seq > 0    -> Gap
    held, same hash         -> Duplicate
    two claims on one place -> Equivocation
    inside an open gap      -> Fill          if it links to an end of the gap, else Early
    none of these           -> BeforeAnchor in the reader's epoch, OldEpoch in an earlier one
    signed with an ended key -> Fill if what follows names it, Unproven until the successor has spoken

Everything here is a pure function of values: the caller looks up what it holds, and commits the
state that a step carries together with the statement. A crash between the two leaves the old state,
and the same statement is judged again. Rules: SPEC, chain.

The stream of places (epoch, seq) is one line. A gap is open between two held statements: from the
lower one we know its hash, from the higher one the hash it names as `prev`. It closes when the two
are equal. Between epochs nobody knows how many are missing, so the hashes alone decide there.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgspec

from almenara.wire.records import GENESIS_PREV

if TYPE_CHECKING:
    from almenara.wire.records import Head


class Place(NamedTuple):
    """Where a statement stands in its stream; places are ordered by epoch, then seq."""

    epoch: int
    seq: int


NOWHERE: Final = Place(0, -1)
"""Before every statement: where a publisher stands that stands by none."""


class OpenGap(msgspec.Struct, frozen=True, kw_only=True):
    """Statements missing between two held ones; flat, as a store keeps it."""

    low_epoch: int
    low_seq: int
    low_hash: bytes
    high_epoch: int
    high_seq: int
    high_prev: bytes

    @property
    def low(self) -> Place:
        """Return the place of the held statement below."""
        return Place(self.low_epoch, self.low_seq)

    @property
    def high(self) -> Place:
        """Return the place of the held statement above."""
        return Place(self.high_epoch, self.high_seq)

    def missing(self, epoch: int) -> tuple[int, int] | None:
        """Return the first and last missing seq of an epoch, if both are known and there are any.

        The end of an epoch that a later one follows is not known before the gap closes.
        """
        first = self.low_seq + 1 if epoch == self.low_epoch else 0
        if epoch != self.high_epoch or first >= self.high_seq:
            return None
        return first, self.high_seq - 1


class ChainState(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader holds of one stream: the highest statement, and the gaps below it in order."""

    epoch: int
    seq: int
    hash: bytes
    gaps: tuple[OpenGap, ...] = ()

    @property
    def place(self) -> Place:
        """Return the place of the highest statement."""
        return Place(self.epoch, self.seq)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The places between two others, both excluded."""

    after: Place
    before: Place


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """Accept: the first statement of the stream; `complete` if its publisher stands by none before."""

    chain: ChainState
    complete: bool


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """Accept: it continues the chain."""

    chain: ChainState


class NewEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """Accept: it opens an epoch; what is held in `truncated` becomes TRUNCATED evidence."""

    chain: ChainState
    truncated: Span | None


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """Accept late: it links to an end of an open gap; `truncated` as in NewEpoch."""

    chain: ChainState
    truncated: tuple[Span, ...] = ()


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """Ignore: this very statement is held."""


class Equivocation(msgspec.Struct, frozen=True, kw_only=True):
    """Refuse and alarm, keep both: what is held says that `expected` stands at `place`; this says not."""

    place: Place
    expected: bytes


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Hold and read again from the earliest: statements in `missing` were not seen."""

    missing: Span


class Early(msgspec.Struct, frozen=True, kw_only=True):
    """Hold: it lies in an open gap and nothing proves it yet; judge again once the gap is smaller."""

    gap: OpenGap


class Unproven(msgspec.Struct, frozen=True, kw_only=True):
    """Hold: its key has ended, and nothing seen of its successor leads back to it yet."""


class BeforeAnchor(msgspec.Struct, frozen=True, kw_only=True):
    """Ignore and count: older than where this reader began."""


class OldEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """Refuse: its epoch or its key has ended, and it is no ancestor of what followed."""


Accepted: TypeAlias = Anchor | Next | NewEpoch | Fill
Step: TypeAlias = Accepted | Duplicate | Equivocation | Gap | Early | Unproven | BeforeAnchor | OldEpoch


def judge(
    head: Head,
    statement_hash: bytes,
    *,
    chain: ChainState | None,
    known: bytes | None,
    prev_at: tuple[int, int] | None,
    ended: bool = False,
    superseded: bool = True,
) -> Step:
    """Return what the statement does to the chain.

    `chain` is None while nothing is held. `known` is the hash held at (head.epoch, head.seq), if
    any. `prev_at` is the place of the held statement whose hash is head.prev, if any; it matters
    only at seq 0. The author must be proven already.

    `ended` says that its key has an end, and that no word of the successor leads back to it: then
    only what a held statement names is accepted. `superseded` says that the head of the chain was
    signed with a key in force: then the successor has spoken, and what it left out stays out.
    """
    here = Place(head.epoch, head.seq)
    if ended:
        return _judge_ended(head, statement_hash, chain, known, prev_at, superseded=superseded)
    if chain is None:
        return Anchor(
            chain=ChainState(epoch=head.epoch, seq=head.seq, hash=statement_hash),
            complete=head.seq == 0 and head.prev == GENESIS_PREV,
        )
    held = chain.hash if here == chain.place else known
    if held is not None:
        return Duplicate() if held == statement_hash else Equivocation(place=here, expected=held)
    if here > chain.place:
        return _judge_ahead(head, statement_hash, chain, prev_at)
    return _judge_behind(head, statement_hash, chain, prev_at)


def _judge_ended(
    head: Head,
    statement_hash: bytes,
    chain: ChainState | None,
    known: bytes | None,
    prev_at: tuple[int, int] | None,
    *,
    superseded: bool,
) -> Step:
    """Judge a statement that whoever has the ended key could have made today, whatever its dates say."""
    if chain is None:
        return Unproven()
    here = Place(head.epoch, head.seq)
    held = chain.hash if here == chain.place else known
    if held == statement_hash:
        return Duplicate()
    if held is not None or here > chain.place:
        # No evidence against its member: two statements of a stolen key show that it was stolen.
        return OldEpoch() if superseded else Unproven()
    step = _judge_behind(head, statement_hash, chain, prev_at)
    gap = _gap_around(chain, here)
    named = any(each.high_prev == statement_hash and _may_precede(here, each.high) for each in chain.gaps)
    return step if named or gap is None else Early(gap=gap)


def after_gap(head: Head, statement_hash: bytes, *, chain: ChainState) -> ChainState:
    """Return the state once the wait for a Gap is over: the statement is accepted above an open gap.

    Judge it again first, with the chain as it is now: the wait may have brought what was missing.
    """
    gap = OpenGap(
        low_epoch=chain.epoch,
        low_seq=chain.seq,
        low_hash=chain.hash,
        high_epoch=head.epoch,
        high_seq=head.seq,
        high_prev=head.prev,
    )
    return ChainState(epoch=head.epoch, seq=head.seq, hash=statement_hash, gaps=(*chain.gaps, gap))


def _judge_ahead(
    head: Head, statement_hash: bytes, chain: ChainState, prev_at: tuple[int, int] | None
) -> Step:
    here = Place(head.epoch, head.seq)
    gap = Gap(missing=Span(after=chain.place, before=here))
    if head.epoch == chain.epoch:
        if head.seq > chain.seq + 1:
            return gap
        if head.prev != chain.hash:
            return Equivocation(place=chain.place, expected=chain.hash)
        return Next(chain=msgspec.structs.replace(chain, seq=head.seq, hash=statement_hash))
    if head.seq > 0:
        return gap
    stands_at = chain.place if head.prev == chain.hash else _stands_at(head, prev_at)
    if stands_at is None:
        return gap
    return NewEpoch(
        chain=ChainState(
            epoch=head.epoch,
            seq=0,
            hash=statement_hash,
            gaps=tuple(each for each in chain.gaps if each.high <= stands_at),
        ),
        truncated=None if stands_at == chain.place else Span(after=stands_at, before=here),
    )


def _judge_behind(
    head: Head, statement_hash: bytes, chain: ChainState, prev_at: tuple[int, int] | None
) -> Step:
    here = Place(head.epoch, head.seq)
    # The highest gap first: two may name the same statement when a new epoch stands by one that lies
    # in an older gap, and then the newer word counts.
    for gap in reversed(chain.gaps):
        if gap.high_prev == statement_hash and _may_precede(here, gap.high):
            return _fill_from_above(head, chain, gap, prev_at)
    inside = _gap_around(chain, here)
    if inside is not None:
        return _judge_inside(head, statement_hash, chain, inside, prev_at)
    return BeforeAnchor() if head.epoch == chain.epoch else OldEpoch()


def _judge_inside(
    head: Head, statement_hash: bytes, chain: ChainState, gap: OpenGap, prev_at: tuple[int, int] | None
) -> Step:
    """Judge a statement in a gap that is not the one its high end names."""
    here = Place(head.epoch, head.seq)
    if here == Place(gap.high_epoch, gap.high_seq - 1):
        return Equivocation(place=here, expected=gap.high_prev)
    rest = _above(gap, here, statement_hash)
    if here == Place(gap.low_epoch, gap.low_seq + 1):
        if head.prev != gap.low_hash:
            return Equivocation(place=gap.low, expected=gap.low_hash)
        if gap.low_epoch == gap.high_epoch:
            return Fill(chain=_with_gaps(chain, gap, (rest,)))
    if head.epoch == gap.high_epoch and head.seq == 0:
        # The epoch is the one that goes on above, so it needs no proof of ancestry; what its prev
        # names does.
        return _settle_below(head, chain, gap, rest=(rest,), truncated=(), prev_at=prev_at)
    # An ended epoch's key may be stolen: only what a later statement names counts there (SPEC, epoch).
    return Early(gap=gap)


def _fill_from_above(head: Head, chain: ChainState, gap: OpenGap, prev_at: tuple[int, int] | None) -> Step:
    """Accept the statement that a gap's high end names, wherever below the high end it stands."""
    here = Place(head.epoch, head.seq)
    if gap.low < here:
        return _settle_below(head, chain, gap, rest=(), truncated=(), prev_at=prev_at)
    # A new epoch stands by a statement that we lack and that lies deeper than this gap: all that we
    # hold between the two is truncated, and so are the gaps in it.
    truncated = (Span(after=here, before=gap.high),)
    kept = msgspec.structs.replace(
        chain, gaps=tuple(each for each in chain.gaps if each.low < here or each.low >= gap.high)
    )
    around = _gap_around(kept, here)
    if around is None:
        return Fill(chain=kept, truncated=truncated)
    return _settle_below(head, kept, around, rest=(), truncated=truncated, prev_at=prev_at)


def _settle_below(
    head: Head,
    chain: ChainState,
    gap: OpenGap,
    *,
    rest: tuple[OpenGap, ...],
    truncated: tuple[Span, ...],
    prev_at: tuple[int, int] | None,
) -> Step:
    """Accept a statement inside a gap: keep, close or cut what is missing below it.

    `rest` is what stays missing of the gap above it.
    """
    here = Place(head.epoch, head.seq)
    follows_low = here == Place(gap.low_epoch, gap.low_seq + 1)
    if follows_low and head.prev != gap.low_hash:
        return Equivocation(place=gap.low, expected=gap.low_hash)
    if follows_low or (head.seq == 0 and head.prev == gap.low_hash):
        return Fill(chain=_with_gaps(chain, gap, rest), truncated=truncated)
    stands_at = _stands_at(head, prev_at) if head.seq == 0 else None
    if stands_at is None:
        below = msgspec.structs.replace(gap, high_epoch=here.epoch, high_seq=here.seq, high_prev=head.prev)
        return Fill(chain=_with_gaps(chain, gap, (below, *rest)), truncated=truncated)
    kept = tuple(each for each in chain.gaps if each.high <= stands_at or each.low >= gap.high)
    gaps = tuple(sorted((*kept, *rest), key=lambda each: each.low))
    return Fill(
        chain=msgspec.structs.replace(chain, gaps=gaps),
        truncated=(*truncated, Span(after=stands_at, before=here)),
    )


def _stands_at(head: Head, prev_at: tuple[int, int] | None) -> Place | None:
    """Return the last place the opener of an epoch stands by, if the reader can know it."""
    if head.prev == GENESIS_PREV:
        return NOWHERE
    # No honest publisher stands by what comes later; such a link proves nothing.
    return Place(*prev_at) if prev_at is not None and prev_at < (head.epoch, 0) else None


def _may_precede(here: Place, high: Place) -> bool:
    if high.seq > 0:
        return here == Place(high.epoch, high.seq - 1)
    return here.epoch < high.epoch


def _gap_around(chain: ChainState, here: Place) -> OpenGap | None:
    return next((gap for gap in chain.gaps if gap.low < here < gap.high), None)


def _above(gap: OpenGap, here: Place, statement_hash: bytes) -> OpenGap:
    return msgspec.structs.replace(gap, low_epoch=here.epoch, low_seq=here.seq, low_hash=statement_hash)


def _with_gaps(chain: ChainState, old: OpenGap, new: tuple[OpenGap, ...]) -> ChainState:
    """Return the state with one gap replaced by what is left of it."""
    at = chain.gaps.index(old)
    return msgspec.structs.replace(chain, gaps=(*chain.gaps[:at], *new, *chain.gaps[at + 1 :]))


class Claim(StrEnum):
    """Say how what a heartbeat or another reader's receipt claims compares with what I hold."""

    AGREES = "AGREES"
    BEHIND = "BEHIND"
    """It knows more than I got: WITHHELD, unless it comes within the wait."""
    FORKED = "FORKED"
    """It names another statement at a place I hold: EQUIVOCATION."""
    OLDER = "OLDER"
    """It claims less than I hold, and nothing that contradicts it."""


def compare_claim(
    chain: ChainState | None, *, epoch: int, seq: int, claimed_hash: bytes, known: bytes | None
) -> Claim:
    """Return how the claim that `claimed_hash` is the head at (epoch, seq) compares with the chain.

    `known` is the hash held at that place, if any. A claim of seq -1 says that nothing was said yet.
    """
    if seq < 0:
        return Claim.AGREES if chain is None else Claim.OLDER
    here = Place(epoch, seq)
    if chain is None or here > chain.place:
        return Claim.BEHIND
    if here == chain.place:
        return Claim.AGREES if claimed_hash == chain.hash else Claim.FORKED
    gap = _gap_around(chain, here)
    if known is None and gap is not None and here == Place(gap.high_epoch, gap.high_seq - 1):
        known = gap.high_prev
    return Claim.OLDER if known is None or known == claimed_hash else Claim.FORKED
