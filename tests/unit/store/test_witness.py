"""Is the latest word of each witness kept, whatever order its words come in?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from almenara.store import inbox, witness
from almenara.store.inbox import ChainRow
from almenara.store.witness import Claim, DecisionRow, Word
from unit.store.rows import AR, CL, PE, REGION, a_hash, statement_row

if TYPE_CHECKING:
    from almenara.store.database import Store

WORD = Claim(
    audience=REGION,
    publisher=PE,
    witness=AR,
    epoch=1,
    seq=5,
    hash=a_hash(1, 5),
    claimed_at=100,
    told_epoch=1,
    told_seq=3,
)
NEWER = replace(WORD, seq=9, hash=a_hash(1, 9), told_seq=4)


def tell(store: Store, *words: Claim, now: int = 1) -> None:
    for word in words:
        store.write_now(lambda c, word=word: witness.save_claims(c, [word], now=now))  # type: ignore[misc]


def words(store: Store) -> list[Word]:
    return store.read_now(lambda c: witness.differing_words(c, member=CL))


def test_a_newer_word_takes_the_place_of_an_older_one(store: Store) -> None:
    tell(store, WORD, NEWER)
    assert store.read_now(witness.claims) == [NEWER]


@pytest.mark.parametrize(
    "older", [WORD, replace(WORD, told_epoch=0, told_seq=99)], ids=["of the same epoch", "of an earlier one"]
)
def test_an_older_word_that_comes_late_changes_nothing(store: Store, older: Claim) -> None:
    """A receipt that fills a gap must not take back what a later one has confirmed."""
    tell(store, NEWER, older)
    assert store.read_now(witness.claims) == [NEWER]


def test_witnesses_are_kept_apart(store: Store) -> None:
    other = replace(WORD, witness=CL, seq=2)
    tell(store, NEWER, other)
    assert sorted(store.read_now(witness.claims), key=lambda c: c.witness) == [NEWER, other]


def test_of_heartbeats_the_last_one_read_counts(store: Store) -> None:
    beat = replace(WORD, witness=PE, told_epoch=0, told_seq=-1)
    tell(store, beat, replace(beat, seq=6))
    assert [claim.seq for claim in store.read_now(witness.claims)] == [6]


def test_a_word_that_repeats_what_is_held_is_no_news(store: Store) -> None:
    row = ChainRow(audience=REGION, publisher=PE, epoch=1, seq=5, hash=a_hash(1, 5))
    store.write_now(lambda c: inbox.insert_statements(c, [statement_row(5)]))
    store.write_now(lambda c: inbox.save_chains(c, [row]))
    tell(store, WORD)
    assert words(store) == []


def test_a_word_beyond_what_is_held_waits_since_it_first_came(store: Store) -> None:
    store.write_now(lambda c: inbox.save_chains(c, [ChainRow(audience=REGION, publisher=PE, epoch=1, seq=4)]))
    tell(store, WORD, now=10)
    tell(store, NEWER, now=20)
    (word,) = words(store)
    assert (word.claim, word.known, word.unmet_since) == (NEWER, None, 10)


def test_a_word_that_names_another_hash_is_told_with_what_is_held(store: Store) -> None:
    store.write_now(lambda c: inbox.insert_statements(c, [statement_row(5)]))
    tell(store, replace(WORD, hash=a_hash("another")))
    (word,) = words(store)
    assert word.known == a_hash(1, 5)


def test_the_first_word_on_a_decision_stands(store: Store) -> None:
    row = DecisionRow(publisher=PE, message_id=bytes(16), reader=AR, state="ACCEPTED", code="", at=5)
    later = replace(row, at=9)
    other = replace(row, state="IN_FORCE", at=7)
    for each in (row, later, other):
        store.write_now(lambda c, each=each: witness.save_decisions(c, [each]))  # type: ignore[misc]
    assert store.read_now(lambda c: witness.decisions(c, PE, bytes(16))) == [row, other]
