"""A record of many small parts is refused before they are decoded (THREATS 16)."""

from __future__ import annotations

import pytest

from almenara.errors import Code, RecordRefused
from almenara.wire.avro import encode_long, prefix
from almenara.wire.records import RECORD_MAX, parse_content, parse_record
from fuzz import bounds

pytestmark = pytest.mark.attacks

PAIR = bytes(33)
"""A key id and no bytes: the smallest signature, and the smallest slot."""

COUNT = (RECORD_MAX - 100) // len(PAIR)


def _record(signatures: bytes) -> bytes:
    return prefix("SignedRecord") + b"\0\0" + signatures + b"\0"


def _content(slots: bytes) -> bytes:
    return prefix("Content") + slots + b"\0"


BLOCKS = {
    "one block": encode_long(COUNT) + PAIR * COUNT + b"\0",
    "blocks of one": (encode_long(1) + PAIR) * (COUNT // 2) + b"\0",
    "a block with its size": encode_long(-COUNT) + encode_long(len(PAIR) * COUNT) + PAIR * COUNT + b"\0",
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_record_of_thousands_of_signatures_costs_next_to_nothing(name: str) -> None:
    bomb = _record(BLOCKS[name])
    bounds.run(parse_record, bomb, cpu_ms_max=10)
    with pytest.raises(RecordRefused) as refused:
        parse_record(bomb)
    assert refused.value.code in {Code.MALFORMED, Code.NOT_CANONICAL}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_content_of_thousands_of_slots_costs_next_to_nothing(name: str) -> None:
    bomb = _content(BLOCKS[name])
    bounds.run(parse_content, bomb, cpu_ms_max=10)
    with pytest.raises(RecordRefused) as refused:
        parse_content(bomb)
    assert refused.value.code in {Code.MALFORMED, Code.NOT_CANONICAL}
