"""The largest batch of a member's own making costs a reader little, and its process lives (THREATS 16).

Its author is proven and named. Lists of empty items are the worst: three bytes make a dict of them.
"""

from __future__ import annotations

import time
import tracemalloc

import pytest

from almenara.errors import StatementRefused
from almenara.wire.avro import encode_long
from almenara.wire.messages import Batch, decode_batch, encode_batch, encode_message
from almenara.wire.padding import BATCH_MAX
from unit.model.drafts import ALERT

pytestmark = pytest.mark.attacks

CPU_S_MAX, MEMORY_MAX = 1.5, 64 << 20

ITEM = encode_message(ALERT)
PERSON = bytes(12)
"""A person of whom nothing is said; persons stand last in an alert."""


def with_persons(count: int, persons: bytes) -> bytes:
    """Return the batch of one alert that says how many persons follow, and these bytes of them."""
    return encode_batch((), [ITEM[:-1] + encode_long(count) + persons + b"\0"])


MOST = (BATCH_MAX - len(ITEM) - 64) // len(PERSON)

BOMBS = {
    "as many as fit": with_persons(MOST, PERSON * MOST),
    "more than there are": with_persons(1 << 40, PERSON),
    "as many as 64 bits can say": with_persons((1 << 62) - 1, PERSON),
    "less than none": with_persons(-5, PERSON * 5),
    "a length beyond the end": with_persons(1, encode_long(1 << 40)),
    "a length below zero": with_persons(1, encode_long(-9)),
}


def judged(data: bytes) -> Batch | None:
    try:
        return decode_batch(data)
    except StatementRefused:
        return None


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_in_a_batch_is_bounded_and_the_next_batch_is_read(bomb: bytes) -> None:
    assert len(bomb) <= BATCH_MAX
    begun = time.process_time()
    judged(bomb)
    spent = time.process_time() - begun
    tracemalloc.start()
    try:
        judged(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spent < CPU_S_MAX
    assert peak < MEMORY_MAX
    assert judged(encode_batch((), [ITEM])) is not None


def test_the_bomb_is_one() -> None:
    """It is decoded to its end: nothing but its size bounds it."""
    assert len(BOMBS["as many as fit"]) > BATCH_MAX - 100
    assert judged(BOMBS["as many as fit"]) is not None
