"""What does a mapping say, and is it sound? Read strictly, compiled once, before any row.

docs/guides/mapping.md describes the file. Whatever is wrong with it is a Misconfigured that names the
file and the key.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from almenara.errors import Code, Misconfigured, Refused
from almenara.imports.steps import Lists
from almenara.imports.template import Compiler, Flawed
from almenara.model import formats
from almenara.model.bodies import KINDS
from almenara.model.codes import Kind
from almenara.model.ids import AudienceId, audience_id
from almenara.model.messages import Message
from almenara.model.values import Instant

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingOf
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable

    from almenara.imports.template import Build, Cells

MAPPING_MAX = 1_000_000
"""Bytes of a mapping file: the longest shipped has 12,000, nearly all of it tables."""

_SUFFIX = ".toml"
_BODIES = {kind: body for body, kind in KINDS.items()}

# The importer fills these in; a template that did would contradict it.
_FILLED_IN = ("message_id", "issued_at", "expires_at", "recipients", "body", "in_reply_to")

_Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9_-]{0,31}\Z")]
_Days = Annotated[int, msgspec.Meta(ge=1, le=36_600)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the mapping file."""


class _Row(_Table, frozen=True, kw_only=True):
    identity: Any
    sender: Any
    issued_at: Any
    recipients: Any = None
    audience: str = "region"
    retention_days: _Days


class _When(_Table, frozen=True, kw_only=True):
    column: str
    is_: tuple[str, ...] = msgspec.field(name="is")


class _Message(_Table, frozen=True, kw_only=True):
    name: _Name
    kind: Kind
    when: _When | None = None
    answers: str = ""
    valid_days: _Days | None = None
    fields: dict[str, Any] = {}
    body: dict[str, Any]


class _File(_Table, frozen=True, kw_only=True):
    name: _Name
    title: str
    credit: str = ""
    names_with_commas: tuple[str, ...] = ()
    row: _Row
    every: dict[str, Any] = {}
    message: Annotated[tuple[_Message, ...], msgspec.Meta(min_length=1)]
    table: dict[str, dict[str, str | tuple[str, ...]]] = {}
    countries: dict[str, str] = {}


class Draft(NamedTuple):
    """One message that a row becomes, when the condition holds."""

    name: str
    kind: Kind
    when: _When | None
    answers: str
    """The draft whose message this one answers, empty if none."""
    valid_days: int | None
    fields: Build
    body: Build
    sources: MappingOf[str, Sequence[str]]
    """The columns behind each field, as `Compiler.columns`."""

    def applies(self, cells: Cells) -> bool:
        """Tell whether this row becomes such a message."""
        if self.when is None:
            return True
        return cells[self.when.column].casefold() in {text.casefold() for text in self.when.is_}


class Mapping(NamedTuple):
    """A mapping, ready for rows."""

    name: str
    title: str
    credit: str
    audience: AudienceId
    columns: tuple[str, ...]
    """Every column it needs."""
    sources: MappingOf[str, Sequence[str]]
    """The columns behind the fields below, as `Compiler.columns`."""
    retention_days: int
    identity: Build
    sender: Build
    issued_at: Build
    recipients: Build
    drafts: Sequence[Draft]


def shipped_mappings() -> tuple[str, ...]:
    """Return the names of the mappings that come with Almenara."""
    files = (file.name for file in _shipped().iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX)))


def load_mapping(source: str | Path) -> Mapping:
    """Return the shipped mapping of this name, or the one in this file.

    A text is a name when it has no dot and no slash. Raises Misconfigured CONFIGURATION.
    """
    if isinstance(source, str) and not set("./\\") & set(source):
        if source not in shipped_mappings():
            raise Misconfigured(
                Code.CONFIGURATION,
                f"mapping {source!r}: none of that name; want {', '.join(shipped_mappings())}, or a file "
                f"as in ./{source}{_SUFFIX}",
            )
        name = f"{source}{_SUFFIX}"
        return parse_mapping(_shipped().joinpath(name).read_bytes(), source=name)
    path = Path(source)
    try:
        with path.open("rb") as file:
            data = file.read(MAPPING_MAX + 1)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{path}: cannot be read ({exc.strerror}); name a mapping file"
        ) from exc
    if len(data) > MAPPING_MAX:
        raise Misconfigured(
            Code.CONFIGURATION, f"{path}: more than {MAPPING_MAX} bytes; name a mapping, not the rows"
        )
    return parse_mapping(data, source=str(path))


