"""Which Avro schemas are there, where do their files stand, and what does each say in full?

One file holds one named schema. A file may name the schema of another file where a type is
wanted; `resolve` puts the definition there at its first use, as the Avro specification wants it,
so that its result stands alone.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "almenara"
SUFFIX = ".avsc"

_PACKAGE = Path(__file__).resolve().parents[1]
_NAMED = frozenset({"record", "enum", "fixed"})
PRIMITIVES = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})
"""Avro's primitive types but null, which has no width."""

AnySchema: TypeAlias = "str | list[Any] | dict[str, Any]"
"""A schema as JSON gives it: the name of a type, a union, or an object."""


def schema_folder(package: Path = _PACKAGE) -> Path:
    """Return the packaged folder of schemas, or else the checkout's.

    Editable installs do not see the files that the build puts into the package, hence both.
    Raises Misconfigured if neither is there.
    """
    for folder in (package / "schemas", package.parents[1] / "schemas"):
        if any(folder.glob(f"*{SUFFIX}")):
            return folder
    raise Misconfigured(
        Code.CONFIGURATION, f"schemas of {package}: no *{SUFFIX} file found; install almenara again"
    )


def read_folder(folder: Path) -> dict[str, object]:
    """Return every schema file of a folder as JSON, by its name without suffix.

    Raises Misconfigured if there is none or one is not JSON.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise Misconfigured(
            Code.CONFIGURATION, f"schemas of {folder}: no *{SUFFIX} file there; name another folder"
        )
    return {path.stem: _read(path) for path in paths}


def read_history(folder: Path) -> dict[str, list[object]]:
    """Return the kept versions of each schema, oldest first: history/<Name>/1.avsc, 2.avsc and on.

    Raises Misconfigured if a file is not JSON or a number is missing.
    """
    history: dict[str, list[object]] = {}
    for kept in sorted((folder / "history").glob("*/")):
        numbers = range(1, len(list(kept.iterdir())) + 1)
        history[kept.name] = [_read(kept / f"{number}{SUFFIX}") for number in numbers]
    return history


def _read(path: Path) -> object:
    try:
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"schema {path}: not to be read as JSON ({exc}); put the file right"
        ) from exc
    return content


@cache
def load_schemas() -> Mapping[str, dict[str, Any]]:
    """Return the schemas this release writes and reads, by name."""
    return cast("dict[str, dict[str, Any]]", read_folder(schema_folder()))


def schema_text(name: str) -> str:
    """Return the file of one schema as it stands; raise Misconfigured if there is none."""
    if name not in load_schemas():
        raise Misconfigured(
            Code.CONFIGURATION, f"schema {name!r}: not known; want one of {', '.join(load_schemas())}"
        )
    return (schema_folder() / f"{name}{SUFFIX}").read_text(encoding="utf-8")


def local_name(name: str) -> str:
    """Return a name without Almenara's namespace, which every schema has."""
    return name.removeprefix(f"{NAMESPACE}.")


def definitions(schema: object) -> dict[str, dict[str, Any]]:
    """Return every named schema that is defined within this one, itself included."""
    found: dict[str, dict[str, Any]] = {}
    match schema:
        case list():
            for branch in schema:
                found |= definitions(branch)
        case {"type": "array", "items": items}:
            found |= definitions(items)
        case {"type": "enum" | "fixed" | "record", "name": str(name)}:
            definition = cast("dict[str, Any]", schema)
            found[local_name(name)] = definition
            for field in definition.get("fields", ()):
                found |= definitions(field.get("type") if isinstance(field, dict) else None)
        case _:
            pass
    return found


def resolve(name: str, files: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the named schema with each reference to another file replaced by its definition.

    Only the first use is replaced; later uses name it. A file that uses itself is left as it
    is, for the linter to refuse. Raises KeyError if there is no such file.
    """
    return cast("dict[str, Any]", _inline(files[name], files, set()))


def _inline(schema: AnySchema, files: Mapping[str, dict[str, Any]], defined: set[str]) -> AnySchema:
    if isinstance(schema, str):
        if schema in files and schema not in defined:
            return _inline(files[schema], files, defined)
        return schema
    if isinstance(schema, list):
        return [_inline(branch, files, defined) for branch in schema]
    if schema["type"] in _NAMED:
        defined.add(schema["name"])
    copy = dict(schema)
    if schema["type"] == "record":
        copy["fields"] = [
            {**field, "type": _inline(field["type"], files, defined)} for field in schema["fields"]
        ]
    elif schema["type"] == "array":
        copy["items"] = _inline(schema["items"], files, defined)
    return copy
