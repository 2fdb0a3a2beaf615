"""How does a mapping's template become the fields of a message?

A template has the shape of a message's JSON. Its leaves are constants, or tables that say where in the
row their value comes from:

    { from = "column" or ["several", ...], do = ["step", ...] }
    { say = "text with {column}" or ["sentence", ...] }

An item of a list with `each.FIELD = { from = ... }` stands once for every value, in that field. What
comes out empty is left out; where a number is wanted it rejects the row. Templates are compiled once,
and checked against the message's structs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from difflib import get_close_matches
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import msgspec

from almenara.errors import Code, Fault, MessageRefused
from almenara.imports.steps import Sort, Unknown, Unreadable, compile_steps
from almenara.model.values import Digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from almenara.imports.steps import Lists, Step

Cells = Mapping[str, str]
"""The tidied cells of a row by their columns; an empty cell is the empty text."""

Build = Callable[[Cells], Any]
"""Make a value of a row, None if it has none; raises MessageRefused naming the column."""

_SORTS = {int: Sort.NUMBER, float: Sort.NUMBER, datetime: Sort.TIME}

_COLUMN = re.compile(r"\{([^{}]+)\}")


class Take(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say from which columns a value comes, and by which steps."""

    from_: str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = msgspec.field(name="from")
    do: tuple[str, ...] = ()


