"""Does a field without check digit look right? Length and alphabet, nothing more (rule 1, DOMAIN.md).

Values of persons (documents, locators, seats) are never repeated in a fault: faults reach logs.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from almenara.errors import Code
from almenara.model.checks import Flaw, flaw_of_format, shown
from almenara.model.codelists import HS_EDITIONS, MISTAKEN_UNITS

if TYPE_CHECKING:
    from almenara.model.checks import Check


def _matching(pattern: str, want: str) -> Check:
    """Return a check that the whole value matches, whose flaw repeats the value."""
    matches = re.compile(pattern).fullmatch

    def check(value: str) -> Flaw | None:
        return None if matches(value) else flaw_of_format(value, want)

    return check


def _matching_unseen(pattern: str, want: str) -> Check:
    """Return a check that the whole value matches, whose flaw does not repeat the value."""
    matches = re.compile(pattern).fullmatch

    def check(value: str) -> Flaw | None:
        return None if matches(value) else Flaw(Code.FORMAT, f"want {want}")

    return check


reference = _matching(
    r"[A-Z0-9][A-Z0-9./-]{0,63}", "up to 64 capitals, digits, . / and -, as in PE-2026-000123"
)
open_code = _matching(r"[A-Z][A-Z0-9_]{0,39}", "up to 40 capitals, digits and _, as in RISK_ANALYSIS")
member = _matching(r"[A-Z]{2}|X-[A-Z0-9]{1,16}", "a member as in PE, or X- and a name")
operation_id = _matching(r"[a-z0-9-]{1,32}", "an audience id of 1 to 32 of a-z, 0-9 and -, as in op-condor")
media_type = _matching(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,126}", "a media type, as in application/pdf")
package_type = _matching(r"[A-Z0-9]{2}", "a package type of UN/CEFACT Rec 21, as in CT")
size_type = _matching(r"[0-9A-Z]{4}", "a size and type of ISO 6346, as in 22G1")
seal = _matching(r"[A-Z0-9][A-Z0-9/-]{0,19}", "up to 20 capitals, digits, / and -")
document_number = _matching(r"[A-Z0-9][A-Z0-9./ -]{0,34}", "up to 35 capitals, digits, spaces, . / and -")
call_sign = _matching(r"[A-Z0-9]{3,7}", "3 to 7 capitals and digits, as in OA2345")
voyage = _matching(r"[A-Z0-9][A-Z0-9./ -]{0,16}", "up to 17 capitals and digits, as in 041W")
plate = _matching(r"[A-Z0-9][A-Z0-9 -]{1,11}", "2 to 12 capitals, digits, spaces and hyphens, as in ABC-123")
carrier = _matching(r"[A-Z0-9]{2}|[A-Z]{3}", "an airline of IATA or ICAO, as in LA or LAN")
flight_number = _matching(r"[0-9]{1,4}[A-Z]?", "1 to 4 digits, as in 2474")
duns = _matching(r"[0-9]{9}", "9 digits")
aeo = _matching(r"[A-Z0-9][A-Z0-9./ -]{0,34}", "up to 35 capitals, digits, points, / and -")
condition_field = _matching(
    r"[a-z][a-z_]{0,39}(?:\.[a-z][a-z_]{0,39}){0,3}", "a field of a message, as in goods.hs"
)

flight = _matching_unseen(r"[A-Z0-9]{2,3}[0-9]{1,4}[A-Z]?", "airline and number, as in LA2474")
pnr_locator = _matching_unseen(r"[A-Z0-9]{5,6}", "5 or 6 capitals and digits")
seat = _matching_unseen(r"[0-9]{1,3}[A-Z]", "row and letter, as in 12A")
travel_document_type = _matching_unseen(r"[ACIPV][A-Z]?", "a document code of ICAO 9303, as in P")
travel_document_number = _matching_unseen(r"[A-Z0-9]{3,20}", "3 to 20 capitals and digits")

_unit_format = _matching(r"[A-Z0-9]{2,3}", "a unit of UN/CEFACT Rec 20, as in KGM")


def unit(value: str) -> Flaw | None:
    """Check a unit: two or three characters, and none of those mistaken for a code."""
    if (meant := MISTAKEN_UNITS.get(value)) is not None:
        return Flaw(Code.UNKNOWN_CODE, f"{value}: not a unit of goods in UN/CEFACT Rec 20, want {meant}")
    return _unit_format(value)


def hs_edition(value: str) -> Flaw | None:
    """Check the year of an edition of the Harmonized System."""
    if value in HS_EDITIONS:
        return None
    return Flaw(Code.UNKNOWN_CODE, f"{shown(value)}: want the year of an HS edition, as in 2022")


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def date_of(value: str) -> date | None:
    """Return the date of a text YYYY-MM-DD, or None for any other text."""
    # fromisoformat alone would also take 20260102 and 2026-W01-5.
    if not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def day(value: str) -> Flaw | None:
    """Check a date, YYYY-MM-DD."""
    return None if date_of(value) else flaw_of_format(value, "a date YYYY-MM-DD that exists")


def birth_day(value: str) -> Flaw | None:
    """Check a date of birth, YYYY-MM-DD, without repeating it."""
    return None if date_of(value) else Flaw(Code.FORMAT, "want a date YYYY-MM-DD that exists")
