"""The schema folder: found packaged or in a checkout, read whole, each schema able to stand alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Misconfigured
from almenara.wire import schemas

if TYPE_CHECKING:
    from collections.abc import Mapping

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_checkout_s_folder_is_found_when_none_is_packaged() -> None:
    assert schemas.schema_folder(REPOSITORY / "services" / "almenara") == REPOSITORY / "schemas"


def test_a_packaged_folder_comes_first(tmp_path: Path) -> None:
    package = tmp_path / "services" / "almenara"
    for folder in (package / "schemas", tmp_path / "schemas"):
        folder.mkdir(parents=True)
        (folder / "Head.avsc").write_text("{}")
    assert schemas.schema_folder(package) == package / "schemas"


def test_an_installation_without_schemas_says_so(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="install almenara again"):
        schemas.schema_folder(tmp_path / "services" / "almenara")


def test_the_schemas_of_the_design_are_there() -> None:
    kinds = {
        "RiskAlert",
        "RiskAlertUpdate",
        "RiskAlertWithdrawal",
        "Receipt",
        "ControlResult",
        "InfoRequest",
        "InfoResponse",
        "OperationNotice",
        "RiskProfile",
    }
    assert {"SignedRecord", "Statement", "Content", "Heartbeat", "Batch", "Message"} | kinds <= set(
        schemas.load_schemas()
    )


def test_a_schema_is_shown_as_its_file_stands() -> None:
    text = schemas.schema_text("Head")
    assert text == (schemas.schema_folder() / "Head.avsc").read_text()


def test_an_unknown_schema_is_named_with_those_known() -> None:
    with pytest.raises(Misconfigured, match=r"'Haed'.*Head, Heartbeat"):
        schemas.schema_text("Haed")


def test_a_folder_without_schemas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"no \*.avsc file"):
        schemas.read_folder(tmp_path)


def test_a_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "Head.avsc").write_text('{"type": ')
    with pytest.raises(Misconfigured, match=r"Head\.avsc: not to be read as JSON"):
        schemas.read_folder(tmp_path)


def test_history_is_read_oldest_first(tmp_path: Path) -> None:
    kept = tmp_path / "history" / "Head"
    kept.mkdir(parents=True)
    for number in range(1, 12):
        (kept / f"{number}.avsc").write_text(str(number))
    assert schemas.read_history(tmp_path) == {"Head": list(range(1, 12))}


def test_a_history_with_a_number_missing_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "history" / "Head"
    kept.mkdir(parents=True)
    for number in (1, 3):
        (kept / f"{number}.avsc").write_text("{}")
    with pytest.raises(Misconfigured, match=r"2\.avsc"):
        schemas.read_history(tmp_path)


ID: Mapping[str, object] = {"type": "fixed", "name": "Id", "size": 4}
PAIR: Mapping[str, object] = {
    "type": "record",
    "name": "Pair",
    "fields": [
        {"name": "left", "type": "Id"},
        {"name": "right", "type": ["Id", {"type": "array", "items": "Id"}, "string"]},
    ],
}


def test_a_reference_becomes_the_definition_at_its_first_use_alone() -> None:
    alone = schemas.resolve("Pair", {"Pair": dict(PAIR), "Id": dict(ID)})
    assert [field["type"] for field in alone["fields"]] == [
        ID,
        ["Id", {"type": "array", "items": "Id"}, "string"],
    ]


def test_resolving_leaves_the_files_as_they_are() -> None:
    before = json.dumps(schemas.load_schemas())
    schemas.resolve("Batch", schemas.load_schemas())
    assert json.dumps(schemas.load_schemas()) == before
