"""How does a message become an item of a batch, and a batch messages again?

An item is the body of the record Message alone. A batch is the single-object encoding of Batch:
the recipients, then the items in one block, which is why encoded items can be joined without
decoding them. The kind is the branch of the body's union; the recipients stand once, in the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgspec

from almenara.errors import Code, Fault, MessageRefused, RecordRefused, StatementRefused
from almenara.model.messages import Message
from almenara.wire import avro
from almenara.wire.converters import Unfit, record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from almenara.model.ids import MemberId

BATCH_CAP = 512 * 1024
"""No batch is larger than the largest padding bucket (seal.py), so none is decoded beyond it."""

MESSAGES_MAX = 512
"""One statement holds at most so many messages (DESIGN 3), so that one refused costs few others."""

_TEXT_MAX = 200
"""A fault's text quotes the wrong value, which may fill the batch."""

_LONG = range(-(2**63), 2**63)
_MESSAGE = record(Message)


class Batch(NamedTuple):
    """What a statement seals; a message that could not be read stands as its refusal, in its place."""

    recipients: tuple[MemberId, ...]
    messages: tuple[Message | UnreadableMessage, ...]


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
    surrogate, an integer beyond 64 bits, a number that is not finite, the nil UUID, the time zero.
    """
    try:
        row = _MESSAGE.write(message)
    except Unfit as unfit:
        raise MessageRefused([unfit.fault()]) from unfit
    del row["recipients"]
    try:
        return avro.encode_bare("Message", row)
    except (UnicodeEncodeError, OverflowError) as exc:
        raise MessageRefused(list(_unencodable(row, "$"))) from exc


def _unencodable(value: Any, path: str) -> Iterator[Fault]:
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
    """Return the batch of these encoded messages. Raises ValueError for none or over MESSAGES_MAX."""
    if not 0 < len(items) <= MESSAGES_MAX:
        raise ValueError(f"batch: {len(items)} messages; want 1 to {MESSAGES_MAX}")
    no_messages = avro.encode("Batch", {"recipients": recipients, "messages": ()})
    end_of_array = no_messages[-1:]
    return b"".join([no_messages[:-1], avro.encode_long(len(items)), *items, end_of_array])


def decode_batch(data: bytes) -> Batch:
    """Return the batch with its messages, each with the batch's recipients filled in.

    One faulty message does not spoil the others: its refusal stands in its place. Raises
    StatementRefused if the batch as a whole is not of its schema: OVERSIZE, UNKNOWN_SCHEMA, MALFORMED.
    """
    try:
        batch = avro.decode("Batch", data, cap=BATCH_CAP)
    except RecordRefused as exc:
        raise StatementRefused(exc.code, exc.text) from exc
    rows = batch["messages"]
    if not 0 < len(rows) <= MESSAGES_MAX:
        raise StatementRefused(
            Code.MALFORMED,
            f"Batch: {len(rows)} messages, want 1 to {MESSAGES_MAX}; its publisher must split it",
        )
    recipients = tuple(batch["recipients"])
    return Batch(recipients, tuple(_read(row, recipients) for row in rows))


def _read(row: dict[str, Any], recipients: tuple[MemberId, ...]) -> Message | UnreadableMessage:
    row["recipients"] = recipients
    message_id = row["message_id"]
    try:
        return msgspec.convert(_MESSAGE.read(row), Message)
    except Unfit as unfit:
        fault = unfit.fault()
    except msgspec.ValidationError as exc:
        fault = _fault(exc)
    return UnreadableMessage(fault, UUID(bytes=message_id) if any(message_id) else None)


def _fault(error: msgspec.ValidationError) -> Fault:
    """Return the fault of a text such as "Invalid enum value 'X' - at `$.body.level`"."""
    text, _, path = str(error).rpartition(" - at ")
    code = Code.UNKNOWN_CODE if text.startswith("Invalid enum value") else Code.SHAPE
    return Fault(code, path.strip("`"), text[:_TEXT_MAX])
