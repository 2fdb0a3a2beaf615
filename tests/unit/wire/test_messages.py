"""Batches: messages of every kind come back as they were, and faults are told one by one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, get_args
from uuid import UUID

import avro.io
import avro.schema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from almenara.errors import Code, MessageRefused, StatementRefused
from almenara.model import alert, bodies, messages
from almenara.model.alert import Part, RiskAlert
from almenara.model.bodies import KINDS, Body
from almenara.model.codes import Area, Kind, Level, Tlp, Urgency
from almenara.model.ids import AudienceId, MemberId
from almenara.model.messages import Handling, Message
from almenara.wire import avro as codec
from almenara.wire.messages import (
    MESSAGE_MAX,
    MESSAGES_MAX,
    RECIPIENTS_MAX,
    UnreadableMessage,
    content_hash,
    decode_batch,
    decode_message,
    encode_batch,
    encode_message,
)
from almenara.wire.padding import BATCH_MAX
from almenara.wire.schemas import definitions, load_schemas, resolve
from strategies import messages as messages_of

if TYPE_CHECKING:
    from collections.abc import Callable

CL, AR = MemberId("CL"), MemberId("AR")
ID = UUID("01937d7e-0000-7000-8000-000000000001")
ALERT = Message(
    message_id=ID,
    issued_at=datetime(2026, 11, 24, 10, 0, 0, 123_456, tzinfo=UTC),
    handling=Handling(tlp=Tlp.GREEN),
    recipients=(CL,),
    body=RiskAlert(area=Area.DRUGS, level=Level.HIGH, urgency=Urgency.PRIORITY),
)
ITEM = encode_message(ALERT)
PARTS = {
    struct.__name__: struct
    for module in (alert, bodies, messages)
    for struct in vars(module).values()
    if isinstance(struct, type) and issubclass(struct, Part) and struct is not Part
}
EVERY_KIND = pytest.mark.parametrize("kind", list(Kind))
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def _without_branch_names(value: Any) -> Any:  # noqa: ANN401 - any Avro value
    match value:
        case dict():
            return {name: _without_branch_names(each) for name, each in value.items()}
        case list():
            return [_without_branch_names(each) for each in value]
        case (str(), dict() as fields):
            return _without_branch_names(fields)
        case _:
            return value


SECOND = avro.io.DatumReader(avro.schema.parse(json.dumps(resolve("Message", load_schemas()))))


@EVERY_KIND
def test_every_message_comes_back_as_it_was(kind: Kind) -> None:
    @QUICK
    @given(messages_of(kind))
    def check(message: Message) -> None:
        message = msgspec.structs.replace(message, recipients=(AR, CL))
        batch = decode_batch(encode_batch((AR, CL), [encode_message(message)]))
        assert batch.messages == (message,)
        assert batch.recipients == (AR, CL)

    check()


@EVERY_KIND
def test_a_second_avro_library_reads_the_same_values(kind: Kind) -> None:
    @QUICK
    @given(messages_of(kind))
    def check(message: Message) -> None:
        item = encode_message(message)
        ours, end = codec.decode_bare("Message", item, 0)
        stream = BytesIO(item)
        theirs = SECOND.read(avro.io.BinaryDecoder(stream))
        assert theirs == _without_branch_names(ours)
        assert (end, stream.tell()) == (len(item), len(item))

    check()


@pytest.mark.parametrize("name", PARTS)
def test_a_struct_and_its_record_name_the_same_fields_in_the_same_order(name: str) -> None:
    schemas = {key: each for file in load_schemas().values() for key, each in definitions(file).items()}
    struct_fields = [
        field.encode_name
        for field in msgspec.structs.fields(PARTS[name])
        if (name, field.name) != ("Message", "recipients")  # they stand in the batch
    ]
    assert [field["name"] for field in schemas[name]["fields"]] == struct_fields


@pytest.mark.parametrize("name", PARTS)
def test_a_field_may_be_absent_in_the_record_exactly_when_it_may_in_the_struct(name: str) -> None:
    schemas = {key: each for file in load_schemas().values() for key, each in definitions(file).items()}
    absent = {None: 0, (): []}
    for field in schemas[name]["fields"]:
        default = next(
            each.default for each in msgspec.structs.fields(PARTS[name]) if each.name == field["name"]
        )
        if default is msgspec.NODEFAULT:
            assert "default" not in field, field["name"]
        elif field["type"] == "Fixed16":
            assert (default, field["default"]) == (None, "\0" * 16)
        else:
            assert field["default"] == absent.get(default, default), field["name"]


def test_the_union_of_bodies_has_the_order_of_the_kinds() -> None:
    body = load_schemas()["Message"]["fields"][-1]
    assert body["type"] == [struct.__name__ for struct in KINDS] == [one.__name__ for one in get_args(Body)]


def test_items_are_joined_into_what_the_schema_itself_encodes() -> None:
    rows = [codec.decode_bare("Message", ITEM, 0)[0]] * 3
    whole = codec.encode("Batch", {"recipients": ["AR", "CL"], "messages": rows})
    assert encode_batch((AR, CL), [ITEM] * 3) == whole


def test_a_batch_gives_each_message_s_own_bytes() -> None:
    other = encode_message(msgspec.structs.replace(ALERT, reference="PE-2026-000123"))
    batch = decode_batch(encode_batch((), [ITEM, other]))
    assert batch.items == (ITEM, other)
    assert [decode_message(item, ()) for item in batch.items] == list(batch.messages)


@pytest.mark.parametrize("recipients", [(CL, AR), (CL, CL)])
def test_a_batch_for_recipients_out_of_order_is_not_made(recipients: tuple[MemberId, ...]) -> None:
    with pytest.raises(ValueError, match="sorted, each once"):
        encode_batch(recipients, [ITEM])


def test_a_batch_of_too_many_is_not_made() -> None:
    with pytest.raises(ValueError, match="at most 512"):
        encode_batch((), [ITEM] * (MESSAGES_MAX + 1))


def test_a_batch_may_be_empty_for_a_checkpoint_has_no_message() -> None:
    batch = decode_batch(encode_batch((), []))
    assert (batch.recipients, batch.messages, batch.items) == ((), (), ())


def test_the_largest_batch_is_read() -> None:
    assert len(decode_batch(encode_batch((), [ITEM] * MESSAGES_MAX)).messages) == MESSAGES_MAX


def _raw(recipients: bytes, messages_: bytes) -> bytes:
    return codec.prefix("Batch") + recipients + messages_


ONE = b"\x02" + ITEM + b"\0"
TO_CL = b"\x02\x04CL\x00"
MANY = codec.encode_long(RECIPIENTS_MAX + 1) + b"\x04CL" * (RECIPIENTS_MAX + 1) + b"\0"
BAD_BATCHES = {
    "nothing": (b"", Code.UNKNOWN_SCHEMA),
    "another schema": (codec.prefix("Head") + TO_CL + ONE, Code.UNKNOWN_SCHEMA),
    "too large": (_raw(TO_CL, ONE) + bytes(BATCH_MAX), Code.OVERSIZE),
    "no messages and a byte": (_raw(TO_CL, b"\0\0"), Code.MALFORMED),
    "too many messages": (_raw(TO_CL, codec.encode_long(513) + ITEM * 513 + b"\0"), Code.MALFORMED),
    "a count below zero": (_raw(TO_CL, b"\x01\x04" + ITEM + b"\0"), Code.MALFORMED),
    "a count in a longer form": (_raw(TO_CL, b"\x82\x00" + ITEM + b"\0"), Code.NOT_CANONICAL),
    "fewer messages than counted": (_raw(TO_CL, b"\x04" + ITEM + b"\0"), Code.MALFORMED),
    "two blocks of messages": (_raw(TO_CL, b"\x02" + ITEM + b"\x02" + ITEM + b"\0"), Code.MALFORMED),
    "no end": (_raw(TO_CL, ONE[:-1]), Code.MALFORMED),
    "a byte too many": (_raw(TO_CL, ONE + b"\0"), Code.MALFORMED),
    "a message cut short": (_raw(TO_CL, ONE[:-20]), Code.MALFORMED),
    "too many recipients": (_raw(MANY, ONE), Code.MALFORMED),
    "recipients below zero": (_raw(b"\x01\x06\x04CL\x00", ONE), Code.MALFORMED),
    "two blocks of recipients": (_raw(b"\x02\x04CL\x02\x04AR\x00", ONE), Code.MALFORMED),
    "a recipient without a name": (_raw(b"\x02\x00\x00", ONE), Code.MALFORMED),
    "a recipient of 19 letters": (_raw(b"\x02\x26" + b"X" * 19 + b"\x00", ONE), Code.MALFORMED),
    "a recipient in other letters": (_raw(b"\x02\x04\xc3\xa9\x00", ONE), Code.MALFORMED),
    "recipients out of order": (_raw(b"\x04\x04CL\x04AR\x00", ONE), Code.MALFORMED),
    "a recipient twice": (_raw(b"\x04\x04CL\x04CL\x00", ONE), Code.MALFORMED),
    "recipients cut short": (_raw(b"\x04\x04CL", b""), Code.MALFORMED),
}


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_what_is_no_batch_is_refused_as_a_whole(case: str) -> None:
    data, code = BAD_BATCHES[case]
    with pytest.raises(StatementRefused) as refusal:
        decode_batch(data)
    assert refusal.value.code is code


def _altered(change: Callable[[dict[str, Any]], object], item: bytes = ITEM) -> bytes:
    row, _ = codec.decode_bare("Message", item, 0)
    change(row)
    return codec.encode_bare("Message", row)


FAULTY: dict[str, tuple[Callable[[dict[str, Any]], object], Code, str]] = {
    "a code outside its list": (lambda row: row["body"][1].update(level="HUGE"), Code.SHAPE, "$.body.level"),
    "a code that is absent": (lambda row: row["handling"].update(tlp=""), Code.SHAPE, "$.handling.tlp"),
    "a code of 40,000 letters": (lambda row: row.update(status="X" * 40_000), Code.SHAPE, "$.status"),
    "no time of issue": (lambda row: row.update(issued_at=0), Code.REQUIRED, "$.issued_at"),
    "a time in the year 300,000": (
        lambda row: row["handling"].update(retention_until=2**63 - 1),
        Code.RANGE,
        "$.handling.retention_until",
    ),
    "no time in the second action": (
        lambda row: row.update(
            actions=[
                {"member": "", "requested": "HOLD", "control_point": "", "feedback_due": 0},
                {"member": "", "requested": "HOLD", "control_point": "", "feedback_due": -(2**63)},
            ]
        ),
        Code.RANGE,
        "$.actions[1].feedback_due",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_faulty_message_is_named_and_the_others_are_read(case: str) -> None:
    change, code, path = FAULTY[case]
    batch = decode_batch(encode_batch((CL,), [ITEM, _altered(change), ITEM]))
    refusal = batch.messages[1]
    assert isinstance(refusal, UnreadableMessage)
    assert [(fault.code, fault.path) for fault in refusal.faults] == [(code, path)]
    assert refusal.message_id == ID
    assert len(str(refusal)) < 500
    assert batch.messages[0] == batch.messages[2] == ALERT


@pytest.mark.parametrize("before", [0, 10, 200])
def test_a_message_above_its_cap_spoils_its_batch_wherever_it_stands(before: int) -> None:
    """Where it ends is not known before it is decoded, and so much of it is not."""
    large = _altered(lambda row: row.update(status="X" * MESSAGE_MAX))
    with pytest.raises(StatementRefused) as refused:
        decode_batch(encode_batch((), [ITEM] * before + [large]))
    assert refused.value.code is Code.MALFORMED


def test_a_message_without_its_id_is_refused_without_one() -> None:
    item = _altered(lambda row: row.update(message_id=bytes(16)))
    refusal = decode_batch(encode_batch((), [item])).messages[0]
    assert isinstance(refusal, UnreadableMessage)
    assert refusal.message_id is None
    assert (refusal.code, refusal.faults[0].path) == (Code.REQUIRED, "$.message_id")


def test_one_faulty_message_alone_raises_its_refusal() -> None:
    with pytest.raises(MessageRefused, match=r"\$\.issued_at"):
        decode_message(_altered(lambda row: row.update(issued_at=0)), ())


@pytest.mark.parametrize("item", [b"", ITEM[:-1], ITEM + b"\0"])
def test_other_bytes_than_an_item_s_are_refused(item: bytes) -> None:
    with pytest.raises(StatementRefused) as refusal:
        decode_message(item, ())
    assert refusal.value.code is Code.MALFORMED


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNSENDABLE: dict[str, tuple[dict[str, Any], Code, str]] = {
    "the moment that means absent": ({"valid_from": EPOCH}, Code.RANGE, "$.valid_from"),
    "the id that means absent": ({"supersedes": UUID(int=0)}, Code.RANGE, "$.supersedes"),
    "an integer beyond 64 bits": ({"version": 2**63}, Code.RANGE, "$.version"),
    "half of a surrogate pair": ({"external_refs": ("fine", "\ud83d")}, Code.FORMAT, "$.external_refs[1]"),
    "the same within the body": (
        {"body": msgspec.structs.replace(ALERT.body, category="\udfff")},
        Code.FORMAT,
        "$.body.category",
    ),
}


@pytest.mark.parametrize("case", UNSENDABLE)
def test_a_value_the_wire_cannot_carry_is_refused_by_its_field(case: str) -> None:
    fields, code, path = UNSENDABLE[case]
    with pytest.raises(MessageRefused) as refusal:
        encode_message(msgspec.structs.replace(ALERT, **fields))
    assert [(fault.code, fault.path) for fault in refusal.value.faults] == [(code, path)]


def test_times_keep_their_microseconds_before_and_after_1970() -> None:
    for moment in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)):
        message = msgspec.structs.replace(ALERT, expires_at=moment)
        assert decode_message(encode_message(message), (CL,)) == message


def test_the_content_hash_tells_apart_what_is_said_and_to_whom() -> None:
    region, pair = AudienceId("region"), AudienceId("pe-cl")
    other = _altered(lambda row: row.update(reference="other"))
    hashes = {
        content_hash(ITEM, region, ()),
        content_hash(ITEM, region, (CL,)),
        content_hash(ITEM, region, (AR, CL)),
        content_hash(ITEM, pair, (CL,)),
        content_hash(other, region, (CL,)),
    }
    assert len(hashes) == 5
    assert content_hash(ITEM, region, (CL,)) == content_hash(bytes(ITEM), region, [CL])
