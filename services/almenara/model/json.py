"""How does a message read and look as JSON?

The kind stands first, at the top: {"kind": "RISK_ALERT", ..., "body": {...}}. Names are those of the
structs, absent fields are left out, times are RFC 3339 with a zone, hashes hexadecimal digits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from almenara.errors import Code, Fault, MessageRefused
from almenara.model.alert import Part
from almenara.model.bodies import (
    ControlResult,
    Decision,
    InfoRequest,
    OperationNotice,
    Receipt,
    RiskProfile,
)
from almenara.model.codes import Kind
from almenara.model.messages import Action, Handling, Message
from almenara.model.shape import shape_fault
from almenara.model.uuid7 import uuid7
from almenara.model.values import Digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

_P = TypeVar("_P", bound=Part)

_KINDS = tuple(kind.value for kind in Kind)
_BOM = b"\xef\xbb\xbf"


def parse_message(data: bytes | str, *, now: datetime, new_id: Callable[[datetime], UUID] = uuid7) -> Message:
    """Return the message of a JSON text; raise MessageRefused with the first fault (JSON or SHAPE).

    Where message_id is absent, new_id(now) makes one; where issued_at is, it is now.
    """
    return parse_message_object(_json(data), now=now, new_id=new_id)


def parse_message_object(
    value: object, *, now: datetime, new_id: Callable[[datetime], UUID] = uuid7
) -> Message:
    """Return the message of JSON already read; raise MessageRefused SHAPE with the first fault."""
    if not isinstance(value, dict):
        text = f"got {type(value).__name__}: want an object with kind, handling and body"
        raise MessageRefused([Fault(Code.SHAPE, "$", text)])
    fields: dict[str, Any] = dict(value)
    kind = fields.pop("kind", None)
    if kind not in _KINDS:
        given = "missing" if kind is None else f"{str(kind)[:40]!r} is no kind of message"
        raise MessageRefused([Fault(Code.SHAPE, "$.kind", f"{given}: want one of {', '.join(_KINDS)}")])
    body = fields.get("body")
    if isinstance(body, dict):
        if "kind" in body:
            text = "unknown field: the kind stands beside the body, not in it"
            raise MessageRefused([Fault(Code.SHAPE, "$.body.kind", text)])
        fields["body"] = {"kind": kind, **body}
    if fields.get("message_id") is None:
        fields["message_id"] = new_id(now)
    if fields.get("issued_at") is None:
        fields["issued_at"] = now
    return _message(fields)


def message_json(message: Message) -> dict[str, Any]:
    """Return the message as JSON values, the kind first; parse_message gives the same message back."""
    fields = _builtins(message)
    body = fields["body"]
    del body["kind"]
    _drop_absent_numbers(body)
    if message.kind is Kind.RISK_ALERT_UPDATE:
        del body["alert"]["kind"]
        _drop_absent_numbers(body["alert"])
    return {"kind": message.kind.value, **fields}


# What is absent as 0.0, and the field by which its zero is a real one (alert.py); "" where none is.
_NUMBERS = {
    "quantity": "unit",
    "value": "currency",
    "gross_mass_kg": "",
    "weight": "",
    "score_threshold": "",
    "expected_hit_rate": "",
}


_WITH_NUMBERS = ("goods", "findings", "conditions")


def _drop_absent_numbers(fields: dict[str, Any]) -> None:
    """Leave out the numbers that are absent; msgspec leaves out only zeros that nobody has touched."""
    for name, unit in _NUMBERS.items():
        if fields.get(name) == 0.0 and not fields.get(unit):
            del fields[name]
    for name in _WITH_NUMBERS:
        for part in fields.get(name, ()):
            _drop_absent_numbers(part)


def shaped(message: Message) -> Message:
    """Return a message built in Python as parse_message would give it; raise MessageRefused SHAPE.

    A struct does not check its values when it is made: this does.
    """
    return _message(_builtins(message))


def _json(data: bytes | str) -> object:
    try:
        raw = data.encode() if isinstance(data, str) else data.removeprefix(_BOM)
        try:
            return msgspec.json.decode(raw)
        except msgspec.DecodeError as exc:
            raise MessageRefused([_json_fault(raw, str(exc))]) from exc
    except RecursionError as exc:
        raise MessageRefused([Fault(Code.JSON, "$", "nested too deeply: want a message")]) from exc
    except UnicodeError as exc:
        raise MessageRefused([Fault(Code.JSON, "$", "not UTF-8: save the text as UTF-8")]) from exc


def _json_fault(raw: bytes, complaint: str) -> Fault:
    """Return the fault of a text that is not JSON, with line and column from msgspec's complaint."""
    reason, found, offset = complaint.partition(" (byte ")
    before = raw[: int(offset.rstrip(")"))] if found else raw
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
    reason = reason.removeprefix("JSON is malformed: ").replace(
        "Input data was truncated", "it ends too early"
    )
    return Fault(Code.JSON, "$", f"line {line}, column {column}: {reason}: want JSON")


def _builtins(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(message, enc_hook=_encode)
    return fields


def _encode(value: object) -> str:
    if isinstance(value, Digest):
        return value.hex()
    raise MessageRefused([Fault(Code.SHAPE, "$", f"holds a {type(value).__name__}: want JSON values")])


def _decode(_type: type[Digest], value: object) -> Digest:
    if not isinstance(value, str):
        raise ValueError("want a SHA-256 hash: 64 hexadecimal digits")  # noqa: TRY004 - msgspec maps ValueError
    return Digest.from_text(value)


def _message(fields: dict[str, Any]) -> Message:
    try:
        message = msgspec.convert(fields, Message, dec_hook=_decode)
    except msgspec.ValidationError as exc:
        raise MessageRefused([shape_fault(str(exc), fields)]) from exc
    return _in_utc(message, "$")


# Which fields of which parts hold times, and which hold parts with times.
TIMES: dict[type[Part], tuple[tuple[str, ...], tuple[str, ...]]] = {
    Message: (("issued_at", "valid_from", "expires_at"), ("handling", "actions", "body")),
    Handling: (("retention_until",), ()),
    Action: (("feedback_due",), ()),
    Receipt: ((), ("decisions",)),
    Decision: (("at",), ()),
    ControlResult: (("period_start", "period_end"), ()),
    InfoRequest: (("due",), ()),
    OperationNotice: (("period_start", "period_end"), ()),
    RiskProfile: (("validity_start", "validity_end"), ()),
}
_NO_TIMES: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


def _in_utc(part: _P, path: str) -> _P:
    """Return the part with every time in UTC."""
    times, parts = TIMES.get(type(part), _NO_TIMES)
    changed: dict[str, Any] = {}
    for name in times:
        moment = getattr(part, name)
        if moment is not None and moment.tzinfo is not UTC:
            changed[name] = _utc(moment, f"{path}.{name}")
    for name in parts:
        within = getattr(part, name)
        if not isinstance(within, tuple):
            changed[name] = _in_utc(within, f"{path}.{name}")
        elif within:
            changed[name] = tuple(_in_utc(one, f"{path}.{name}[{i}]") for i, one in enumerate(within))
    return msgspec.structs.replace(part, **changed) if changed else part


def _utc(moment: datetime, path: str) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise MessageRefused([Fault(Code.SHAPE, path, "outside years 1 to 9999 in UTC")]) from exc
