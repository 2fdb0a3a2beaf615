from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from almenara.errors import Code, MessageRefused
from almenara.model.alert import RiskAlert
from almenara.model.bodies import KINDS, Receipt, RiskAlertUpdate
from almenara.model.codes import Area, Kind, Level, Tlp, Urgency
from almenara.model.json import TIMES, message_json, parse_message, parse_message_object, shaped
from almenara.model.messages import Handling, Message
from almenara.model.values import Digest
from almenara.wire.messages import decode_message, encode_message
from strategies import messages

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
SOME_ID = UUID("01936f3c-7d4a-7b1e-9c55-3f2a8d10e6b4")
HASH = "0f" * 32


def document(**changes: object) -> dict[str, Any]:
    """Return a small alert as JSON values, with these fields changed."""
    return {
        "kind": "RISK_ALERT",
        "message_id": str(SOME_ID),
        "issued_at": "2026-11-24T09:00:00Z",
        "handling": {"tlp": "AMBER"},
        "body": {"area": "DRUGS", "level": "HIGH", "urgency": "PRIORITY", "goods": [{"hs": "0803"}]},
        **changes,
    }


def body(**changes: object) -> dict[str, Any]:
    return {**document()["body"], **changes}


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in document().items() if name != field}


@given(messages())
def test_every_message_comes_back_from_its_json(message: Message) -> None:
    text = json.dumps(message_json(message))
    assert parse_message(text, now=NOW) == message
    assert parse_message(text.encode(), now=NOW) == message


@given(messages())
def test_every_message_of_right_shape_is_left_as_it_is(message: Message) -> None:
    assert shaped(message) == message


@given(messages())
def test_a_message_shows_its_kind_once_and_first(message: Message) -> None:
    shown = message_json(message)
    assert next(iter(shown)) == "kind"
    assert shown["kind"] == message.kind == KINDS[type(message.body)]
    assert "kind" not in shown["body"]
    if message.kind is Kind.RISK_ALERT_UPDATE:
        assert "kind" not in shown["body"]["alert"]


def test_json_holds_only_what_is_given() -> None:
    message = parse_message_object(document(), now=NOW)
    assert json.loads(json.dumps(message_json(message))) == document()


def test_json_leaves_out_numbers_that_are_absent_and_keeps_zeros_that_have_a_unit() -> None:
    goods = [{"hs": "0803", "quantity": 0.0, "gross_mass_kg": 0, "value": 0}, {"quantity": 0, "unit": "KGM"}]
    read = parse_message_object(document(body=body(goods=goods)), now=NOW)
    wired = decode_message(encode_message(read), ())
    for message in (read, wired):
        shown = json.loads(json.dumps(message_json(message)))
        assert shown["body"]["goods"] == [{"hs": "0803"}, {"quantity": 0.0, "unit": "KGM"}]
        assert parse_message_object(shown, now=NOW) == read


def test_a_missing_id_and_issue_are_filled_in() -> None:
    message = parse_message_object(
        {name: value for name, value in document().items() if name not in {"message_id", "issued_at"}},
        now=NOW,
        new_id=lambda now: UUID(int=int(now.timestamp())),
    )
    assert (message.message_id, message.issued_at) == (UUID(int=int(NOW.timestamp())), NOW)


def test_the_id_filled_in_is_a_uuid_of_version_7_and_of_this_moment() -> None:
    message = parse_message_object(document(message_id=None, issued_at=None), now=NOW)
    assert message.message_id.version == 7
    assert message.message_id.int >> 80 == int(NOW.timestamp() * 1000)


def test_what_is_given_is_not_filled_in() -> None:
    message = parse_message_object(document(), now=NOW)
    assert (message.message_id, message.issued_at) == (SOME_ID, NOW - timedelta(hours=1))


def test_the_object_given_is_not_changed() -> None:
    given = document()
    parse_message_object(given, now=NOW)
    assert given == document()


def test_times_come_back_in_utc_wherever_they_stand() -> None:
    zoned = "2026-11-24T05:00:00-05:00"
    receipt = document(
        kind="RECEIPT",
        issued_at=zoned,
        valid_from=zoned,
        handling={"tlp": "AMBER", "retention_until": zoned},
        actions=[{"requested": "INFORM", "feedback_due": zoned}],
        body={
            "decisions": [{"publisher": "PE", "message_id": str(SOME_ID), "state": "ACCEPTED", "at": zoned}]
        },
    )
    message = parse_message_object(receipt, now=NOW)
    assert isinstance(message.body, Receipt)
    times = [
        message.issued_at,
        message.valid_from,
        message.handling.retention_until,
        message.actions[0].feedback_due,
        message.body.decisions[0].at,
    ]
    assert [time and (time, time.tzinfo) for time in times] == [(NOW, UTC)] * 5


def _time_fields(struct: inspect.StructType) -> set[tuple[type, str]]:
    """Return (type, field) of each time in a struct and in all structs within it."""
    found: set[tuple[type, str]] = set()
    for field in struct.fields:
        kinds = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        for kind in kinds:
            inner = kind.item_type if isinstance(kind, inspect.VarTupleType) else kind
            if isinstance(inner, inspect.DateTimeType):
                found.add((struct.cls, field.name))
            if isinstance(inner, inspect.StructType):
                found |= _time_fields(inner)
    return found


