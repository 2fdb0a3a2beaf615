"""Rows that nobody on this project wrote: the checks must agree with real numbers and codes.

What fails is a fault of the data, and each is named here with its reason.
"""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from almenara.model import checks, formats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from almenara.model.checks import Check


def rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        yield from csv.DictReader(lines)


def flawed(check: Check, values: Iterable[str]) -> set[str]:
    return {value for value in values if check(value) is not None}


def test_numbers_of_real_ships(shared_data: Path) -> None:
    remarks = [row["remarks"] for row in rows(shared_data / "ofac_sdn_vessels_2022-01.csv")]
    imo = [number for text in remarks for number in re.findall(r"IMO (\w+)", text)]
    mmsi = [number for text in remarks for number in re.findall(r"MMSI\)? (\w+)", text)]
    assert len(imo) > 400
    assert len(mmsi) > 50
    assert flawed(checks.imo, imo) == {
        "15411",  # five digits: a national number
    }
    assert flawed(checks.mmsi, mmsi) == set()


def test_locodes_of_real_ports(shared_data: Path) -> None:
    ports = [row["UN/LOCODE"].strip() for row in rows(shared_data / "wpi_ports.csv")]
    codes = [code.replace(" ", "", 1) for code in ports if code]
    assert len(codes) > 3000
    assert flawed(checks.locode, codes) == {
        'GBME""',  # cut off
        "GCCOG",  # Cogo in Equatorial Guinea, which is GQ
        "JBHBI",  # Hibikinada in Japan, which is JP
    }


def test_codes_of_the_nomenclature(shared_data: Path) -> None:
    codes = [row["hscode"] for row in rows(shared_data / "hs2022.csv")]
    assert len(codes) > 6900
    assert flawed(checks.hs, codes) == {
        "99",  # HS leaves this chapter to national use
        "9999",
        "999999",
        "TOTAL",  # the root of the file's tree
    }


def test_countries_and_currencies(shared_data: Path) -> None:
    countries = list(rows(shared_data / "country_codes.csv"))
    assert len(countries) > 240
    currencies = {
        code.strip() for row in countries for code in row["ISO4217-currency_alphabetic_code"].split(",")
    }
    assert flawed(checks.country, [row["ISO3166-1-Alpha-2"] for row in countries]) == set()
    assert flawed(checks.nationality, [row["ISO3166-1-Alpha-3"] for row in countries]) == set()
    assert flawed(checks.currency, currencies - {""}) == set()


def test_units_and_packages(shared_data: Path) -> None:
    units = [row["CommonCode"] for row in rows(shared_data / "unece_rec20_units.csv")]
    packages = [row["Code"] for row in rows(shared_data / "unece_rec21_packages.csv")]
    assert len(units) > 2000
    assert len(packages) > 400
    assert flawed(formats.unit, units) == {
        "KG",  # keg, withdrawn; people mean KGM
        "KGS",  # kilogram per second; people mean KGM
    }
    assert flawed(formats.package_type, packages) == set()
