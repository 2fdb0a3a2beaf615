"""Is what is refused kept within bounds, counted whole, and kept once?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from almenara.store import quarantine
from almenara.store.quarantine import UNPROVEN_KEPT, Evidence
from unit.store.rows import AR, PE, REGION, a_hash, refusal

if TYPE_CHECKING:
    from almenara.store.database import Store


def offsets(store: Store) -> list[int]:
    return [r.offset for r in store.read_now(quarantine.refusals)]


def test_of_unproven_records_only_the_newest_hundred_a_stream_are_kept_and_all_counted(store: Store) -> None:
    for start in range(0, 300, 50):
        store.write_now(lambda c, s=start: quarantine.keep(c, [refusal(s + n) for n in range(50)]))  # type: ignore[misc]
    store.write_now(lambda c: quarantine.keep(c, [refusal(1000, publisher=AR)]))
    kept = offsets(store)
    assert kept == [1000, *range(299, 299 - UNPROVEN_KEPT, -1)]
    assert store.read_now(quarantine.refusal_counts) == {"BAD_SIGNATURE": 301}


def test_one_poll_full_of_forgeries_stays_in_bounds_too(store: Store) -> None:
    store.write_now(lambda c: quarantine.keep(c, [refusal(n) for n in range(1000)]))
    assert offsets(store) == [*range(999, 999 - UNPROVEN_KEPT, -1)]


def test_forgeries_do_not_push_out_what_an_author_signed(store: Store) -> None:
    store.write_now(lambda c: quarantine.keep(c, [refusal(0, proven=True)]))
    store.write_now(lambda c: quarantine.keep(c, [refusal(n) for n in range(1, 500)]))
    assert 0 in offsets(store)


def test_the_same_refusal_is_kept_and_counted_once(store: Store) -> None:
    for _ in range(3):
        store.write_now(lambda c: quarantine.keep(c, [refusal(1), refusal(2, proven=True)]))
    assert sorted(offsets(store)) == [1, 2]
    assert store.read_now(quarantine.refusal_counts) == {"BAD_SIGNATURE": 1, "STREAM_OWNER": 1}


def test_a_signed_record_that_is_replayed_is_kept_and_counted_once(store: Store) -> None:
    """Otherwise an operator fills a reader's disk with what an author once signed."""
    first = refusal(1, proven=True)
    store.write_now(lambda c: quarantine.keep(c, [replace(first, offset=n) for n in range(500)]))
    store.write_now(lambda c: quarantine.keep(c, [replace(first, offset=9000, kept_at=9)]))
    assert store.read_now(quarantine.refusals) == [replace(first, offset=0)]
    assert store.read_now(quarantine.refusal_counts) == {"STREAM_OWNER": 1}


def test_what_is_refused_for_two_reasons_is_kept_for_both(store: Store) -> None:
    first = refusal(1, proven=True)
    other = replace(first, code="CHECK_DIGIT")
    third = replace(first, detail="another fault")
    store.write_now(lambda c: quarantine.keep(c, [first, other, third]))
    assert len(store.read_now(quarantine.refusals)) == 3


def test_a_refusal_is_given_back_whole(store: Store) -> None:
    rows = [refusal(1), refusal(2, proven=True)]
    store.write_now(lambda c: quarantine.keep(c, rows))
    assert store.read_now(quarantine.refusals) == rows[::-1]


def test_evidence_is_kept_once_and_in_order(store: Store) -> None:
    first = Evidence(
        kind="EQUIVOCATION",
        audience=REGION,
        publisher=PE,
        epoch=1,
        seq=3,
        hash=a_hash("one"),
        known_hash=a_hash("held"),
        kept_at=2,
        record=b"signed",
    )
    earlier = replace(first, seq=2, kept_at=1)
    store.write_now(lambda c: quarantine.keep_evidence(c, [first, first]))
    store.write_now(lambda c: quarantine.keep_evidence(c, [replace(first, kept_at=9), earlier]))
    assert store.read_now(quarantine.evidence_of) == [earlier, first]