def test_the_table_of_times_names_every_time_of_a_message() -> None:
    whole = inspect.type_info(Message)
    assert isinstance(whole, inspect.StructType)
    assert {(part, name) for part, (times, _) in TIMES.items() for name in times} == _time_fields(whole)


WRONG_SHAPES: dict[str, tuple[object, str, str]] = {
    "a list": ([], "$", "got list: want an object"),
    "no kind": (without("kind"), "$.kind", "missing: want one of RISK_ALERT, RISK_ALERT_UPDATE"),
    "an unknown kind": (document(kind="ALERT"), "$.kind", "'ALERT' is no kind of message"),
    "a kind that is no text": (document(kind=["x"]), "$.kind", "is no kind of message"),
    "a kind in the body": (document(body=body(kind="RECEIPT")), "$.body.kind", "stands beside the body"),
    "no handling": (without("handling"), "$.handling", "missing: this field is required"),
    "no body": (without("body"), "$.body", "missing: this field is required"),
    "a body that is a number": (document(body=3), "$.body", "want object, got int"),
    "an id that is none": (document(message_id="7"), "$.message_id", "want a UUID, as in"),
    "an unknown field": (document(sender="PE"), "$.sender", "unknown field: leave it out"),
    "a field misspelt": (
        document(body=body(lvl="HIGH", levels="HIGH")),
        "$.body.lvl",
        "unknown field: did you mean level?",
    ),
    "a field of another kind": (
        document(kind="CONTROL_RESULT", body={"outcome": "SEIZED", "goods": []}),
        "$.body.goods",
        "unknown field: leave it out",
    ),
    "a required field left out": (
        document(body={"area": "DRUGS", "level": "HIGH"}),
        "$.body.urgency",
        "missing: this field is required",
    ),
    "a number for a text": (
        document(body=body(goods=[{"hs": "01"}, {"hs": 1}])),
        "$.body.goods[1].hs",
        "want str, got int",
    ),
    "a text for a number": (
        document(body=body(goods=[{"quantity": "1"}])),
        "$.body.goods[0].quantity",
        "want float, got str",
    ),
    "a code outside its list": (
        document(body=body(level="CRITCAL")),
        "$.body.level",
        "'CRITCAL' is not in the list: want one of LOW, MEDIUM, HIGH, CRITICAL",
    ),
    "a code in a list of parts": (
        document(body=body(goods=[{"cites_appendix": "IV"}])),
        "$.body.goods[0].cites_appendix",
        "'IV' is not in the list: want one of I, II, III",
    ),
    "a time without zone": (
        document(issued_at="2026-11-24T10:00:00"),
        "$.issued_at",
        "want a time with its zone, as in 2026-11-24T10:00:00Z",
    ),
    "a day for a time": (document(expires_at="2026-11-24"), "$.expires_at", "want a time with its zone"),
    "a number for a time": (document(expires_at=17), "$.expires_at", "want time, got int"),
    "a time before year 1": (
        document(valid_from="0001-01-01T00:00:00+01:00"),
        "$.valid_from",
        "outside years 1 to 9999",
    ),
    "a time of a part before year 1": (
        document(actions=[{"requested": "INFORM", "feedback_due": "0001-01-01T00:00:00+01:00"}]),
        "$.actions[0].feedback_due",
        "outside years 1 to 9999",
    ),
    "a hash too short": (
        document(attachments=[{"name": "a", "media_type": "a/b", "size": 1, "sha256": HASH[2:]}]),
        "$.attachments[0].sha256",
        "want a SHA-256 hash: 64 hexadecimal digits",
    ),
    "a hash of other letters": (
        document(attachments=[{"name": "a", "media_type": "a/b", "size": 1, "sha256": "zz" * 32}]),
        "$.attachments[0].sha256",
        "want a SHA-256 hash: 64 hexadecimal digits",
    ),
    "a hash that is a number": (
        document(attachments=[{"name": "a", "media_type": "a/b", "size": 1, "sha256": 3}]),
        "$.attachments[0].sha256",
        "want a SHA-256 hash: 64 hexadecimal digits",
    ),
    "a field named like a complaint": (
        document(**{"x` - at `$.body": 1}),
        "$.body.x",
        "unknown field: leave it out",
    ),
    "a field named like a complaint about nothing": (
        document(**{"x` - at `$.nothing.there": 1}),
        "$.nothing.there.x",
        "unknown field: leave it out",
    ),
    "a long field with odd characters": (
        document(**{"\x1b[31m" + "x" * 100: 1}),
        "$.'\\x1b[31m" + "x" * 35 + "'",
        "unknown field: leave it out",
    ),
    "a code that looks like a complaint": (
        document(handling={"tlp": "x` - at `$.body`"}),
        "$.handling.tlp",
        "is not in the list: want one of RED, AMBER_STRICT, AMBER, GREEN, CLEAR",
    ),
}


