"""Does an identifier hold together? Check digits and code lists of rule 1 (DOMAIN.md).

A check takes the text of a field and returns None, or the flaw: a stable code, and a text that says
what is wrong and what is expected. Identifiers are wanted bare, in capitals and without spaces, so that
the same container, vessel or trader is the same text in every message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from almenara.errors import Code
from almenara.model import codelists

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN_CHARS = 40
"""How much of a wrong value a fault repeats: enough to find it, too little to be a payload."""


class Flaw(NamedTuple):
    """Say what is wrong with one value."""

    code: Code
    text: str


if TYPE_CHECKING:
    Check = Callable[[str], Flaw | None]


def shown(value: str) -> str:
    """Return the value for a fault's text: cut, and escaped when it holds anything unprintable."""
    cut = value if len(value) <= SHOWN_CHARS else value[:SHOWN_CHARS] + "..."
    return cut if cut.isprintable() and cut.strip() else ascii(cut)


def flaw_of_format(value: str, want: str) -> Flaw:
    """Return the flaw of a value that does not look as wanted."""
    return Flaw(Code.FORMAT, f"{shown(value)}: want {want}")


def _wrong_digit(value: str, is_: str, should_be: str, name: str = "check digit is") -> Flaw:
    return Flaw(Code.CHECK_DIGIT, f"{shown(value)}: {name} {is_}, should be {should_be}")


_CONTAINER = re.compile(r"[A-Z]{3}[UJZR][0-9]{7}")
# ISO 6346: letters count 10 to 38 without the multiples of 11, each place twice the one before.
# One table per place, worked out beforehand, takes a tenth of the time of python-stdnum.
_ISO_6346 = {
    **{str(digit): digit for digit in range(10)},
    **dict(
        zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (n for n in range(10, 39) if n % 11), strict=True),
    ),
}
_ISO_6346_PLACES = tuple({char: n << place for char, n in _ISO_6346.items()} for place in range(10))


def container(value: str) -> Flaw | None:
    """Check a container number, ISO 6346."""
    if not _CONTAINER.fullmatch(value):
        return flaw_of_format(value, "4 letters, the last U, J, Z or R, and 7 digits, as in CSQU3054383")
    total = 0
    for table, char in zip(_ISO_6346_PLACES, value, strict=False):
        total += table[char]
    should_be = str(total % 11 % 10)
    return None if value[10] == should_be else _wrong_digit(value, value[10], should_be)


_SEVEN_DIGITS = re.compile(r"[0-9]{7}")


def imo(value: str) -> Flaw | None:
    """Check an IMO ship number."""
    if not _SEVEN_DIGITS.fullmatch(value):
        return flaw_of_format(value, "7 digits without IMO before them, as in 9074729")
    from stdnum.imo import calc_check_digit

    should_be = calc_check_digit(value[:6])
    return None if value[6] == should_be else _wrong_digit(value, value[6], should_be)


_NINE_DIGITS = re.compile(r"[0-9]{9}")
# ITU-R M.585: the first three digits of a ship's number are those of its flag state.
_MID_FIRST, _MID_LAST = "201", "775"


def mmsi(value: str) -> Flaw | None:
    """Check a ship's radio number: 9 digits that begin with a maritime identification number."""
    if not _NINE_DIGITS.fullmatch(value):
        return flaw_of_format(value, "9 digits, as in 760123000")
    if not _MID_FIRST <= value[:3] <= _MID_LAST:
        return Flaw(
            Code.RANGE,
            f"{value}: begins with {value[:3]}, want a flag state from {_MID_FIRST} to {_MID_LAST}",
        )
    return None


_AWB = re.compile(r"[0-9]{3}-?[0-9]{8}")


def awb(value: str) -> Flaw | None:
    """Check an air waybill number: the last digit is the seven before it, modulo 7."""
    if not _AWB.fullmatch(value):
        return flaw_of_format(value, "3 digits of the airline and 8 of the waybill, as in 020-12345675")
    should_be = str(int(value[-8:-1]) % 7)
    return None if value[-1] == should_be else _wrong_digit(value, value[-1], should_be)


_LEI = re.compile(r"[A-Z0-9]{18}[0-9]{2}")


def lei(value: str) -> Flaw | None:
    """Check a Legal Entity Identifier, ISO 17442."""
    if not _LEI.fullmatch(value):
        return flaw_of_format(value, "20 letters and digits, the last two digits, as in 213800KUD8LAJWSQ9D15")
    from stdnum.iso7064 import mod_97_10

    should_be = mod_97_10.calc_check_digits(value[:18])
    return None if value[18:] == should_be else _wrong_digit(value, value[18:], should_be, "check digits are")


