"""The content beside the chain: exchanged it is nothing, faulty it is its author's word."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from almenara.errors import Code
from almenara.store import inbox
from almenara.store.quarantine import refusals
from almenara.trust.signer import sign_record
from almenara.wire.records import (
    PAYLOAD_STATEMENT,
    encode_record,
    encode_statement,
    parse_record,
    parse_statement,
    statement_hash,
    without_content,
)
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import KEYS, PE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from almenara.store.place import Place


@pytest.fixture
def author() -> Author:
    return Author()


@pytest.fixture
def reader(tmp_path: Path, place: Place) -> Iterator[ReaderSite]:
    made = ReaderSite(tmp_path, place=place)
    yield made
    made.store.close()


def exchanged(record: bytes, content: bytes) -> bytes:
    return encode_record(replace(parse_record(record), content=content))


def test_an_exchanged_content_touches_no_chain_and_the_record_as_signed_is_taken_later(
    author: Author, reader: ReaderSite
) -> None:
    first, second, third = (author.says(alert(number)) for number in range(3))
    tampered = exchanged(second, parse_record(third).content)
    reader.reads(first, tampered, without_content(second))
    assert [(each.code, each.proven) for each in reader.store.read_now(refusals)] == [
        (Code.CONTENT_HASH, False),
        (Code.CONTENT_HASH, False),
    ]
    assert reader.store.read_now(inbox.chains)[reader.stream].seq == 0
    assert reader.reads((3, second), (4, third)).delivered == 2
    assert reader.store.read_now(inbox.gaps) == {}


def test_behind_an_exchanged_content_a_gap_shows(author: Author, reader: ReaderSite) -> None:
    first, second, third = (author.says(alert(number)) for number in range(3))
    absorbed = reader.reads(first, exchanged(second, b""), third)
    assert (absorbed.delivered, list(absorbed.seeks)) == (1, [reader.stream])


def test_a_faulty_content_that_its_author_signed_advances_the_chain(
    author: Author, reader: ReaderSite
) -> None:
    first, second = author.says(alert(0)), author.says(alert(1))
    record = parse_record(second)
    content = record.content + b"\0"
    payload = encode_statement(parse_statement(record.payload).head_bytes, sha256(content).digest())
    faulty = sign_record(KEYS[PE].signing, PAYLOAD_STATEMENT, payload, content)
    assert author.head is not None
    author.head = replace(author.head, hash=statement_hash(payload))
    third = author.says(alert(2))
    assert reader.reads(first, faulty, third).delivered == 2
    assert [(each.code, each.proven) for each in reader.store.read_now(refusals)] == [(Code.MALFORMED, True)]
    assert reader.store.read_now(inbox.chains)[reader.stream].seq == 2
    epoch = author.head.epoch
    unopened = reader.store.read_now(lambda c: inbox.unopened(c, reader.stream, epoch, limit=9))
    assert unopened == [(1, Code.MALFORMED)]
