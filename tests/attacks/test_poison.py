"""One bad record among good ones, and members without good keys (THREATS 12, 17 and 28)."""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from almenara.errors import Code
from almenara.model.alert import Equipment, RiskAlert
from almenara.store.quarantine import refusals
from almenara.trust.signer import sign_record
from almenara.trust.targets import member_target
from almenara.wire import seal
from almenara.wire.messages import encode_batch, encode_message
from almenara.wire.records import (
    GENESIS_PREV,
    PAYLOAD_STATEMENT,
    RECORD_MAX,
    KeyWrap,
    Scope,
    encode_statement,
    parse_content,
    parse_record,
    parse_statement,
    statement_hash,
)
from almenara.wire.seal import WRAP_BYTES, new_sender_key
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import AR, KEYS, PE, REGION, UY, directory, enrol, member_file, targets
from unit.trust.statements import BATCH, announcement, statement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType

pytestmark = pytest.mark.attacks

GOOD = [encode_message(alert(number)) for number in range(1000)]


class Chain:
    """PE's stream as somebody makes it who has PE's keys and no scruples."""

    def __init__(self) -> None:
        self._seq, self._prev = 0, GENESIS_PREV
        self.first = self.says(batch=encode_batch((), [encode_message(alert(5000))]))

    def says(self, **changes: Any) -> bytes:  # noqa: ANN401 - any argument
        """Return the next statement, with arguments changed; the first announces the key."""
        wraps = announcement() if self._seq == 0 else ()
        made = statement(**{"seq": self._seq, "prev": self._prev, "key_wraps": wraps, **changes})
        self._seq, self._prev = self._seq + 1, made.hash
        return made.record

    def says_nothing(self, content: bytes) -> bytes:
        """Return the next statement, with this in place of its content."""
        head = parse_statement(parse_record(self.says()).payload).head_bytes
        payload = encode_statement(head, sha256(content).digest())
        self._prev = statement_hash(payload)
        return sign_record(KEYS[PE].signing, PAYLOAD_STATEMENT, payload, content)


def junk_slots(count: int) -> tuple[KeyWrap, ...]:
    """Return slots of noise for the readers and for many others, sorted."""
    ids = {KEYS[member].sealing.key_id for member in (PE, AR)} | {os.urandom(32) for _ in range(count - 2)}
    return tuple(KeyWrap(key_id=key_id, wrap=os.urandom(WRAP_BYTES)) for key_id in sorted(ids))


def unlawful() -> bytes:
    """Return a message whose container number has a wrong check digit."""
    body = alert(1).body
    assert isinstance(body, RiskAlert)
    faulty = replace(body, equipment=(Equipment(container_no="CSQU3054380"),))
    return encode_message(alert(6000, body=faulty))


POISON: dict[str, tuple[Callable[[Chain], bytes], Code]] = {
    "nothing": (lambda _: b"", Code.UNKNOWN_SCHEMA),
    "noise": (lambda _: os.urandom(5000), Code.UNKNOWN_SCHEMA),
    "too much": (lambda _: bytes(RECORD_MAX + 1), Code.OVERSIZE),
    "a genuine record cut short": (lambda chain: chain.first[:-1], Code.MALFORMED),
    "a genuine record with its last bit changed": (
        lambda chain: chain.first[:-1] + bytes([chain.first[-1] ^ 1]),
        Code.CONTENT_HASH,
    ),
    "a content that is none": (lambda chain: chain.says_nothing(b"none"), Code.UNKNOWN_SCHEMA),
    "a batch that is none": (lambda chain: chain.says(batch=b"none"), Code.UNKNOWN_SCHEMA),
    "a batch with a byte behind it": (lambda chain: chain.says(batch=BATCH + b"\0"), Code.MALFORMED),
    "a batch that ends early": (lambda chain: chain.says(batch=BATCH[:-9]), Code.MALFORMED),
    "a list of nobody": (lambda chain: chain.says(scope=Scope.LIST), Code.NOT_A_RECIPIENT),
    "a key that was never announced": (
        lambda chain: chain.says(sender_key=new_sender_key()),
        Code.KEY_MISSING,
    ),
    "slots of noise": (
        lambda chain: chain.says(sender_key=new_sender_key(), key_wraps=junk_slots(300)),
        Code.KEY_MISSING,
    ),
    "a message against the rules": (
        lambda chain: chain.says(batch=encode_batch((), [unlawful()])),
        Code.CHECK_DIGIT,
    ),
}


@pytest.mark.parametrize(("poison", "code"), POISON.values(), ids=POISON.keys())
def test_behind_a_bad_record_the_next_thousand_are_delivered(
    tmp_path: Path, poison: Callable[[Chain], bytes], code: Code
) -> None:
    chain, site = Chain(), ReaderSite(tmp_path)
    bad = poison(chain)
    rest = [chain.says(batch=encode_batch((), GOOD[begin : begin + 500])) for begin in (0, 500)]
    assert site.reads(chain.first, bad, *rest).delivered == 1001
    assert [refusal.code for refusal in site.store.read_now(refusals)] == [code]


def test_a_refused_message_leaves_no_content_in_logs_or_quarantine(tmp_path: Path) -> None:
    """Only its author is told what stood in the field; a reader's log and lists name field and rule."""
    chain, site = Chain(), ReaderSite(tmp_path)
    with capture_logs() as logs:
        site.reads(chain.first, chain.says(batch=encode_batch((), [unlawful()])))
    (kept,) = site.store.read_now(refusals)
    assert kept.detail == "$.body.equipment[0].container_no [CHECK_DIGIT]"
    assert any(kept.detail in str(event) for event in logs)
    assert "CSQU" not in str(logs)
    assert b"CSQU" not in kept.record


def test_of_a_flood_of_slots_a_reader_tries_one(tmp_path: Path) -> None:
    chain, site = Chain(), ReaderSite(tmp_path)
    flood = chain.says(sender_key=new_sender_key(), key_wraps=junk_slots(300))
    tried = 0

    def watch(frame: FrameType, event: str, _argument: Any) -> None:  # noqa: ANN401
        nonlocal tried
        tried += event == "call" and frame.f_code is seal.unwrap.__code__

    sys.setprofile(watch)
    try:
        site.reads(chain.first, flood)
    finally:
        sys.setprofile(None)
    assert tried == 2, "the honest announcement's slot, and one of the flood"


def test_a_member_without_a_sealing_key_keeps_nobody_from_reading(tmp_path: Path) -> None:
    known = directory({**targets(), member_target(UY): member_file(enrol(UY, sealing=False))})
    author, reader, keyless = Author(), ReaderSite(tmp_path, AR), ReaderSite(tmp_path, UY)
    record = author.says(alert(1), known=known)
    assert known.keyless(REGION) == {UY}
    assert len(parse_content(parse_record(record).content).key_wraps) == 3
    assert reader.reads(record, known=known).delivered == 1
    assert keyless.reads(record, known=known).delivered == 0
    assert [refusal.code for refusal in keyless.store.read_now(refusals)] == [Code.KEY_MISSING]
