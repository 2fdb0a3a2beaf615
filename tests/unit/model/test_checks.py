"""Check digits and code lists, each with published examples."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import imo, iso6346

from almenara.errors import Code
from almenara.model import checks, formats
from almenara.model.taxids import tax_id

if TYPE_CHECKING:
    from almenara.model.checks import Check

SOUND: dict[str, tuple[Check, tuple[str, ...]]] = {
    # ISO 6346's own example; the tank container of the Bureau International des Containers
    "container": (checks.container, ("CSQU3054383", "MSKU1234565", "TOLU4734787")),
    # Emma Maersk, and the example of the IMO's page on numbers
    "IMO": (checks.imo, ("9321483", "9074729", "9319466")),
    "MMSI": (checks.mmsi, ("201000000", "760123000", "775999999")),
    "AWB": (checks.awb, ("020-12345675", "02012345675", "125-00000000")),
    "LEI": (checks.lei, ("213800KUD8LAJWSQ9D15", "HWUPKR0MPOU8FGXBT394")),
    # water, cocaine, fentanyl
    "CAS": (checks.cas, ("7732-18-5", "50-36-2", "437-38-7")),
    "GTIN": (checks.gtin, ("73513537", "036000291452", "4006381333931", "00012345600012")),
    "HS": (checks.hs, ("01", "97", "7601", "240220")),
    "country": (checks.country, ("PE", "XK", "CW")),
    "nationality": (checks.nationality, ("PER", "PE", "XXA", "D", "GBN")),
    "currency": (checks.currency, ("PEN", "USD", "XCG")),
    "UN/LOCODE": (checks.locode, ("PECLL", "NLRTM", "US2CC")),
    "place": (checks.place, ("PECLL", "LIM")),
    "EORI": (checks.eori, ("DE1234567890", "GB123456789000", "XI123456789000")),
    "unit": (formats.unit, ("KGM", "GRM", "C62", "MIL", "2N")),
    "HS edition": (formats.hs_edition, ("2022", "2028")),
    "date": (formats.day, ("2024-02-29", "1999-12-31")),
    "reference": (formats.reference, ("PE-2026-000123", "2024.0006", "A/1")),
    "plate": (formats.plate, ("ABC-123", "B 1234 XY")),
    "B/L": (formats.document_number, ("MAEU123456789",)),
    "seal": (formats.seal, ("ML-PE0012345",)),
    "PNR locator": (formats.pnr_locator, ("QK3T7Z", "AB1CD")),
    "flight": (formats.flight, ("LA2474", "IB6841A", "LAN2474")),
    "carrier": (formats.carrier, ("LA", "LAN", "2I")),
    "seat": (formats.seat, ("1A", "12K", "101C")),
    "media type": (formats.media_type, ("application/pdf", "image/svg+xml")),
    "condition field": (formats.condition_field, ("goods.hs", "origin")),
}


@pytest.mark.parametrize(
    ("check", "value"),
    [(check, value) for check, values in SOUND.values() for value in values],
    ids=[f"{name} {value}" for name, (_, values) in SOUND.items() for value in values],
)
def test_a_sound_value_has_no_flaw(check: Check, value: str) -> None:
    assert check(value) is None


UNSOUND: dict[str, tuple[Check, str, Code, str]] = {
    "container, digit": (
        checks.container,
        "MSKU1234566",
        Code.CHECK_DIGIT,
        "MSKU1234566: check digit is 6, should be 5",
    ),
    "container, group": (checks.container, "CSQX3054383", Code.FORMAT, "CSQX3054383: want 4 letters"),
    "container, spaces": (checks.container, "CSQU 305438 3", Code.FORMAT, "as in CSQU3054383"),
    "container, small": (checks.container, "csqu3054383", Code.FORMAT, "as in CSQU3054383"),
    "IMO, digit": (checks.imo, "9074728", Code.CHECK_DIGIT, "9074728: check digit is 8, should be 9"),
    "IMO, prefix": (checks.imo, "IMO9074729", Code.FORMAT, "7 digits without IMO"),
    "MMSI, short": (checks.mmsi, "76012300", Code.FORMAT, "want 9 digits"),
    "MMSI, no state": (checks.mmsi, "200123000", Code.RANGE, "begins with 200, want a flag state"),
    "MMSI, above": (checks.mmsi, "776000000", Code.RANGE, "from 201 to 775"),
    "AWB, digit": (checks.awb, "020-12345676", Code.CHECK_DIGIT, "check digit is 6, should be 5"),
    "AWB, short": (checks.awb, "020-1234567", Code.FORMAT, "as in 020-12345675"),
    "LEI, digits": (
        checks.lei,
        "213800KUD8LAJWSQ9D51",
        Code.CHECK_DIGIT,
        "check digits are 51, should be 15",
    ),
    "LEI, short": (checks.lei, "213800KUD8LAJWSQ9D1", Code.FORMAT, "want 20 letters and digits"),
    "CAS, digit": (checks.cas, "50-36-3", Code.CHECK_DIGIT, "check digit is 3, should be 2"),
    "CAS, hyphens": (checks.cas, "50362", Code.FORMAT, "as in 50-36-2"),
    "GTIN, digit": (checks.gtin, "4006381333932", Code.CHECK_DIGIT, "check digit is 2, should be 1"),
    "GTIN, length": (checks.gtin, "40063813339", Code.FORMAT, "want 8, 12, 13 or 14 digits"),
    "HS, odd": (checks.hs, "24022", Code.FORMAT, "2, 4 or 6 digits"),
    "HS, points": (checks.hs, "2402.20", Code.FORMAT, "without points"),
    "HS, eight": (checks.hs, "24022000", Code.FORMAT, "2, 4 or 6 digits"),
    "HS, zero": (checks.hs, "0001", Code.UNKNOWN_CODE, "no chapter 00"),
    "HS, reserved": (checks.hs, "7701", Code.UNKNOWN_CODE, "no chapter 77"),
    "HS, above": (checks.hs, "98", Code.UNKNOWN_CODE, "no chapter 98, want 01 to 97"),
    "HS, other digits": (checks.hs, "٢٤", Code.FORMAT, "2, 4 or 6 digits"),
    "country": (checks.country, "XX", Code.UNKNOWN_CODE, "XX: want a country of ISO 3166-1"),
    "country, three": (checks.country, "PER", Code.UNKNOWN_CODE, "as in PE"),
    "nationality": (checks.nationality, "QQQ", Code.UNKNOWN_CODE, "unknown state"),
    "currency": (checks.currency, "SOL", Code.UNKNOWN_CODE, "SOL: want a currency of ISO 4217"),
    "UN/LOCODE, space": (checks.locode, "PE CLL", Code.FORMAT, "without space"),
    "UN/LOCODE, country": (checks.locode, "QQCLL", Code.UNKNOWN_CODE, "no country QQ"),
    "airport": (checks.place, "QQQ", Code.UNKNOWN_CODE, "no such IATA airport"),
    "place": (checks.place, "Callao", Code.FORMAT, "want a UN/LOCODE"),
    "EORI, country": (checks.eori, "QQ123", Code.UNKNOWN_CODE, "no country QQ"),
    "EORI, long": (checks.eori, "DE1234567890123456", Code.FORMAT, "up to 15"),
    "unit, mistaken": (formats.unit, "KG", Code.UNKNOWN_CODE, "want KGM"),
    "unit, kilogram per second": (formats.unit, "KGS", Code.UNKNOWN_CODE, "want KGM"),
    "unit, long": (formats.unit, "KILOS", Code.FORMAT, "want a unit"),
    "HS edition": (formats.hs_edition, "2023", Code.UNKNOWN_CODE, "year of an HS edition"),
    "date, no such": (formats.day, "2025-02-29", Code.FORMAT, "a date YYYY-MM-DD that exists"),
    "date, bare": (formats.day, "20250228", Code.FORMAT, "a date YYYY-MM-DD that exists"),
    "date, week": (formats.day, "2025-W09-5", Code.FORMAT, "a date YYYY-MM-DD that exists"),
    "reference": (formats.reference, "pe 1", Code.FORMAT, "as in PE-2026-000123"),
    "empty": (checks.place, "", Code.FORMAT, "'': want a UN/LOCODE"),
    "escape": (checks.container, "\x1b[31m", Code.FORMAT, r"'\x1b[31m': want"),
    "long": (checks.container, "A" * 100, Code.FORMAT, "A" * 40 + "...: want"),
}


@pytest.mark.parametrize(("check", "value", "code", "text"), UNSOUND.values(), ids=UNSOUND)
def test_an_unsound_value_has_a_flaw_that_says_what_is_wanted(
    check: Check, value: str, code: Code, text: str
) -> None:
    flaw = check(value)
    assert flaw is not None
    assert flaw.code == code
    assert text in flaw.text


PERSONAL: dict[str, tuple[Check, str]] = {
    "birth date": (formats.birth_day, "1980-13-01"),
    "document": (formats.travel_document_number, "ab?"),
    "document type": (formats.travel_document_type, "ZZ"),
    "flight": (formats.flight, "LA-2474"),
    "PNR locator": (formats.pnr_locator, "ABC"),
    "seat": (formats.seat, "A12"),
    "nationality": (checks.nationality, "QQQ"),
}


@pytest.mark.parametrize(("check", "value"), PERSONAL.values(), ids=PERSONAL)
def test_flaws_of_personal_data_do_not_repeat_it(check: Check, value: str) -> None:
    flaw = check(value)
    assert flaw is not None
    assert value not in flaw.text


@given(st.from_regex(re.compile(r"[A-Z]{3}[UJZ][0-9]{6}"), fullmatch=True), st.integers(0, 9))
def test_container_digits_agree_with_stdnum(bare: str, digit: int) -> None:
    value = f"{bare}{digit}"
    assert (checks.container(value) is None) == iso6346.is_valid(value)


@given(st.from_regex(re.compile(r"[0-9]{7}"), fullmatch=True))
def test_imo_digits_agree_with_stdnum(value: str) -> None:
    assert (checks.imo(value) is None) == imo.is_valid(value)


@given(st.text())
def test_no_text_breaks_a_check(value: str) -> None:
    for check, _ in SOUND.values():
        flaw = check(value)
        assert flaw is None or flaw.text.isprintable()


# Published examples: those that python-stdnum's documentation gives.
SOUND_TAX_IDS = {
    "AR": ("20-05536168-2",),
    "BR": ("16.727.230/0001-97", "390.533.447-05"),
    "CA": ("123026635",),
    "CL": ("76086428-5",),
    "CO": ("213.123.432-1",),
    "CR": ("3-101-999999",),
    "CU": ("91021027775",),
    "DE": ("136695976",),
    "DO": ("1-01-85004-3", "00113918205"),
    "EC": ("1792060346-001", "171430710-3"),
    "GT": ("576937-K",),
    "MX": ("GODE 561231 GR8", "MAB-930714-8T4"),
    "PE": ("20512333797",),
    "PY": ("80028061-0",),
    "SV": ("0614-050707-104-8",),
    "US": ("123-45-6789",),
    "UY": ("21-100342-001-7",),
    "VE": ("V-11470283-4",),
    # countries without a scheme in stdnum
    "BO": ("1023275028",),
    "PA": ("155604-1-123456",),
}


@pytest.mark.parametrize(
    ("country", "value"),
    [(country, value) for country, values in SOUND_TAX_IDS.items() for value in values],
)
def test_a_sound_tax_number_has_no_flaw(country: str, value: str) -> None:
    assert tax_id(country, value) is None


@pytest.mark.parametrize(
    ("country", "value", "code", "text"),
    [
        ("PE", "20512333798", Code.CHECK_DIGIT, "check digit is wrong, want a number of PE (VAT)"),
        ("BR", "16.727.230/0001-98", Code.CHECK_DIGIT, "want a number of BR (CNPJ or CPF)"),
        ("EC", "1714307104", Code.CHECK_DIGIT, "want a number of EC (RUC or CI)"),
        ("US", "07-3456789", Code.FORMAT, "wrong length or format"),
        ("BO", "", Code.FORMAT, "want a tax number of at most 32"),
        ("BO", "1" * 33, Code.FORMAT, "want a tax number of at most 32"),
    ],
)
def test_an_unsound_tax_number_has_a_flaw(country: str, value: str, code: Code, text: str) -> None:
    flaw = tax_id(country, value)
    assert flaw is not None
    assert flaw.code == code
    assert text in flaw.text


def test_slow_libraries_wait_until_a_value_needs_them() -> None:
    script = (
        "import sys, almenara.model.rules, almenara.model.json\n"
        "print([name for name in ('pycountry', 'airportsdata', 'stdnum') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
