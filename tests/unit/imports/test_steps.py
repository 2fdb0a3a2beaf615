"""Each step of the mapping language, by tables of cases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from almenara.errors import Code
from almenara.imports.steps import STEPS, Lists, Sort, Unknown, Unreadable, compile_steps

if TYPE_CHECKING:
    from pathlib import Path

LISTS = Lists(
    tables={"level": {"serious": "HIGH", "none": ""}, "hs": {"nuts": ("0801", "0802"), "seeds": "1207"}},
    countries={"türkiye": "TR", "infosan": "", "the moon": "X-MOON", "unknown origin": ""},
    names_with_commas=("Bonaire, Sint Eustatius and Saba", "2,4-D"),
)


def run(names: str | list[str], value: object) -> object:
    steps = [names] if isinstance(names, str) else names
    result: Any = value
    made, _ = compile_steps(steps, Sort.TEXT if isinstance(value, str) else Sort.TEXTS, LISTS)
    for step in made:
        result = step(result)
    return result


@pytest.mark.parametrize(
    ("steps", "value", "made"),
    [
        pytest.param("split", "Peru,Chile", ["Peru", "Chile"], id="split"),
        pytest.param("split", " Peru , ,Chile,", ["Peru", "Chile"], id="split drops what is empty"),
        pytest.param("split", "Peru,Peru", ["Peru"], id="split gives each once"),
        pytest.param(
            "split",
            "Cuba,Bonaire, Sint Eustatius and Saba,Peru",
            ["Cuba", "Bonaire, Sint Eustatius and Saba", "Peru"],
            id="split keeps a name with commas",
        ),
        pytest.param("split", "2,4-D residue,lead", ["2,4-D residue", "lead"], id="split keeps it in a name"),
        pytest.param("split", ["Peru,Cuba", "Cuba"], ["Peru", "Cuba"], id="split joins several columns"),
        pytest.param("before (", "2026 (FYTD)", "2026", id="before"),
        pytest.param("before (", "2026", "2026", id="before a mark that is not there"),
        pytest.param("before (", ["2026 (FYTD)", "OCT"], ["2026", "OCT"], id="before, one by one"),
        pytest.param("lookup level", "Serious", "HIGH", id="lookup whatever the capitals"),
        pytest.param("lookup level", "none", "", id="lookup of what means nothing"),
        pytest.param("lookup hs", "nuts", ["0801", "0802"], id="lookup of a list"),
        pytest.param("lookup hs", "seeds", ["1207"], id="lookup of one in a table of lists"),
        pytest.param("lookup hs", ["seeds", "nuts"], ["1207", "0801", "0802"], id="lookup, one by one"),
        pytest.param("country", "Peru", "PE", id="country by its short name"),
        pytest.param("country", "BOLIVIA", "BO", id="country by its common name, in capitals"),
        pytest.param("country", "Plurinational State of Bolivia", "BO", id="country by its official name"),
        pytest.param("country", "Curaçao", "CW", id="country with a letter of its own"),
        pytest.param("country", "Türkiye", "TR", id="country of the mapping's list"),
        pytest.param("country", "unknown origin", "", id="country that is none"),
        pytest.param("country", ["INFOSAN", "Chile", "The Moon"], ["CL", "X-MOON"], id="country, one by one"),
        pytest.param(["split", "first"], "Peru,Chile", "Peru", id="first"),
        pytest.param("number", "12.50", 12.5, id="number"),
        pytest.param("number", "4.40924524e-05", 4.40924524e-05, id="number with an exponent"),
        pytest.param("number", "0.0", 0.0, id="number zero"),
        pytest.param("number", "-1", -1.0, id="number below zero, for the rules to judge"),
        pytest.param(["number", "times 0.45359237"], "100", 45.359237, id="times"),
        pytest.param("whole", "12", 12, id="whole"),
        pytest.param(
            "time Europe/Brussels",
            "2024-01-02 10:21:09",
            datetime(2024, 1, 2, 9, 21, 9, tzinfo=UTC),
            id="time in winter",
        ),
        pytest.param(
            "time Europe/Brussels",
            "2024-07-02 10:21:09",
            datetime(2024, 7, 2, 8, 21, 9, tzinfo=UTC),
            id="time in summer",
        ),
        pytest.param(
            "time Europe/Brussels",
            "2024-10-27 02:30:00",
            datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
            id="time that comes twice is the first",
        ),
        pytest.param(
            "time Europe/Brussels",
            "2024-07-02T10:21:09-05:00",
            datetime(2024, 7, 2, 15, 21, 9, tzinfo=UTC),
            id="time with a zone of its own",
        ),
        pytest.param("day", "2024-01-02 00:21:09", "2024-01-02", id="day"),
        pytest.param(
            "us_fiscal_month_start UTC",
            ["2026 (FYTD)", "DEC"],
            datetime(2025, 12, 1, tzinfo=UTC),
            id="fiscal month of the year before",
        ),
        pytest.param(
            "us_fiscal_month_end UTC",
            ["2026 (FYTD)", "DEC"],
            datetime(2026, 1, 1, tzinfo=UTC),
            id="end of December",
        ),
        pytest.param(
            "us_fiscal_month_start America/New_York",
            ["2025", "jan"],
            datetime(2025, 1, 1, 5, tzinfo=UTC),
            id="fiscal month of the year itself",
        ),
        pytest.param(
            "us_fiscal_month_end America/New_York",
            ["2025", "SEP"],
            datetime(2025, 10, 1, 4, tzinfo=UTC),
            id="last month of the fiscal year",
        ),
    ],
)
def test_step_makes(steps: str | list[str], value: str | list[str], made: object) -> None:
    assert run(steps, value) == made


@pytest.mark.parametrize(
    ("step", "value", "code", "said"),
    [
        ("lookup level", "grave", Code.UNKNOWN_CODE, "'grave' is not in the mapping's table level"),
        ("country", "Narnia", Code.UNKNOWN_CODE, "'Narnia' is no country"),
        ("country", ["Peru", "Narnia"], Code.UNKNOWN_CODE, "'Narnia' is no country"),
        ("number", "12,5", Code.FORMAT, "'12,5' is no number"),
        ("number", "1_000", Code.FORMAT, "is no number"),
        ("number", "nan", Code.FORMAT, "is no number"),
        ("number", "1e999", Code.FORMAT, "is no number"),
        ("whole", "1.5", Code.FORMAT, "is no count"),
        ("whole", "-1", Code.FORMAT, "is no count"),
        ("whole", "9" * 5000, Code.FORMAT, "is no count"),
        ("whole", "٣", Code.FORMAT, "is no count"),
        ("time UTC", "02/01/2024", Code.FORMAT, "is no date and time"),
        ("time UTC", "0001-01-01T00:00:00+14:00", Code.FORMAT, "is no date and time"),
        ("day", "2024-02-30", Code.FORMAT, "is no date"),
        ("us_fiscal_month_start UTC", ["2025"], Code.REQUIRED, "want a fiscal year"),
        ("us_fiscal_month_start UTC", ["FY25", "OCT"], Code.FORMAT, "is no fiscal year"),
        ("us_fiscal_month_end UTC", ["20255", "OCT"], Code.FORMAT, "is no fiscal year"),
        ("us_fiscal_month_end UTC", ["2025", "Octubre"], Code.FORMAT, "is no month"),
    ],
)
def test_cell_that_a_step_cannot_read_is_named(
    step: str, value: str | list[str], code: Code, said: str
) -> None:
    with pytest.raises(Unreadable) as refusal:
        run(step, value)
    assert refusal.value.flaw.code == code
    assert said in refusal.value.flaw.text


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (["trim"], "no step 'trim'; want one of split"),
        (["split ;"], "step 'split' takes no argument"),
        (["lookup"], "step 'lookup' takes the name of a table"),
        (["lookup colour"], "no table 'colour'; want one of level, hs"),
        (["number", "times x"], "takes a number, not 'x'"),
        (["times 2"], "step 'times' takes a number, and gets a text"),
        (["first"], "step 'first' takes texts, and gets a text"),
        (["number", "country"], "step 'country' takes a text or texts, and gets a number"),
        (["lookup hs", "number"], "step 'number' takes a text, and gets texts"),
        (["time Europe/Atlantis"], "time zone 'Europe/Atlantis' is not known"),
        (["time ../../etc/passwd"], "is not known"),
    ],
)
def test_step_that_cannot_be_is_named_before_any_row(steps: list[str], said: str) -> None:
    with pytest.raises(Unknown) as refusal:
        compile_steps(steps, Sort.TEXT, LISTS)
    assert said in str(refusal.value)


def test_guide_describes_every_step(repository: Path) -> None:
    guide = (repository / "docs/guides/mapping.md").read_text()
    described = {line.split("`")[1].split(" ")[0] for line in guide.splitlines() if line.startswith("| `")}
    assert set(STEPS) <= described