class Say(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give a text with {column} in it; sentences with an empty column are left out."""

    say: str | tuple[str, ...]


class Flawed(ValueError):
    """A template that cannot become a message: names the path in it."""


class Compiler:
    """Compile the templates of one mapping, and remember which columns fill which field.

    `columns` maps the path of a field, without indices as in `$.body.goods[].hs`, to its columns.
    """

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self.columns: dict[str, tuple[str, ...]] = {}

    def compile(self, tree: object, kind: Any, path: str) -> Build:  # noqa: ANN401 - a type
        """Return what builds a value of this type of a row; raise Flawed."""
        kind = _plain(kind)
        match tree:
            case {"from": _}:
                return self._taken(tree, kind, path)
            case {"say": _}:
                return self._said(tree, kind, path)
            case dict():
                return self._part(tree, kind, path)
            case list():
                return self._items(tree, kind, path)
            case _:
                return self._constant(tree, kind, path)

    def _constant(self, tree: object, kind: Any, path: str) -> Build:  # noqa: ANN401 - a type
        try:
            msgspec.convert(tree, kind, dec_hook=_digest)
        except msgspec.ValidationError as exc:
            raise Flawed(f"{path}: {exc}") from exc
        return lambda _cells: tree

    def _taken(self, tree: object, kind: Any, path: str) -> Build:  # noqa: ANN401 - a type
        try:
            take = msgspec.convert(tree, Take)
            single = isinstance(take.from_, str)
            steps, sort = compile_steps(take.do, Sort.TEXT if single else Sort.TEXTS, self._lists)
        except (msgspec.ValidationError, Unknown) as exc:
            raise Flawed(f"{path}: {exc}") from exc
        _require_fit(sort, kind, path)
        columns = (take.from_,) if isinstance(take.from_, str) else take.from_
        self.columns[path] = columns
        return _taking(columns, steps, single=single, required=sort is Sort.NUMBER)

    def _said(self, tree: object, kind: Any, path: str) -> Build:  # noqa: ANN401 - a type
        _require_fit(Sort.TEXT, kind, path)
        try:
            say = msgspec.convert(tree, Say)
        except msgspec.ValidationError as exc:
            raise Flawed(f"{path}: {exc}") from exc
        sentences = (say.say,) if isinstance(say.say, str) else say.say
        used = [(sentence, _COLUMN.findall(sentence)) for sentence in sentences]
        self.columns[path] = tuple(dict.fromkeys(column for _, columns in used for column in columns))

        def build(cells: Cells) -> str | None:
            said = (
                _COLUMN.sub(lambda match: cells[match[1]], sentence)
                for sentence, columns in used
                if all(cells[column] for column in columns)
            )
            return " ".join(said) or None

        return build

    def _part(self, tree: Mapping[str, object], kind: Any, path: str) -> Build:  # noqa: ANN401 - a type
        types = _fields(kind, path)
        built = {
            name: self.compile(value, _known(name, types, path), f"{path}.{name}")
            for name, value in tree.items()
        }

        def build(cells: Cells) -> dict[str, Any] | None:
            values = {name: value(cells) for name, value in built.items()}
            return {name: value for name, value in values.items() if not _empty(value)} or None

        return build

    def _items(self, trees: Sequence[object], kind: Any, path: str) -> Build:  # noqa: ANN401 - a type
        if get_origin(kind) is not tuple:
            raise Flawed(f"{path}: a list, want a single value")
        item = get_args(kind)[0]
        inside = f"{path}[]"
        many = [self._item(tree, item, inside) for tree in trees]

        def build(cells: Cells) -> list[Any]:
            return [value for values in many for value in values(cells) if not _empty(value)]

        return build

    def _item(self, tree: object, kind: Any, path: str) -> Build:  # noqa: ANN401 - a type
        """Return what builds the values that one item of a list stands for."""
        if not isinstance(tree, dict) or "each" not in tree:
            single = self.compile(tree, kind, path)
            return lambda cells: [single(cells)]
        each = tree["each"]
        if not isinstance(each, dict) or len(each) != 1:
            raise Flawed(f"{path}.each: want one field, as in each.hs = {{ from = ... }}")
        rest = {name: value for name, value in tree.items() if name != "each"}
        [(field, source)] = each.items()
        if field in rest:
            raise Flawed(f"{path}.{field}: given twice, beside each and in it")
        if not isinstance(source, dict) or "from" not in source:
            raise Flawed(f"{path}.each.{field}: want {{ from = ..., do = [...] }}")
        kind = _plain(kind)
        _known(field, _fields(kind, path), path)
        values, around = self.compile(source, Any, f"{path}.{field}"), self._part(rest, kind, path)

        def build(cells: Cells) -> list[dict[str, Any]]:
            found = values(cells)
            if found is None:
                return []
            base = around(cells) or {}
            return [{**base, field: value} for value in (found if isinstance(found, list) else [found])]

        return build


def _taking(columns: Sequence[str], steps: Sequence[Step], *, single: bool, required: bool) -> Build:
    """Return what takes a value from columns by steps.

    What is required must not be empty: a number left out is 0.0 in a message, which claims something.
    """
    [first, *_] = columns

    def build(cells: Cells) -> Any:  # noqa: ANN401 - whatever the steps make
        value: Any = cells[first] if single else [cells[column] for column in columns if cells[column]]
        try:
            for step in steps:
                if _empty(value):
                    break
                value = step(value)
        except Unreadable as exc:
            raise MessageRefused([Fault(exc.flaw.code, ", ".join(columns), exc.flaw.text)]) from exc
        if not _empty(value):
            return value
        if required:
            raise MessageRefused([Fault(Code.REQUIRED, ", ".join(columns), "empty: want a number")])
        return None

    return build


def _fields(kind: Any, path: str) -> Mapping[str, Any]:  # noqa: ANN401 - a type
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        raise Flawed(f"{path}: a table, want a value or {{ from = ... }}")
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _known(name: str, types: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - a type
    """Return the type of a field; raise Flawed for a field that is not there."""
    if name not in types:
        close = get_close_matches(name, types, n=1)
        hint = f"did you mean {close[0]}?" if close else f"want one of {', '.join(types)}"
        raise Flawed(f"{path}.{name}: unknown field: {hint}")
    return types[name]


def _require_fit(sort: Sort, kind: Any, path: str) -> None:  # noqa: ANN401 - a type
    """Raise Flawed if the steps give another sort of value than the field takes."""
    if kind is Any:
        return
    wanted = Sort.TEXTS if get_origin(kind) is tuple else _SORTS.get(kind, Sort.TEXT)
    if sort is not wanted:
        raise Flawed(f"{path}: its steps give {sort}, want {wanted}")


def _empty(value: object) -> bool:
    """Tell whether a value is left out; 0 and false are values."""
    return value is None or (isinstance(value, (str, list, dict)) and not value)


def _plain(kind: Any) -> Any:  # noqa: ANN401 - a type
    """Return the type without its annotations and without None."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in {Union, UnionType}:
        [*others] = [each for each in get_args(kind) if each is not type(None)]
        return _plain(others[0]) if len(others) == 1 else kind
    return kind


def _digest(_kind: type[Digest], value: object) -> Digest:
    return Digest.from_text(str(value))