def parse_mapping(data: bytes, *, source: str) -> Mapping:
    """Return the mapping of a TOML text; raise Misconfigured CONFIGURATION naming source and key."""
    try:
        return _compiled(msgspec.toml.decode(data, type=_File))
    except (msgspec.DecodeError, UnicodeDecodeError, Flawed) as exc:
        raise Misconfigured(Code.CONFIGURATION, f"{source}: {exc}; correct it there") from exc


def _shipped() -> Traversable:
    return resources.files("almenara.imports").joinpath("mappings")


def _compiled(file: _File) -> Mapping:
    folded = {name: {k.casefold(): v for k, v in table.items()} for name, table in file.table.items()}
    lists = Lists(
        tables=folded,
        countries={name.casefold(): code for name, code in file.countries.items()},
        names_with_commas=file.names_with_commas,
    )
    compiler = Compiler(lists)
    row = file.row
    drafts = tuple(_draft(message, file, Compiler(lists)) for message in file.message)
    compiled = Mapping(
        name=file.name,
        title=file.title,
        credit=file.credit,
        audience=_audience(row.audience),
        columns=(),
        sources=compiler.columns,
        retention_days=row.retention_days,
        identity=compiler.compile(row.identity, tuple[str, ...], "$.identity"),
        sender=compiler.compile(row.sender, str, "$.sender"),
        issued_at=compiler.compile(row.issued_at, Instant, "$.issued_at"),
        recipients=compiler.compile(row.recipients or [], tuple[str, ...], "$.recipients"),
        drafts=drafts,
    )
    for field in ("$.identity", "$.issued_at"):
        if field not in compiler.columns:
            raise Flawed(f"{field}: a constant, want {{ from = ... }}: rows differ by it")
    if "$.sender" not in compiler.columns and (flaw := formats.member(compiled.sender({}))) is not None:
        raise Flawed(f"$.sender: {flaw.text}")
    used = [column for columns in compiler.columns.values() for column in columns]
    used += [column for draft in drafts for columns in draft.sources.values() for column in columns]
    used += [message.when.column for message in file.message if message.when is not None]
    return compiled._replace(columns=tuple(dict.fromkeys(used)))


def _draft(message: _Message, file: _File, compiler: Compiler) -> Draft:
    names = [other.name for other in file.message]
    before = names[: names.index(message.name)]
    if names.count(message.name) > 1:
        raise Flawed(f"$.message: two are named {message.name!r}")
    if message.answers and (message.answers not in before or message.kind is not Kind.CONTROL_RESULT):
        raise Flawed(
            f"$.message {message.name!r}: answers {message.answers!r}: want an earlier message, and kind "
            f"{Kind.CONTROL_RESULT}"
        )
    fields = {**file.every, **message.fields}
    filled = [name for name in _FILLED_IN if name in fields]
    if filled:
        raise Flawed(f"$.message {message.name!r}: {filled[0]} is filled in by the importer, leave it out")
    try:
        return Draft(
            name=message.name,
            kind=message.kind,
            when=message.when,
            answers=message.answers,
            valid_days=message.valid_days,
            fields=compiler.compile(fields, Message, "$"),
            body=compiler.compile(message.body, _BODIES[message.kind], "$.body"),
            sources=compiler.columns,
        )
    except Flawed as exc:
        raise Flawed(f"message {message.name!r}: {exc}") from exc


def _audience(text: str) -> AudienceId:
    try:
        return audience_id(text)
    except Refused as exc:
        raise Flawed(f"$.row.audience: {exc.text}") from exc
