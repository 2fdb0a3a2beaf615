"""No message of a member's own making costs a reader much, and its process lives (THREATS 16).

Its author is proven and named. Lists of empty items are the worst: twelve bytes make a dict of them.
"""

from __future__ import annotations

import pytest

from almenara.errors import StatementRefused
from almenara.wire.avro import encode_long
from almenara.wire.messages import MESSAGE_MAX, Batch, decode_batch, encode_batch, encode_message
from almenara.wire.padding import BATCH_MAX
from fuzz import bounds
from unit.model.drafts import ALERT

pytestmark = pytest.mark.attacks

ITEM = encode_message(ALERT)
PERSON = bytes(12)
"""A person of whom nothing is said; persons stand last in an alert."""


def with_persons(count: int, persons: bytes) -> bytes:
    """Return the batch of one alert that says how many persons follow, and these bytes of them."""
    return encode_batch((), [_alert(count, persons)])


def _alert(count: int, persons: bytes) -> bytes:
    return ITEM[:-1] + encode_long(count) + persons + b"\0"


MOST = (BATCH_MAX - len(ITEM) - 64) // len(PERSON)
"""As many as fit a batch."""

ALLOWED = (MESSAGE_MAX - len(ITEM) - 16) // len(PERSON)
"""As many as fit a message."""

BOMBS = {
    "as many as a message may have": with_persons(ALLOWED, PERSON * ALLOWED),
    "as many as fit a batch": with_persons(MOST, PERSON * MOST),
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
    bounds.run(judged, bomb)
    assert judged(encode_batch((), [ITEM])) is not None


def test_the_largest_message_is_read_and_a_larger_one_is_not() -> None:
    """Nothing but its size bounds it; how many stand before it changes nothing."""
    for before in ([], [ITEM], [_alert(ALLOWED, PERSON * ALLOWED)] * 3, [ITEM] * 30):
        assert judged(encode_batch((), [*before, _alert(ALLOWED, PERSON * ALLOWED)])) is not None
        assert judged(encode_batch((), [*before, _alert(ALLOWED + 3, PERSON * (ALLOWED + 3))])) is None


def test_a_batch_of_the_largest_messages_costs_as_much_as_so_many_batches() -> None:
    full = encode_batch((), [_alert(ALLOWED, PERSON * ALLOWED)] * 7)
    bounds.run(judged, full, cpu_ms_max=7 * bounds.CPU_MS_MAX, memory_kb_max=7 * bounds.MEMORY_KB_MAX)