@pytest.mark.parametrize(("value", "path", "text"), WRONG_SHAPES.values(), ids=WRONG_SHAPES)
def test_a_wrong_shape_is_refused_with_the_path_of_the_first_fault(
    value: object, path: str, text: str
) -> None:
    with pytest.raises(MessageRefused) as refusal:
        parse_message_object(value, now=NOW)
    (fault,) = refusal.value.faults
    assert (fault.code, fault.path) == (Code.SHAPE, path)
    assert text in fault.text


NOT_JSON: dict[str, tuple[bytes | str, str]] = {
    "nothing": (b"", "line 1, column 1: it ends too early"),
    "cut off": ('{"kind": "RISK_ALERT",', "line 1, column 23: it ends too early"),
    "a value left out": ('{"kind":\n  }', "line 2, column 3: invalid character"),
    "after letters of two bytes": ('{"título": ñ}', "line 1, column 12: invalid character"),
    "more than one value": (b"{}\n{}", "line 2, column 2: trailing characters"),
    "not a number": ('{"size": NaN}', "line 1, column 10: invalid character"),
    "a number too large": ('{"size": 1e999}', "Number out of range"),
    "not UTF-8": (b'"\xff"', "not UTF-8"),
    "half of a character": ('"\ud800"', "not UTF-8"),
    "nested deeply": ("[" * 100_000, "nested too deeply"),
}


@pytest.mark.parametrize(("data", "text"), NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_refused_with_its_place(data: bytes | str, text: str) -> None:
    with pytest.raises(MessageRefused) as refusal:
        parse_message(data, now=NOW)
    (fault,) = refusal.value.faults
    assert (fault.code, fault.path) == (Code.JSON, "$")
    assert text in fault.text


def test_a_byte_order_mark_is_no_fault() -> None:
    text = json.dumps(document())
    assert parse_message(b"\xef\xbb\xbf" + text.encode(), now=NOW) == parse_message(text, now=NOW)


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["kind", "body"]), inner),
    max_leaves=10,
)


@given(_json_values | _json_values.map(lambda value: document(body=value)))
def test_other_json_is_refused_and_nothing_else_goes_wrong(value: object) -> None:
    with pytest.raises(MessageRefused):
        parse_message_object(value, now=NOW)


@given(st.binary())
def test_any_bytes_are_refused_and_nothing_else_goes_wrong(data: bytes) -> None:
    with pytest.raises(MessageRefused):
        parse_message(data, now=NOW)


def alert_of(**fields: Any) -> Message:  # noqa: ANN401 - wrong types are the point
    body = RiskAlert(area=Area.DRUGS, level=Level.HIGH, urgency=Urgency.ROUTINE, origin="PE")
    given = {"message_id": SOME_ID, "issued_at": NOW, "handling": Handling(tlp=Tlp.AMBER), "body": body}
    return Message(**{**given, **fields})


def test_a_message_built_in_python_is_brought_into_shape() -> None:
    lima = timezone(timedelta(hours=-5))
    message = shaped(
        alert_of(
            handling=Handling(tlp="AMBER"),  # type: ignore[arg-type]  # text for a code is the point
            issued_at=NOW.astimezone(lima),
            recipients=["AR"],
        )
    )
    assert message == alert_of(recipients=("AR",))
    assert (message.handling.tlp, message.issued_at.tzinfo) == (Tlp.AMBER, UTC)
    assert isinstance(message.handling.tlp, Tlp)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"issued_at": datetime(2026, 11, 24, 10)}, "$.issued_at"),  # noqa: DTZ001 - the fault
        ({"handling": Handling(tlp="AMBRE")}, "$.handling.tlp"),  # type: ignore[arg-type]  # the fault
        ({"message_id": 7}, "$.message_id"),
        ({"body": Handling(tlp=Tlp.AMBER)}, "$.body.kind"),
        ({"office": object()}, "$"),
    ],
    ids=["time without zone", "unknown code", "id that is none", "body that is none", "no value at all"],
)
def test_a_message_built_in_python_with_wrong_values_is_refused(fields: dict[str, Any], path: str) -> None:
    with pytest.raises(MessageRefused) as refusal:
        shaped(alert_of(**fields))
    (fault,) = refusal.value.faults
    assert (fault.code, fault.path) == (Code.SHAPE, path)


def test_values_do_not_change() -> None:
    message = alert_of()
    for part, field in ((message, "office"), (message.handling, "tlp"), (message.body, "origin")):
        with pytest.raises(AttributeError):
            setattr(part, field, "PE")


def test_an_update_shows_its_alert_like_an_alert() -> None:
    alert = alert_of().body
    assert isinstance(alert, RiskAlert)
    update = alert_of(body=RiskAlertUpdate(alert=alert, change_reason="graded"))
    assert message_json(update)["body"]["alert"] == message_json(alert_of())["body"]


def test_a_digest_is_shown_as_hexadecimal_digits_and_read_in_either_case() -> None:
    assert Digest.from_text(HASH) == bytes.fromhex(HASH)
    assert Digest.from_text(HASH.upper()).hex() == HASH
