"""The linter: silent on the shipped schemas, and it catches each thing they must never have."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from almenara.wire.schema_lint import DEPTH_MAX, Finding, full_transitive, lint, lint_history
from almenara.wire.schemas import load_schemas, read_history, schema_folder


def record(name: str, *fields: dict[str, Any], **attributes: object) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "namespace": "almenara",
        "doc": "A record.",
        "fields": list(fields),
        **attributes,
    }


def field(name: str, kind: object, **attributes: object) -> dict[str, Any]:
    return {"name": name, "type": kind, "doc": "A field.", **attributes}


def nested(levels: int) -> dict[str, Any]:
    """Return a record with arrays of records in one another, two levels each."""
    inner = record("R0", field("last", "string"))
    for level in range(1, levels):
        inner = record(f"R{level}", field("inner", {"type": "array", "items": inner}))
    return record("Deep", field("inner", inner))


FIXED = {"type": "fixed", "name": "Id", "namespace": "almenara", "size": 16, "doc": "An id."}
ENUM = {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"], "doc": "A colour."}
GOOD = record(
    "Good",
    field("text", "string", default=""),
    field("data", "bytes", default=""),
    field("count", {"type": "long"}, default=0),
    field("number", "double", default=0.0),
    field("flag", "boolean", default=False),
    field("id", "Id", default="\0" * 16),
    field("texts", {"type": "array", "items": "string"}, default=[]),
    field("colour", ENUM, default="RED"),
    field("body", [record("Left", field("left", "string")), "almenara.Right"]),
)
RIGHT = record("Right", field("right", "string"))
FOLDER = {"Good": GOOD, "Right": RIGHT, "Id": FIXED}

BAD: dict[str, tuple[Any, str]] = {
    "a null": (record("Bad", field("nothing", "null")), "nothing: null has no width"),
    "an array of nulls": (
        record("Bad", field("nothing", {"type": "array", "items": "null"})),
        "nothing[]: null has no width",
    ),
    "a union with null": (record("Bad", field("text", ["null", "string"])), "text: is a union with null"),
    "a union of plain types": (
        record("Bad", field("text", ["string", "long"])),
        "text: is a union of other than records",
    ),
    "an empty record": (
        record("Bad", field("empty", record("Empty"))),
        "empty: Empty has no width",
    ),
    "a fixed of no bytes": (
        record("Bad", field("empty", {**FIXED, "name": "None", "size": 0})),
        "empty: None has no width",
    ),
    "a record in itself": (
        record("Bad", field("next", {"type": "array", "items": "Bad"})),
        "schema: contains itself",
    ),
    "a record in itself by another": (
        record("Bad", field("next", record("Other", field("back", ["Bad", "Right"])))),
        "schema: contains itself",
    ),
    "too deep": (nested(7), f"schema: is 14 levels deep; want at most {DEPTH_MAX}"),
    "a decimal": (
        record("Bad", field("price", {"type": "bytes", "logicalType": "decimal", "precision": 4})),
        "price: has logical type decimal",
    ),
    "a timestamp": (
        record("Bad", field("at", {"type": "long", "logicalType": "timestamp-micros"})),
        "at: has logical type timestamp-micros",
    ),
    "a map": (record("Bad", field("pairs", {"type": "map", "values": "string"})), "pairs: is a map"),
    "a record without doc": (record("Bad", field("a", "string"), doc=" "), "schema: Bad has no doc"),
    "a field without doc": (record("Bad", {"name": "a", "type": "string"}), "a: has no doc"),
    "an inner enum without doc": (
        record("Bad", field("a", {"type": "enum", "name": "E", "symbols": ["A"]})),
        "a: E has no doc",
    ),
    "a field name in capitals": (
        record("Bad", field("IssuedAt", "long")),
        "schema: Bad has a field without type or without a name like issued_at",
    ),
    "a field without type": (
        record("Bad", {"name": "a", "doc": "A field."}),
        "schema: Bad has a field without type",
    ),
    "a field twice": (record("Bad", field("a", "long"), field("a", "long")), "a: is there twice"),
    "an alias of a field": (record("Bad", field("a", "long", aliases=["b"])), "a: has aliases"),
    "an alias of a record": (record("Bad", field("a", "long"), aliases=["Old"]), "schema: has aliases"),
    "a type name in small letters": (
        record("Bad", field("a", record("inner", field("b", "long")))),
        "a: inner is no name for a type",
    ),
    "an unknown type": (
        record("Bad", field("a", "Nowhere")),
        "a: Nowhere is no primitive type and no schema of this folder",
    ),
    "another name than its file's": (record("Wrong", field("a", "long")), "schema: is named almenara.Wrong"),
    "another namespace": (
        record("Bad", field("a", "long"), namespace="elsewhere"),
        "schema: is named elsewhere.Bad",
    ),
    "no namespace": ({"type": "record", "name": "Bad", "fields": []}, "schema: is no record or fixed"),
    "a list": ([], "schema: is no record or fixed"),
    "a number for a type": (record("Bad", field("a", 7)), "a: is no Avro schema"),
    "an enum without symbols": (
        record("Bad", field("a", {"type": "enum", "name": "E", "symbols": [], "doc": "x"})),
        "a: is a record, enum or fixed without",
    ),
    "a name defined in two files": (
        record("Bad", field("a", {**FIXED, "name": "Right"})),
        "schema: Right is defined in Right, Bad",
    ),
    "a text default for a number": (record("Bad", field("a", "long", default="")), "a: has default ''"),
    "a flag default for a number": (record("Bad", field("a", "long", default=True)), "a: has default True"),
    "a flag default for a double": (record("Bad", field("a", "double", default=True)), "a: has default True"),
    "a number default for a flag": (record("Bad", field("a", "boolean", default=0)), "a: has default 0"),
    "a number default for text": (record("Bad", field("a", "string", default=0)), "a: has default 0"),
    "a default array that is not empty": (
        record("Bad", field("a", {"type": "array", "items": "long"}, default=[1])),
        "a: has default [1]",
    ),
    "a default id of the wrong length": (record("Bad", field("a", "Id", default="")), "a: has default ''"),
    "a default outside the enum": (
        record("Bad", field("a", ENUM, default="GREEN")),
        "a: has default 'GREEN'",
    ),
    "a default for a record": (record("Bad", field("a", "Right", default={})), "a: has default {}"),
}


def test_the_shipped_schemas_have_no_finding() -> None:
    assert lint(load_schemas()) == []


def test_the_shipped_schemas_agree_with_every_version_kept() -> None:
    assert lint_history(load_schemas(), read_history(schema_folder())) == []


def test_a_good_folder_has_no_finding() -> None:
    assert lint(FOLDER) == []


@pytest.mark.parametrize("case", BAD)
def test_a_bad_schema_is_caught_at_its_field(case: str) -> None:
    schema, finding = BAD[case]
    name = "Deep" if case == "too deep" else "Bad"
    found = [str(each) for each in lint({**FOLDER, name: schema})]
    assert any(each.startswith(f"{name}: {finding}") or finding in each for each in found), found


def test_a_finding_reads_as_file_field_and_fault() -> None:
    assert str(Finding("Goods", "", "has no doc")) == "Goods: schema: has no doc"
    assert str(Finding("Goods", "unit", "has no doc")) == "Goods: unit: has no doc"


def changed(**fields: object) -> dict[str, Any]:
    """Return GOOD with other types or without the fields given as None."""
    other = copy.deepcopy(GOOD)
    other["fields"] = [
        {**each, "type": fields.get(each["name"], each["type"])}
        for each in other["fields"]
        if fields.get(each["name"], each["type"]) is not None
    ]
    return other


def with_field(*more: dict[str, Any]) -> dict[str, Any]:
    return {**GOOD, "fields": [*GOOD["fields"], *more]}


ALLOWED = {
    "nothing": GOOD,
    "another doc": {**GOOD, "doc": "Another sentence."},
    "a new field with a default": with_field(field("more", "string", default="")),
    "a field with a default less": changed(text=None),
    "fields in another order": {**GOOD, "fields": GOOD["fields"][::-1]},
    "text as bytes, which read each other": changed(text="bytes"),
}

BREAKING: dict[str, tuple[Any, str]] = {
    "a new field without a default": (
        with_field(field("more", "string")),
        "Good: more: cannot read version 1: the field is not written and has no default",
    ),
    "a field without a default less": (
        {**GOOD, "fields": GOOD["fields"][:-1]},
        "Good: body: cannot be read by version 1: the field is not written and has no default",
    ),
    "another type": (
        changed(text="long"),
        "Good: text: cannot read version 1: string cannot be read as long",
    ),
    "a wider number": (
        changed(count="double"),
        "Good: count: cannot be read by version 1: double cannot be read as long",
    ),
    "an array for one": (
        changed(count={"type": "array", "items": "long"}),
        "Good: count: cannot read version 1: long cannot be read as array",
    ),
    "one for an array": (
        changed(texts="string"),
        "Good: texts: cannot be read by version 1: string cannot be read as array",
    ),
    "an array of others": (
        changed(texts={"type": "array", "items": "long"}),
        "Good: texts[]: cannot read version 1: string cannot be read as long",
    ),
    "another file's type": (
        changed(id="Right"),
        "Good: id: cannot read version 1: Id cannot be read as Right",
    ),
    "an enum's symbol more": (
        changed(colour={**ENUM, "symbols": ["RED", "BLUE", "GREEN"]}),
        "Good: colour: cannot be read by version 1: the enum has no symbol GREEN and no default",
    ),
    "an enum's symbol less": (
        changed(colour={**ENUM, "symbols": ["RED"]}),
        "Good: colour: cannot read version 1: the enum has no symbol BLUE and no default",
    ),
    "another enum": (
        changed(colour={**ENUM, "name": "Shade"}),
        "Good: colour: cannot read version 1: Colour cannot be read as Shade",
    ),
    "a union's branch more": (
        changed(body=[*GOOD["fields"][-1]["type"], record("Third", field("a", "long"))]),
        "Good: body: cannot be read by version 1: the union has no branch for Third",
    ),
    "a union's branch less": (
        changed(body=[record("Left", field("left", "string"))]),
        "Good: body: cannot read version 1: the union has no branch for Right",
    ),
    "a field in a union's branch": (
        changed(body=[record("Left", field("left", "string"), field("more", "long")), "Right"]),
        "Good: body.more: cannot read version 1: the field is not written and has no default",
    ),
    "one record for a union": (
        changed(body="Right"),
        "Good: body: cannot read version 1: Left cannot be read as Right",
    ),
    "another record in an array": (
        changed(texts={"type": "array", "items": record("Text", field("a", "long"))}),
        "Good: texts[]: cannot read version 1: string cannot be read as Text",
    ),
    "another meaning of absent": (
        {**GOOD, "fields": [{**GOOD["fields"][0], "default": "none"}, *GOOD["fields"][1:]]},
        "Good: Good.text: has another default than version 1",
    ),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_a_change_that_both_sides_read_is_allowed(case: str) -> None:
    assert full_transitive("Good", ALLOWED[case], [GOOD]) == []


@pytest.mark.parametrize("case", BREAKING)
def test_a_change_that_one_side_cannot_read_is_caught(case: str) -> None:
    schema, finding = BREAKING[case]
    found = [str(each) for each in full_transitive("Good", schema, [GOOD])]
    assert any(each.startswith(finding) for each in found), found


def test_every_earlier_version_counts_and_not_the_last_alone() -> None:
    first = record("Fixed", field("a", "long", default=0))
    second = record("Fixed", field("b", "long", default=0))
    third = record("Fixed", field("a", "string", default=""))
    assert {each.text.split(":")[0] for each in full_transitive("Fixed", third, [first, second])} == {
        "cannot read version 1",
        "cannot be read by version 1",
        "has another default than version 1; what absent means never changes",
    }


def test_another_size_of_a_fixed_is_caught() -> None:
    assert len(full_transitive("Id", {**FIXED, "size": 32}, [FIXED])) == 2


def test_an_enum_with_a_default_reads_symbols_it_does_not_know() -> None:
    before = record("E", field("colour", {**ENUM, "default": "RED"}))
    after = record("E", field("colour", {**ENUM, "symbols": ["RED"], "default": "RED"}))
    assert full_transitive("E", after, [before]) == []


def test_a_record_that_was_kept_twice_in_itself_does_not_keep_the_linter_for_ever() -> None:
    loop = record("Loop", field("next", {"type": "array", "items": "Loop"}))
    assert full_transitive("Loop", loop, [loop]) == []


def test_a_changed_schema_must_be_kept_as_the_next_version() -> None:
    findings = lint_history(
        {**FOLDER, "Right": record("Right", field("left", "long", default=0))}, {"Right": [RIGHT]}
    )
    assert "Right: schema: differs from its newest kept version; keep it as 2.avsc" in map(str, findings)


def test_a_schema_never_kept_must_be_kept_as_the_first_version() -> None:
    assert [str(each) for each in lint_history({"Right": RIGHT}, {})] == [
        "Right: schema: differs from its newest kept version; keep it as 1.avsc"
    ]


def test_a_better_doc_needs_no_new_version() -> None:
    assert lint_history({"Right": {**RIGHT, "doc": "Better."}}, {"Right": [RIGHT]}) == []


def test_a_schema_once_used_stays() -> None:
    assert [str(each) for each in lint_history({}, {"Right": [RIGHT]})] == [
        "Right: schema: is gone; a schema once used stays"
    ]


def test_the_envelope_never_changes_even_compatibly() -> None:
    before = record("Head", field("a", "long", default=0))
    after = record("Head", field("a", "long", default=0), field("b", "long", default=0))
    assert [str(each) for each in lint_history({"Head": after}, {"Head": [before, after]})] == [
        "Head: schema: is of the envelope and never changes; make a new payload type"
    ]
