"""A row becomes the same messages every time, or is rejected with the column and the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Misconfigured
from almenara.imports.mapping import parse_mapping
from almenara.imports.rows import Duplicate, Mapped, NotOurs, Outcome, Rejected, open_rows
from almenara.model.alert import RiskAlert
from almenara.model.bodies import ControlResult
from almenara.model.codes import Outcome as Controlled
from almenara.model.codes import Requested
from almenara.model.ids import MemberId
from unit.imports.reading import read_rows
from unit.imports.seizures import HEADER, MAPPING, ROW, SOUND

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def outcomes(tmp_path: Path, *rows: str) -> list[Outcome]:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    return [row.outcome for row in read_rows(path, MAPPING, now=NOW)]


def mapped(outcome: Outcome) -> Mapped:
    assert isinstance(outcome, Mapped), outcome
    return outcome


def test_row_becomes_an_alert_and_its_result(tmp_path: Path) -> None:
    [outcome] = outcomes(tmp_path, ROW)
    row = mapped(outcome)
    alert, result = row.messages
    assert row.sender == "PE"
    assert isinstance(alert.body, RiskAlert)
    assert alert.body.origin == "BO"
    assert alert.recipients == result.recipients == ("CL", "CU")
    assert [(action.member, action.requested) for action in alert.actions] == [
        ("CL", Requested.INFORM),
        ("CU", Requested.INFORM),
    ]
    assert alert.issued_at == datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert alert.expires_at == datetime(2026, 11, 11, 8, tzinfo=UTC)
    assert alert.handling.retention_until == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert isinstance(result.body, ControlResult)
    assert (result.body.alert_publisher, result.body.alert_id) == ("PE", alert.message_id)
    assert result.in_reply_to == alert.message_id
    assert result.body.outcome == Controlled.SEIZED
    [finding] = result.body.findings
    assert (finding.quantity, finding.unit) == (0.0, "KGM")


def test_condition_decides_whether_a_message_comes(tmp_path: Path) -> None:
    [outcome] = outcomes(tmp_path, ROW.replace("seized", " SEIZED "))
    assert len(mapped(outcome).messages) == 2
    [outcome] = outcomes(tmp_path, ROW.replace("seized", "nothing"))
    assert len(mapped(outcome).messages) == 1


def test_sender_is_no_recipient_and_asked_nothing(tmp_path: Path) -> None:
    [outcome] = outcomes(tmp_path, ROW.replace('"Chile,Cuba"', '"Peru,Cuba"'))
    alert, _ = mapped(outcome).messages
    assert alert.recipients == ("CU",)
    assert [action.member for action in alert.actions] == ["CU"]


def test_row_without_recipients_is_for_the_whole_audience(tmp_path: Path) -> None:
    [outcome] = outcomes(tmp_path, ROW.replace('"Chile,Cuba"', ""))
    alert, _ = mapped(outcome).messages
    assert alert.recipients == ()
    assert alert.actions == ()


def test_ids_are_those_of_the_row_in_any_file(tmp_path: Path) -> None:
    [first] = outcomes(tmp_path, ROW)
    _, again = outcomes(tmp_path, ROW.replace("7,", "8,", 1), ROW.replace("Bolivia", " bolivia "))
    assert mapped(again) == mapped(first)
    ids = [message.message_id for message in mapped(first).messages]
    # Written down: other versions of this program must make the same.
    assert [str(each) for each in ids] == [
        "01a1961f-5c00-7053-928f-4b4e6f8cb912",
        "01a1961f-5c00-7734-9ebc-b6c183cc26cf",
    ]
    assert all(each.int >> 80 == int(datetime(2026, 11, 1, 8, tzinfo=UTC).timestamp() * 1000) for each in ids)


def test_ids_differ_by_mapping_row_and_message(tmp_path: Path) -> None:
    one, other = outcomes(tmp_path, ROW, ROW.replace("7,", "8,", 1))
    ids = {message.message_id for outcome in (one, other) for message in mapped(outcome).messages}
    assert len(ids) == 4
    path = tmp_path / "rows.csv"
    renamed = parse_mapping(SOUND.replace('"seizures"', '"captures"').encode(), source="m.toml")
    for row in read_rows(path, renamed, now=NOW):
        assert not ids & {message.message_id for message in mapped(row.outcome).messages}


def test_same_row_again_is_a_duplicate_of_the_first(tmp_path: Path) -> None:
    found = outcomes(tmp_path, ROW, ROW.replace("x", "other remark"), ROW.replace("7,", "8,", 1), ROW)
    assert [type(each) for each in found] == [Mapped, Duplicate, Mapped, Duplicate]
    assert [each.of for each in found if isinstance(each, Duplicate)] == [2, 2]


def test_same_identity_with_other_content_is_rejected_and_the_first_stays(tmp_path: Path) -> None:
    first, second = outcomes(tmp_path, ROW, ROW.replace("Bolivia", "Peru"))
    assert isinstance(first, Mapped)
    assert isinstance(second, Rejected)
    [fault] = second.faults
    assert (fault.path, fault.text) == ("id", "row 2 has the same and says otherwise; the first one counts")


def test_rejected_row_does_not_stand_in_the_way_of_its_correction(tmp_path: Path) -> None:
    found = outcomes(tmp_path, ROW.replace("0.0", "-1"), ROW)
    assert [type(each) for each in found] == [Rejected, Mapped]


@pytest.mark.parametrize(
    ("old", "new", "field", "said"),
    [
        pytest.param("Bolivia", "Narnia", "origin", "'Narnia' is no country", id="cell"),
        pytest.param("Peru", "", "who", "names no country", id="no sender"),
        pytest.param("7,", ",", "id", "nothing tells this row", id="no identity"),
        pytest.param("2026-11-01 08:00:00", "", "when", "want the time", id="no time"),
        pytest.param("2026-11-01 08:00:00", "2026-13-01", "when", "is no date and time", id="no date"),
        pytest.param("2026-11-01", "2026-12-01", "when", "minutes ahead", id="ahead of the clock"),
        pytest.param("2026-11-01", "9999-12-31", "when", "too far ahead", id="beyond all calendars"),
        pytest.param("0.0", "-1", "kg", "not below 0", id="a rule, named by its column"),
        pytest.param("0.0", "", "kg", "empty: want a number", id="no number, not 0"),
        pytest.param(",x", ",x,y", "row", "9 cells, the header has 8", id="too many cells"),
    ],
)
def test_row_is_rejected_with_its_column(tmp_path: Path, old: str, new: str, field: str, said: str) -> None:
    assert old in ROW
    bad, good = outcomes(tmp_path, ROW.replace(old, new, 1), ROW.replace("7,", "8,", 1))
    assert isinstance(good, Mapped)
    assert isinstance(bad, Rejected)
    assert bad.faults[0].path == field
    assert said in bad.faults[0].text


def test_sender_that_is_no_member_id_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"{HEADER}\n{ROW}")
    mapping = parse_mapping(f'{SOUND}\n[countries]\n"Peru" = "PER"'.encode(), source="m.toml")
    [row] = read_rows(path, mapping, now=NOW)
    assert isinstance(row.outcome, Rejected)
    assert row.outcome.faults[0].path == "who"
    assert "want a member as in PE" in row.outcome.faults[0].text


def test_row_of_another_sender_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join([HEADER, ROW, ROW.replace("Peru", "Chile").replace("Bolivia", "Narnia")]))
    with open_rows(path, MAPPING) as file:
        mine, others = [row.outcome for row in file.rows(now=NOW, is_ours=lambda sender: sender == "PE")]
    assert isinstance(mine, Mapped)
    assert others == NotOurs(MemberId("CL"))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("id,who,when", "no column 'whom', 'origin', 'kg', 'outcome', which mapping seizures needs"),
        (HEADER + ",kg", "two columns 'kg'"),
        (HEADER.replace(",", ";"), "no column 'id'"),
    ],
)
def test_file_of_other_columns_is_refused(tmp_path: Path, header: str, said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(header)
    with pytest.raises(Misconfigured) as refusal:
        list(read_rows(path, MAPPING, now=NOW))
    assert said in refusal.value.text
