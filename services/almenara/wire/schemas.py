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


def schema_names(folder: Path | None = None) -> tuple[str, ...]:
    """Return the names of all schemas that have a file, sorted."""
    return tuple(sorted(path.stem for path in (folder or schema_folder()).glob(f"*{SUFFIX}")))


def schema_text(name: str) -> str:
    """Return the file of one schema as it stands; raise Misconfigured if there is none."""
    path = schema_folder() / f"{name}{SUFFIX}"
    if name not in schema_names():
        raise Misconfigured(
            Code.CONFIGURATION,
            f"schema {name!r}: not known; want one of {', '.join(schema_names())}",
        )
    return path.read_text(encoding="utf-8")


@cache
def load_files() -> Mapping[str, dict[str, Any]]:
    """Return every schema file of the schema folder as JSON, by name."""
    return {name: json.loads(schema_text(name)) for name in schema_names()}


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
