"""Is a folder of schemas safe to decode hostile bytes with, and can it change without a flag day?

`lint` looks at schemas as they stand, for what Avro allows and a decoder must not meet (DESIGN 4).
`lint_history` compares each with all versions kept of it, in history/<Name>/<n>.avsc: at any time
old readers must be able to read new writers, and new readers old ones. Both are pure.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from almenara.wire.schema_resolution import unreadable
from almenara.wire.schemas import NAMESPACE, PRIMITIVES, definitions, local_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from almenara.wire.schemas import AnySchema

DEPTH_MAX: Final = 12
"""Levels of records, arrays and unions: a decoder recurses once for each. Batch has eight."""

FROZEN: Final = frozenset({"SignedRecord", "Statement", "Content", "Head", "Heartbeat", "Fixed16", "Fixed32"})
"""The envelope has one version in force; a change of it is a new payload type."""

_NO_WIDTH = "has no width: a few bytes could hold an array of any number of them"
_TYPE_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Finding(NamedTuple):
    """Something wrong: in which file (without suffix), at which field (`goods[].unit`), and what."""

    file: str
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.path or 'schema'}: {self.text}"


def lint(files: Mapping[str, Any]) -> list[Finding]:
    """Return what is wrong with the schemas of these files, as they stand."""
    homes: dict[str, list[str]] = {}
    known: dict[str, dict[str, Any]] = {}
    for file, schema in files.items():
        for name, definition in definitions(schema).items():
            homes.setdefault(name, []).append(file)
            known[name] = definition
    findings: list[Finding] = []
    for file in sorted(files):
        findings += (Finding(file, path, text) for path, text in _top(file, files[file], known))
        findings += (
            Finding(file, "", f"{name} is defined in {', '.join(where)}; want it in one file alone")
            for name, where in homes.items()
            if where[0] == file and len(where) > 1
        )
    return findings


def lint_history(files: Mapping[str, Any], history: Mapping[str, Sequence[Any]]) -> list[Finding]:
    """Return what is wrong between the schemas and their kept versions, oldest first in each list."""
    findings: list[Finding] = [
        Finding(name, "", "is gone; a schema once used stays") for name in sorted(set(history) - set(files))
    ]
    for name in sorted(files):
        versions = history.get(name, ())
        if not versions or _without_docs(versions[-1]) != _without_docs(files[name]):
            findings.append(
                Finding(
                    name, "", f"differs from its newest kept version; keep it as {len(versions) + 1}.avsc"
                )
            )
        if name in FROZEN and any(_without_docs(each) != _without_docs(files[name]) for each in versions):
            findings.append(
                Finding(name, "", "is of the envelope and never changes; make a new payload type")
            )
        findings += full_transitive(name, files[name], versions)
    return findings


def full_transitive(name: str, current: AnySchema, earlier: Sequence[AnySchema]) -> list[Finding]:
    """Return what keeps the schema and any of its earlier versions from reading each other."""
    findings = []
    for number, version in enumerate(earlier, start=1):
        for reader, writer, says in (
            (current, version, f"cannot read version {number}"),
            (version, current, f"cannot be read by version {number}"),
        ):
            findings += [Finding(name, path, f"{says}: {text}") for path, text in unreadable(reader, writer)]
        findings += [
            Finding(name, path, f"has another default than version {number}; what absent means never changes")
            for path in _changed_defaults(current, version)
        ]
    return findings


def _changed_defaults(current: AnySchema, earlier: AnySchema) -> Iterator[str]:
    before = {path: field for path, field in _fields(earlier) if "default" in field}
    for path, field in _fields(current):
        if "default" in field and path in before and field["default"] != before[path]["default"]:
            yield path


def _fields(schema: object) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, definition in definitions(schema).items():
        for field in definition.get("fields", ()):
            yield f"{name}.{field['name']}", field


def _without_docs(schema: object) -> object:
    """Return the schema without its prose: a better sentence is no new version."""
    if isinstance(schema, list):
        return [_without_docs(each) for each in schema]
    if isinstance(schema, dict):
        return {key: _without_docs(value) for key, value in schema.items() if key != "doc"}
    return schema


def _top(file: str, schema: object, known: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    match schema:
        case {"type": "record" | "fixed", "name": str(name), "namespace": str(namespace)}:
            if (name, namespace) != (file, NAMESPACE):
                yield "", f"is named {namespace}.{name}; want {NAMESPACE}.{file}"
        case _:
            yield "", "is no record or fixed with name and namespace"
            return
    shape = list(_schema(schema, "", known))
    yield from shape
    height = _height(schema, known, ())
    if height == math.inf:
        yield "", "contains itself: a few bytes could recurse without end"
    elif height > DEPTH_MAX:
        yield "", f"is {height} levels deep; want at most {DEPTH_MAX}"


def _schema(schema: object, path: str, known: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    if isinstance(schema, dict):
        yield from _attributes(schema, path)
    match schema:
        case "null":
            yield path, f"null {_NO_WIDTH}"
        case str():
            if schema not in PRIMITIVES and local_name(schema) not in known:
                yield path, f"{schema} is no primitive type and no schema of this folder"
        case list():
            yield from _union(schema, path, known)
        case {"type": "record" | "enum" | "fixed"}:
            yield from _named(schema, path, known)
        case {"type": "array", "items": items}:
            yield from _schema(items, f"{path}[]", known)
        case {"type": "map"}:
            yield path, "is a map: its entries have no order, so its bytes have no one form; want an array"
        case {"type": str(kind)} if kind in PRIMITIVES:
            pass
        case _:
            yield path, "is no Avro schema"


def _named(schema: object, path: str, known: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    match schema:
        case {"type": "record", "name": str(name), "fields": list(fields)}:
            yield from _record(name, fields, path, known)
        case {"type": "enum", "name": str(), "symbols": [str(), *_]}:
            pass
        case {"type": "fixed", "name": str(name), "size": int(size)}:
            if size < 1:
                yield path, f"{name} {_NO_WIDTH}"
        case _:
            yield path, "is a record, enum or fixed without its name, fields, symbols or size"


def _attributes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if "logicalType" in schema:
        yield path, f"has logical type {schema['logicalType']}, which costs time and caps nothing; want none"
    if "aliases" in schema:
        yield path, "has aliases; a name once used stays"
    if "name" in schema and not _documented(schema):
        yield path, f"{schema['name']} has no doc"
    if "name" in schema and not _TYPE_NAME.fullmatch(str(schema["name"])):
        yield path, f"{schema['name']} is no name for a type; want it like RiskAlert"


def _documented(thing: Mapping[str, Any]) -> bool:
    return bool(str(thing.get("doc", "")).strip())


def _union(branches: list[Any], path: str, known: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    if "null" in branches:
        yield path, 'is a union with null; want "", [] or 0 for absent'
    for branch in branches:
        if branch == "null":
            continue
        yield from _schema(branch, path, known)
        if known.get(_name(branch), {}).get("type") != "record":
            yield path, "is a union of other than records; want one field each"


def _record(
    name: str, fields: list[Any], path: str, known: Mapping[str, dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    if not fields:
        yield path, f"{name} {_NO_WIDTH}"
    seen: set[str] = set()
    for field in fields:
        match field:
            case {"name": str(field_name), "type": kind} if _FIELD_NAME.fullmatch(field_name):
                place = f"{path}.{field_name}".lstrip(".")
            case _:
                yield path, f"{name} has a field without type or without a name like issued_at"
                continue
        if field_name in seen:
            yield place, "is there twice"
        seen.add(field_name)
        if not _documented(field):
            yield place, "has no doc"
        if "aliases" in field:
            yield place, "has aliases; a name once used stays"
        yield from _schema(kind, place, known)
        if "default" in field and not _fits(field["default"], kind, known):
            yield place, f"has default {field['default']!r}, which is not of its type"


def _fits(default: object, schema: object, known: Mapping[str, dict[str, Any]]) -> bool:
    """Say whether a default is a value of the type; records and unions are given none here."""
    kind = schema.get("type") if isinstance(schema, dict) else schema
    definition = known.get(local_name(str(schema if isinstance(schema, str) else "")), schema)
    match kind if kind in PRIMITIVES or kind == "array" else definition:
        case "string" | "bytes":
            return isinstance(default, str)
        case "boolean":
            return isinstance(default, bool)
        case "int" | "long":
            return isinstance(default, int) and not isinstance(default, bool)
        case "float" | "double":
            return isinstance(default, int | float) and not isinstance(default, bool)
        case "array":
            return default == []
        case {"type": "fixed", "size": int(size)}:
            return isinstance(default, str) and default == "\0" * size
        case {"type": "enum", "symbols": list(symbols)}:
            return default in symbols
        case _:
            return False


def _name(schema: object) -> str:
    return local_name(str(schema.get("name", "") if isinstance(schema, dict) else schema))


def _height(schema: object, known: Mapping[str, dict[str, Any]], inside: tuple[str, ...]) -> float:
    """Return how many records, arrays and unions stand in one another; infinite if one in itself."""
    match schema:
        case str():
            definition = known.get(local_name(schema))
            return _height(definition, known, inside) if definition else 0
        case list():
            return 1 + max((_height(branch, known, inside) for branch in schema), default=0)
        case {"type": "array", "items": items}:
            return 1 + _height(items, known, inside)
        case {"type": "record", "name": str(name), "fields": list(fields)}:
            if local_name(name) in inside:
                return math.inf
            deeper = (*inside, local_name(name))
            types = [field["type"] for field in fields if isinstance(field, dict) and "type" in field]
            return 1 + max((_height(each, known, deeper) for each in types), default=0)
        case _:
            return 0
