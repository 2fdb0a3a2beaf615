"""Which codes do the long lists kept by other bodies hold?

Each list is read when it is first asked for: the libraries take 40 to 100 ms, and most commands never
check a message. Units and packages are checked by format (formats.py); the short lists here are the
codes that rules need by name.
"""

from __future__ import annotations

from functools import cache

KOSOVO = "XK"
"""Not in ISO 3166-1, but used by customs of the EU and the WCO for Kosovo (user-assigned code)."""

NORTHERN_IRELAND = "XI"
"""Stands before EORI numbers of Northern Ireland since 2021, where other numbers have a country."""

# ICAO Doc 9303 part 3, section 5: codes for nationality and issuer that are not in ISO 3166-1.
_ICAO_EXTRAS = frozenset(
    {
        *("D", "GBD", "GBN", "GBO", "GBP", "GBS", "RKS", "EUE", "UNO", "UNA", "UNK"),
        *("XAA", "XBA", "XIM", "XCC", "XCE", "XCO", "XDC", "XEC", "XES", "XMC", "XMP", "XOM", "XPO"),
        *("XXA", "XXB", "XXC", "XXX"),
    }
)

MASS_UNITS = frozenset({"KGM", "GRM"})
"""Kilogram and gram, UN/CEFACT Recommendation 20: the units of seized drugs (rule 8)."""

COUNT_UNITS = frozenset({"C62", "MIL"})
"""One and thousand, UN/CEFACT Recommendation 20: the units of seized cigarettes (rule 8)."""

# What people write for a unit, and the code of Recommendation 20 that they mean. KGS and KG are on the
# list, as kilogram per second and (withdrawn) keg, but measure no goods.
MISTAKEN_UNITS = {
    "KG": "KGM",
    "KGS": "KGM",
    "KILO": "KGM",
    "G": "GRM",
    "GR": "GRM",
    "GRS": "GRM",
    "L": "LTR",
    "LT": "LTR",
    "LTS": "LTR",
    "PCE": "C62",
    "PCS": "C62",
    "UN": "C62",
    "UND": "C62",
    "U": "C62",
    "T": "TNE",
    "TON": "TNE",
    "LB": "LBR",
    "LBS": "LBR",
    "M": "MTR",
}

HS_EDITIONS = frozenset({"1988", "1992", "1996", "2002", "2007", "2012", "2017", "2022", "2028"})
"""The years of the editions of the Harmonized System."""


@cache
def countries() -> frozenset[str]:
    """Return the ISO 3166-1 alpha-2 codes, and XK."""
    import pycountry

    return frozenset(country.alpha_2 for country in pycountry.countries) | {KOSOVO}


@cache
def nationalities() -> frozenset[str]:
    """Return what may stand for a state with a person: ICAO 9303 three-letter codes, or alpha-2."""
    import pycountry

    alpha_3 = frozenset(country.alpha_3 for country in pycountry.countries)
    return alpha_3 | _ICAO_EXTRAS | countries()


@cache
def currencies() -> frozenset[str]:
    """Return the ISO 4217 codes in force."""
    import pycountry

    return frozenset(currency.alpha_3 for currency in pycountry.currencies)


@cache
def airports() -> frozenset[str]:
    """Return the IATA airport codes."""
    import airportsdata

    return frozenset(airportsdata.load("IATA"))


def read_all() -> None:
    """Read every list now, so that the first message a daemon checks does not wait half a second."""
    for each in (countries, nationalities, currencies, airports):
        each()
