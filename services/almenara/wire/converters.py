"""How does a struct of the model become the dict that Avro wants, and back?

Avro and the structs name the same fields, so only some values are turned: an absent time is 0, an
absent id 16 zero bytes, a union a pair of record name and fields. What has to be turned is found
once for each struct type. Reading leaves a dict that msgspec converts, which checks codes and types.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    NamedTuple,
    NewType,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

from msgspec.structs import asdict, fields

from almenara.errors import Code, Fault
from almenara.model.alert import Part
from almenara.model.bodies import KINDS
from almenara.model.values import Digest
from almenara.wire.schemas import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_SECOND_US = 1_000_000
_NO_TIME = 0
_NO_ID = bytes(16)


class Unfit(Exception):
    """A value without a form on the other side; who converts makes a refusal of its fault.

    Each container puts its step before the path on the way up.
    """

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self._code = code
        self._text = text
        self._path = ""

    def under(self, step: str) -> None:
        """Put one step (`.goods`, `[0]`) before the path."""
        self._path = step + self._path

    def fault(self) -> Fault:
        """Return what the author of the message is told."""
        return Fault(self._code, f"${self._path}", self._text)


class Converter(NamedTuple):
    """Turn a value of a struct into Avro's, and Avro's into what msgspec converts; both raise Unfit."""

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


@cache
def record(struct: type[Part]) -> Converter:
    """Return the converter between a struct type and the dict of its record's fields.

    Writing returns a new dict; reading changes the dict it is given, and returns it.
    """
    hints = get_type_hints(struct, include_extras=True)
    converters = {field.name: _converter(hints[field.name]) for field in fields(struct)}
    writers = [(name, each.write) for name, each in converters.items() if each.write is not _same]
    readers = [(name, each.read) for name, each in converters.items() if each.read is not _same]

    def write(value: Part) -> dict[str, Any]:
        return _turn(asdict(value), writers)

    def read(row: dict[str, Any]) -> dict[str, Any]:
        return _turn(row, readers)

    return Converter(write, read if readers else _same)


def _turn(row: dict[str, Any], converters: list[tuple[str, Callable[[Any], Any]]]) -> dict[str, Any]:
    name = ""
    try:
        for name, convert in converters:
            row[name] = convert(row[name])
    except Unfit as unfit:
        unfit.under(f".{name}")
        raise
    return row


def _converter(hint: object) -> Converter:
    """Return the converter for the type of a struct's field."""
    if isinstance(hint, NewType):
        return _converter(hint.__supertype__)
    origin = get_origin(hint)
    arguments = [argument for argument in get_args(hint) if argument is not NoneType]
    if origin is Annotated:
        return _converter(arguments[0])
    if origin is tuple:
        return _array(_converter(arguments[0]))
    if origin in {Union, UnionType}:
        return _optional(_converter(arguments[0])) if len(arguments) == 1 else _union(arguments)
    plain = cast("type[object]", hint)
    if issubclass(plain, StrEnum):
        return _SAME
    return record(plain) if issubclass(plain, Part) else _PLAIN[plain]


def _same(value: object) -> object:
    return value


def _array(item: Converter) -> Converter:
    return Converter(*(_same if convert is _same else _each(convert) for convert in item))


def _each(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def every(items: Iterable[object]) -> tuple[object, ...]:
        done: list[object] = []
        try:
            for item in items:
                done.append(convert(item))  # noqa: PERF401 - its length is the index of the unfit item
        except Unfit as unfit:
            unfit.under(f"[{len(done)}]")
            raise
        return tuple(done)

    return every


def _union(branches: list[type[Part]]) -> Converter:
    """Give a value as (full name of its record, fields), so that fastavro need not guess its branch."""
    names = {branch: f"{NAMESPACE}.{branch.__name__}" for branch in branches}
    writers = {branch: (name, record(branch).write) for branch, name in names.items()}
    readers = {name: (KINDS[branch].value, record(branch).read) for branch, name in names.items()}

    def write(value: Part) -> tuple[str, Any]:
        name, convert = writers[type(value)]
        return name, convert(value)

    def read(pair: tuple[str, dict[str, Any]]) -> dict[str, Any]:
        name, row = pair
        kind, convert = readers[name]
        row["kind"] = kind  # the tag by which msgspec tells the structs of the union apart
        return convert(row)  # type: ignore[no-any-return]

    return Converter(write, read)


def _optional(present: Converter) -> Converter:
    absent = _ABSENT[present]
    write_present, read_present = present

    def write(value: object) -> object:
        return absent if value is None else write_present(value)

    def read(value: object) -> object:
        return None if value == absent else read_present(value)

    return Converter(write, read)


def _write_time(time: datetime) -> int:
    since = time - _EPOCH
    microseconds = since.days * _DAY_US + since.seconds * _SECOND_US + since.microseconds
    if microseconds == _NO_TIME:
        raise Unfit(Code.RANGE, "1970-01-01T00:00:00Z means no time on the wire; want another moment")
    return microseconds


def _read_time(microseconds: int) -> datetime:
    if microseconds == _NO_TIME:
        raise Unfit(Code.REQUIRED, "no time is given; want one")
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise Unfit(Code.RANGE, f"{microseconds} microseconds; want a time in the years 1 to 9999") from None


def _write_id(value: UUID) -> bytes:
    if not value.int:
        raise Unfit(Code.RANGE, "the nil UUID means no id on the wire; want another")
    return value.bytes


def _read_id(data: bytes) -> UUID:
    if data == _NO_ID:
        raise Unfit(Code.REQUIRED, "no id is given; want one")
    return UUID(bytes=data)


_SAME = Converter(_same, _same)
_TIME = Converter(_write_time, _read_time)
_ID = Converter(_write_id, _read_id)
_PLAIN: dict[type, Converter] = {
    str: _SAME,
    int: _SAME,
    bool: _SAME,
    float: _SAME,
    Digest: Converter(_same, Digest),
    datetime: _TIME,
    UUID: _ID,
}
_ABSENT: dict[Converter, Any] = {_TIME: _NO_TIME, _ID: _NO_ID}
