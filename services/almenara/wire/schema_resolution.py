"""Can a reader with one schema read what a writer wrote with another?

Avro's schema resolution (Avro specification, "Schema Resolution"), on JSON. A name defined in
another file counts as equal to itself: that file has a history of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from almenara.wire.schemas import definitions, local_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from almenara.wire.schemas import AnySchema

_PROMOTIONS: Final = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
"""What a primitive may be read as, besides what it was written as."""


def unreadable(reader: AnySchema, writer: AnySchema) -> Iterator[tuple[str, str]]:
    """Yield the path and the reason of everything that such a reader cannot read of such a writer."""
    return _Resolution(definitions(reader), definitions(writer)).between(reader, writer, "")


class _Resolution:
    def __init__(self, reader: Mapping[str, dict[str, Any]], writer: Mapping[str, dict[str, Any]]) -> None:
        self._reader = reader
        self._writer = writer
        self._seen: set[tuple[str, str]] = set()

    def between(self, reader: AnySchema, writer: AnySchema, path: str) -> Iterator[tuple[str, str]]:
        reader, writer = _definition(reader, self._reader), _definition(writer, self._writer)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.between(reader, branch, path)
        elif isinstance(reader, list):
            yield from self._union(reader, writer, path)
        elif isinstance(reader, str) and isinstance(writer, str):
            if local_name(reader) != local_name(writer) and reader not in _PROMOTIONS.get(writer, ()):
                yield path, f"{writer} cannot be read as {reader}"
        elif isinstance(reader, str) or isinstance(writer, str) or reader["type"] != writer["type"]:
            yield path, f"{_title(writer)} cannot be read as {_title(reader)}"
        elif reader["type"] == "array":
            yield from self.between(reader["items"], writer["items"], f"{path}[]")
        elif local_name(reader["name"]) != local_name(writer["name"]):
            yield path, f"{_title(writer)} cannot be read as {_title(reader)}"
        else:
            yield from self._named(reader, writer, path)

    def _union(
        self, reader: list[AnySchema], writer: str | dict[str, Any], path: str
    ) -> Iterator[tuple[str, str]]:
        for branch in reader:
            if _title(_definition(branch, self._reader)) == _title(writer):
                yield from self.between(branch, writer, path)
                return
        yield path, f"the union has no branch for {_title(writer)}"

    def _named(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
        pair = (reader["name"], writer["name"])
        if pair in self._seen:
            return
        self._seen.add(pair)
        if reader["type"] == "record":
            yield from self._record(reader, writer, path)
        elif reader["type"] == "fixed" and reader["size"] != writer["size"]:
            yield path, f"fixed of {writer['size']} bytes cannot be read as one of {reader['size']}"
        elif reader["type"] == "enum" and "default" not in reader:
            for symbol in writer["symbols"]:
                if symbol not in reader["symbols"]:
                    yield path, f"the enum has no symbol {symbol} and no default"

    def _record(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            place = f"{path}.{field['name']}".lstrip(".")
            if field["name"] in written:
                yield from self.between(field["type"], written[field["name"]]["type"], place)
            elif "default" not in field:
                yield place, "the field is not written and has no default"


def _definition(schema: AnySchema, known: Mapping[str, dict[str, Any]]) -> AnySchema:
    """Return what a name stands for, and the name of a primitive for {"type": "string"}."""
    if isinstance(schema, str):
        return known.get(local_name(schema), schema)
    if isinstance(schema, dict) and schema["type"] not in {"record", "enum", "fixed", "array"}:
        return _definition(schema["type"], known)
    return schema


def _title(schema: AnySchema) -> str:
    return local_name(str(schema.get("name") or schema["type"]) if isinstance(schema, dict) else str(schema))
