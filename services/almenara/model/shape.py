"""What is wrong with the shape of a message, in words that help to put it right?

msgspec stops at the first fault and says little of what it wanted. This adds the path of the field
itself, the codes of a closed list and the field that was probably meant.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from msgspec import inspect

from almenara.errors import Code, Fault
from almenara.model.messages import Message

_AT = re.compile(r" - at `(?P<path>\$[\w.\[\]]*)`\Z")
_FIELD = re.compile(r"Object (?P<fault>contains unknown|missing required) field `(?P<name>.*)`", re.DOTALL)
_ENUM = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>\w+)|\[\d+\]")
_TIME = "want a time with its zone, as in 2026-11-24T10:00:00Z"
_WANTED = {
    "Invalid RFC3339 encoded datetime": _TIME,
    "Expected `datetime` with a timezone component": _TIME,
    "Invalid UUID": "want a UUID, as in 0196f3c2-7d4a-7b1e-9c55-3f2a8d10e6b4",
}
_SHOWN_CHARS = 40


def shape_fault(complaint: str, fields: dict[str, Any]) -> Fault:
    """Return the fault behind msgspec's complaint about these fields of a message."""
    at = _AT.search(complaint)
    what, path = (complaint[: at.start()], at["path"]) if at else (complaint, "$")
    if (match := _FIELD.fullmatch(what)) is not None:
        return _field_fault(match["fault"], path, match["name"], fields)
    if (match := _ENUM.fullmatch(what)) is not None:
        text = f"{match['value'][:_SHOWN_CHARS]} is not in the list: want {_choices(path, fields)}"
    else:
        text = _WANTED.get(what) or _plain(what)
    return Fault(Code.SHAPE, path, text)


def _plain(complaint: str) -> str:
    for technical, plain in (("Expected", "want"), ("datetime", "time"), (" | null", ""), ("`", "")):
        complaint = complaint.replace(technical, plain)
    return complaint


def _field_fault(fault: str, path: str, name: str, fields: dict[str, Any]) -> Fault:
    shown = name if name.isidentifier() and len(name) <= _SHOWN_CHARS else repr(name[:_SHOWN_CHARS])
    if fault == "missing required":
        return Fault(Code.SHAPE, f"{path}.{shown}", "missing: this field is required")
    here = _type_at(path, fields)
    names = [field.name for field in here.fields] if isinstance(here, inspect.StructType) else ()
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else "leave it out"
    return Fault(Code.SHAPE, f"{path}.{shown}", f"unknown field: {hint}")


def _choices(path: str, fields: dict[str, Any]) -> str:
    here = _type_at(path, fields)
    codes = here.cls if isinstance(here, inspect.EnumType) else ()
    return "one of " + ", ".join(str(code.value) for code in codes if code.value)


def _type_at(path: str, fields: dict[str, Any]) -> inspect.Type | None:
    """Return the type that a message of this kind wants at this path, None if the path is made up.

    A name of a field can be made to look like msgspec's own `- at` and a path.
    """
    body = fields.get("body")
    kind = body.get("kind") if isinstance(body, dict) else None
    here: inspect.Type | None = inspect.type_info(Message)
    for step in _STEP.finditer(path):
        if isinstance(here, inspect.StructType):
            here = next((field.type for field in here.fields if field.name == step["field"]), None)
        elif isinstance(here, inspect.VarTupleType):
            here = here.item_type
        if isinstance(here, inspect.UnionType):  # the body; other unions are a value or null
            here = next((one for one in here.types if getattr(one, "tag", None) == kind), None)
    return here
