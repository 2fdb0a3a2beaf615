"""How does a message become an item of a batch, and a batch messages again?

An item is the body of the record Message alone. A batch is the single-object encoding of Batch:
the recipients, then the items in one block, which is why encoded items can be joined without
decoding them. The kind is the branch of the body's union; the recipients stand once, in the batch.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgspec

from almenara.errors import Code, Fault, MessageRefused, RecordRefused, StatementRefused
from almenara.model.ids import AudienceId, MemberId
from almenara.model.messages import Message
from almenara.model.shape import shape_fault
from almenara.wire import avro
from almenara.wire.converters import Unfit, record
from almenara.wire.padding import BATCH_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MESSAGES_MAX = 512
"""One statement holds at most so many messages (DESIGN 3), so that one refused costs few others."""

MESSAGE_MAX = 48 * 1024
"""Bytes of one message: narratives in four languages and some hundred goods. Lists of empty items, of
which a few bytes make many, cost a reader no more than its share of these."""

RECIPIENTS_MAX = 1_000
"""One list names at most so many members; the largest federation planned for has 186."""

MEMBER_BYTES_MAX = 18
"""The longest member id: `X-` and 16 letters or digits (model/ids.py)."""

_WINDOW_STEP = MESSAGE_MAX // 8
"""A longer batch is decoded through a window that is cut anew after so many bytes: few copies."""

_END_OF_ARRAY = b"\x00"
_LONG = range(-(2**63), 2**63)
_MESSAGE = record(Message)


class Batch(NamedTuple):
    """What a statement seals; a message that could not be read stands as its refusal, in its place.

    `items` are the messages' own bytes, in the same order: what a store keeps and what is hashed.
    """

    recipients: tuple[MemberId, ...]
    messages: tuple[Message | UnreadableMessage, ...]
    items: tuple[bytes, ...]


class UnreadableMessage(MessageRefused):
    """A message of the right schema with a value that no message can have.

    `message_id` is None if that value is the id; with it the reader can answer REJECTED.
    """

    def __init__(self, fault: Fault, message_id: UUID | None) -> None:
        super().__init__([fault])
        self.message_id = message_id


def encode_message(message: Message) -> bytes:
    """Return the item that `encode_batch` joins. The recipients are no part of it.

    Raises MessageRefused, naming the field, for a value that the wire cannot carry: text with a lone
    surrogate, an integer beyond 64 bits, the nil UUID, the first microsecond of 1970; OVERSIZE for a
    message above MESSAGE_MAX.
    """
    try:
        row = _MESSAGE.write(message)
    except Unfit as unfit:
        raise MessageRefused([unfit.fault()]) from unfit
    del row["recipients"]
    try:
        item = avro.encode_bare("Message", row)
    except (UnicodeEncodeError, OverflowError) as exc:
        raise MessageRefused(list(_unencodable(row, "$"))) from exc
    if len(item) > MESSAGE_MAX:
        text = f"{len(item)} bytes encoded; want at most {MESSAGE_MAX}: shorten its texts, or make two of it"
        raise MessageRefused([Fault(Code.OVERSIZE, "$", text)])
    return item


def _unencodable(value: object, path: str) -> Iterator[Fault]:
    """Find what fastavro refused; it does not say where."""
    match value:
        case dict():
            for name, each in value.items():
                yield from _unencodable(each, f"{path}.{name}")
        case (str(), dict() as row):  # a branch of a union with its name
            yield from _unencodable(row, path)
        case list() | tuple():
            for index, each in enumerate(value):
                yield from _unencodable(each, f"{path}[{index}]")
        case int() if value not in _LONG:
            yield Fault(Code.RANGE, path, "an integer beyond 64 bits; want a smaller one")
        case str() if any("\ud800" <= character <= "\udfff" for character in value):
            yield Fault(Code.FORMAT, path, "text with half of a surrogate pair; want valid Unicode")


def encode_batch(recipients: Sequence[MemberId], items: Sequence[bytes]) -> bytes:
    """Return the batch of these encoded messages for these recipients, sorted, each once.

    A checkpoint's batch holds no message. Raises ValueError for another order, or over MESSAGES_MAX.
    """
    if list(recipients) != sorted(set(recipients)):
        raise ValueError(f"batch: recipients {' '.join(recipients)}; want them sorted, each once")
    if len(items) > MESSAGES_MAX:
        raise ValueError(f"batch: {len(items)} messages; want at most {MESSAGES_MAX}")
    no_messages = avro.encode("Batch", {"recipients": recipients, "messages": ()})
    if not items:
        return no_messages
    return b"".join([no_messages[:-1], avro.encode_long(len(items)), *items, _END_OF_ARRAY])


def decode_batch(data: bytes) -> Batch:
    """Return the batch with its messages, each with the batch's recipients filled in.

    One faulty message does not spoil the others: its refusal stands in its place. Raises
    StatementRefused if the batch as a whole is not of its schema: OVERSIZE, UNKNOWN_SCHEMA, MALFORMED,
    or NOT_CANONICAL for arrays in several blocks. A message above MESSAGE_MAX is MALFORMED.
    """
    try:
        avro.require_prefix("Batch", data, cap=BATCH_MAX)
        recipients, at = _recipients(data, avro.PREFIX_BYTES)
        count, at = avro.decode_long(data, at)
        if not 0 <= count <= MESSAGES_MAX:
            raise _malformed(f"{count} messages, want at most {MESSAGES_MAX}")
        messages, items = [], []
        window, base = data[at : at + _WINDOW_STEP + MESSAGE_MAX], at
        for _ in range(count):
            if at - base > _WINDOW_STEP:
                window, base = data[at : at + _WINDOW_STEP + MESSAGE_MAX], at
            row, stop = avro.decode_bare("Message", window, at - base)
            end = base + stop
            if end - at > MESSAGE_MAX:
                raise _malformed(f"a message of {end - at} bytes, want at most {MESSAGE_MAX}")
            messages.append(_read(row, recipients))
            items.append(data[at:end])
            at = end
    except RecordRefused as exc:
        raise StatementRefused(exc.code, exc.text) from exc
    if data[at:] != (_END_OF_ARRAY if count else b""):
        raise _malformed("its messages do not end it in one block")
    return Batch(recipients, tuple(messages), tuple(items))


def decode_message(item: bytes, recipients: tuple[MemberId, ...]) -> Message:
    """Return a message from its own bytes, as `decode_batch` gave them and a store kept them.

    Raises StatementRefused MALFORMED for bytes that are no item, MessageRefused for a faulty message.
    """
    try:
        row, end = avro.decode_bare("Message", item, 0)
    except RecordRefused as exc:
        raise StatementRefused(exc.code, exc.text) from exc
    if end != len(item):
        raise _malformed(f"{len(item) - end} bytes follow a message")
    message = _read(row, recipients)
    if isinstance(message, UnreadableMessage):
        raise message
    return message


def content_hash(item: bytes, audience: AudienceId, recipients: Sequence[MemberId]) -> bytes:
    """Return SHA-256 over what a message says and to whom: the same id must always mean the same."""
    digest = sha256(item)
    digest.update(f"\0{audience}\0{' '.join(recipients)}".encode())
    return digest.digest()


def _recipients(data: bytes, at: int) -> tuple[tuple[MemberId, ...], int]:
    count, at = avro.decode_long(data, at)
    if not 0 <= count <= RECIPIENTS_MAX:
        raise _malformed(f"{count} recipients, want at most {RECIPIENTS_MAX}")
    if count == 0:
        return (), at
    recipients = []
    for _ in range(count):
        length, at = avro.decode_long(data, at)
        if not 0 < length <= MEMBER_BYTES_MAX or not data[at : at + length].isascii():
            raise _malformed("a recipient that is no member id")
        recipients.append(MemberId(data[at : at + length].decode("ascii")))
        at += length
    if data[at : at + 1] != _END_OF_ARRAY:
        raise _malformed("its recipients do not stand in one block")
    if recipients != sorted(set(recipients)):
        raise _malformed("its recipients are not sorted, each once")
    return tuple(recipients), at + 1


def _malformed(fault: str) -> StatementRefused:
    return StatementRefused(Code.MALFORMED, f"Batch: {fault}; its publisher must make it again")


def _read(row: dict[str, Any], recipients: tuple[MemberId, ...]) -> Message | UnreadableMessage:
    row["recipients"] = recipients
    message_id = row["message_id"]
    try:
        return msgspec.convert(_MESSAGE.read(row), Message)
    except Unfit as unfit:
        fault = unfit.fault()
    except msgspec.ValidationError as exc:
        fault = shape_fault(str(exc), row)
    return UnreadableMessage(fault, UUID(bytes=message_id) if any(message_id) else None)
