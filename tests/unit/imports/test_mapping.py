"""A mapping is read strictly: whatever is wrong with it is named, with its file, before any row."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Misconfigured
from almenara.imports.mapping import load_mapping, parse_mapping, shipped_mappings
from unit.imports.seizures import SOUND

if TYPE_CHECKING:
    from pathlib import Path


def test_mapping_knows_the_columns_it_needs() -> None:
    mapping = parse_mapping(SOUND.encode(), source="m.toml")
    assert set(mapping.columns) == {"id", "who", "when", "whom", "origin", "kg", "outcome"}
    assert [draft.name for draft in mapping.drafts] == ["alert", "result"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param("= 30", "= = 30", "line 9", id="no TOML"),
        pytest.param("title =", "titel =", "unknown field `titel`", id="unknown key"),
        pytest.param("retention_days", "retention", "unknown field `retention`", id="unknown key of a table"),
        pytest.param("retention_days = 30", "", "missing required field `retention_days`", id="missing key"),
        pytest.param("= 30", "= 0", "`$.row.retention_days`", id="no retention"),
        pytest.param('"seizures"', '"My seizures"', "`$.name`", id="name that is none"),
        pytest.param('"RISK_ALERT"', '"ALERT"', "'ALERT'", id="unknown kind"),
        pytest.param("level =", "levle =", "$.body.levle: unknown field: did you mean level?", id="body"),
        pytest.param("tlp =", "tpl =", "$.handling.tpl: unknown field: did you mean tlp?", id="part"),
        pytest.param('"HIGH"', '"HUGE"', "$.body.level: Invalid enum value 'HUGE'", id="unknown code"),
        pytest.param('"KGM"', "3", "$.body.findings[].unit: Expected `str`", id="constant of a wrong type"),
        pytest.param("do = [", "to = [", "unknown field `to`", id="unknown key of a leaf"),
        pytest.param('["number"]', '["no"]', "$.body.findings[].quantity: no step 'no'", id="unknown step"),
        pytest.param('["id"]', "[]", "$.identity", id="identity of no column"),
        pytest.param('{ from = ["id"] }', '["x"]', "$.identity: a constant", id="identity that is constant"),
        pytest.param('"alert"\nkind', '"result"\nkind', "two are named 'result'", id="two of a name"),
        pytest.param('answers = "alert"', 'answers = "allert"', "want an earlier message", id="no alert"),
        pytest.param("each.member", "each.x.member", "each.x", id="each that is no value"),
        pytest.param('requested = "INFORM"', 'member = "PE"', "given twice", id="field beside its each"),
        pytest.param("each.member", "each.membre", "did you mean member?", id="each of an unknown field"),
        pytest.param(
            "each.member", "each.x = 1\neach.member", "$.actions[].each: want one", id="two in each"
        ),
        pytest.param(
            'each.member = { from = "whom", do', "each.member = { do", "want { from", id="each of nothing"
        ),
        pytest.param(
            "[every]", "[every]\nreference = { say = 3 }", "$.reference: Expected", id="say of no text"
        ),
        pytest.param("retention_days", 'audience = "No!"\nretention_days', "$.row.audience", id="audience"),
        pytest.param('["time UTC"]', "[]", "$.issued_at: its steps give a text, want a time", id="no time"),
        pytest.param(
            '"who", do = ["country"]', '["who"]', "$.sender: its steps give texts", id="many senders"
        ),
        pytest.param('"kg", do = ["number"]', '"kg"', "$.body.findings[].quantity", id="text for a number"),
        pytest.param('{ from = "who", do = ["country"] }', '"Peru"', "$.sender: Peru: want", id="no sender"),
        pytest.param(
            "[every]", "[every]\nexpires_at = 2026-01-01", "filled in by the importer", id="filled in"
        ),
        pytest.param("[every]", "[every]\nactions = 3", "$.actions", id="constant for a list"),
        pytest.param("[every]", '[every]\nreference = ["x"]', "a list, want a single value", id="list"),
        pytest.param("[every]", '[every]\nreference = { x = "y" }', "a table, want a value", id="table"),
    ],
)
def test_mistake_is_named_with_its_file(old: str, new: str, said: str) -> None:
    assert old in SOUND
    text = SOUND.replace(old, new, 1)
    with pytest.raises(Misconfigured) as refusal:
        parse_mapping(text.encode(), source="folder/m.toml")
    assert refusal.value.text.startswith("folder/m.toml: ")
    assert said in refusal.value.text


def test_constant_may_be_a_hash() -> None:
    attachment = '[{ name = "a", media_type = "text/plain", sha256 = "DIGEST", size = 3 }]'
    for digest, sound in (("ab" * 32, True), ("ab" * 31, False)):
        text = SOUND.replace("[every]", f"[every]\nattachments = {attachment.replace('DIGEST', digest)}", 1)
        if sound:
            assert parse_mapping(text.encode(), source="m.toml")
        else:
            with pytest.raises(Misconfigured, match="sha256: want a SHA-256 hash"):
                parse_mapping(text.encode(), source="m.toml")


def test_mapping_is_taken_by_name_or_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SOUND)
    assert load_mapping(path).name == load_mapping(str(path)).name == "seizures"
    assert load_mapping("rasff").name == "rasff"


@pytest.mark.parametrize("source", ["rasf", "rasff.toml", "./none.toml"])
def test_mapping_that_is_not_there_is_named(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Misconfigured, match=re.escape(source.removeprefix("./"))):
        load_mapping(source)


def test_file_of_rows_is_no_mapping(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xff" * 2_000_000)
    with pytest.raises(Misconfigured, match="name a mapping, not the rows"):
        load_mapping(path)
    path.write_bytes(b"\xff")
    with pytest.raises(Misconfigured, match=r"rows\.csv"):
        load_mapping(path)


def test_shipped_mappings_are_sound() -> None:
    assert shipped_mappings() == ("cbp", "rasff")
    for name in shipped_mappings():
        assert load_mapping(name).name == name


def test_headings_of_shipped_mappings_stand_in_the_nomenclature(repository: Path, shared_data: Path) -> None:
    with (shared_data / "hs2022.csv").open(encoding="utf-8", newline="") as lines:
        nomenclature = {row["hscode"] for row in csv.DictReader(lines)}
    folder = repository / "services/almenara/imports/mappings"
    tables = [path.read_text().split("_hs]\n", 1)[1] for path in folder.glob("*.toml")]
    codes = [code for table in tables for code in re.findall(r'"(\d+)"', table)]
    assert len(codes) > 120
    assert set(codes) <= nomenclature