_CAS = re.compile(r"[1-9][0-9]{1,6}-[0-9]{2}-[0-9]")


def cas(value: str) -> Flaw | None:
    """Check a CAS registry number."""
    if not _CAS.fullmatch(value):
        return flaw_of_format(value, "digits with hyphens, as in 50-36-2")
    from stdnum.casrn import calc_check_digit

    should_be = calc_check_digit(value[:-1])
    return None if value[-1] == should_be else _wrong_digit(value, value[-1], should_be)


_GTIN = re.compile(r"[0-9]{8}|[0-9]{12,14}")


def gtin(value: str) -> Flaw | None:
    """Check a GS1 trade item number of 8, 12, 13 or 14 digits."""
    if not _GTIN.fullmatch(value):
        return flaw_of_format(value, "8, 12, 13 or 14 digits, as in 4006381333931")
    from stdnum.ean import calc_check_digit

    should_be = calc_check_digit(value[:-1])
    return None if value[-1] == should_be else _wrong_digit(value, value[-1], should_be)


_HS = re.compile(r"(?:[0-9]{2}){1,3}")
_HS_LAST_CHAPTER = "97"
_HS_RESERVED_CHAPTER = "77"


def hs(value: str) -> Flaw | None:
    """Check a Harmonized System code: 2, 4 or 6 digits in a chapter that exists."""
    if not _HS.fullmatch(value):
        return flaw_of_format(value, "an HS code of 2, 4 or 6 digits without points, as in 240220")
    chapter = value[:2]
    if not "01" <= chapter <= _HS_LAST_CHAPTER or chapter == _HS_RESERVED_CHAPTER:
        return Flaw(
            Code.UNKNOWN_CODE, f"{value}: HS has no chapter {chapter}, want 01 to 97 but 77 (reserved)"
        )
    return None


def country(value: str) -> Flaw | None:
    """Check a country code, ISO 3166-1 alpha-2 or XK."""
    if value in codelists.countries():
        return None
    return Flaw(Code.UNKNOWN_CODE, f"{shown(value)}: want a country of ISO 3166-1 alpha-2, as in PE")


def nationality(value: str) -> Flaw | None:
    """Check a state as travel documents write it (ICAO 9303), or as alpha-2."""
    if value in codelists.nationalities():
        return None
    return Flaw(Code.UNKNOWN_CODE, "unknown state, want three letters of ICAO 9303, as in PER")


def currency(value: str) -> Flaw | None:
    """Check a currency code, ISO 4217."""
    if value in codelists.currencies():
        return None
    return Flaw(Code.UNKNOWN_CODE, f"{shown(value)}: want a currency of ISO 4217, as in USD")


_LOCODE = re.compile(r"[A-Z]{2}[A-Z2-9]{3}")


def locode(value: str) -> Flaw | None:
    """Check a UN/LOCODE: a real country and three letters or digits 2 to 9."""
    if not _LOCODE.fullmatch(value):
        return flaw_of_format(value, "a UN/LOCODE of 5 characters without space, as in PECLL")
    if value[:2] not in codelists.countries():
        return Flaw(Code.UNKNOWN_CODE, f"{value}: no country {value[:2]}, want a UN/LOCODE, as in PECLL")
    return None


_IATA = re.compile(r"[A-Z]{3}")


def place(value: str) -> Flaw | None:
    """Check a place of a route: an IATA airport when three letters, else a UN/LOCODE."""
    if not _IATA.fullmatch(value):
        return locode(value)
    if value in codelists.airports():
        return None
    return Flaw(Code.UNKNOWN_CODE, f"{value}: no such IATA airport, want one as in LIM, or a UN/LOCODE")


_EORI = re.compile(r"[A-Z]{2}[A-Z0-9]{1,15}")


def eori(value: str) -> Flaw | None:
    """Check an EORI number: a country and 1 to 15 letters and digits."""
    if not _EORI.fullmatch(value):
        return flaw_of_format(value, "a country and up to 15 letters and digits, as in DE1234567890")
    issuer = value[:2]
    if issuer not in codelists.countries() and issuer != codelists.NORTHERN_IRELAND:
        return Flaw(Code.UNKNOWN_CODE, f"{value}: no country {issuer}, want one as in DE1234567890")
    return None
