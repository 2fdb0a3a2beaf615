"""Does a national tax number hold together? The countries that python-stdnum knows are checked."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from almenara.errors import Code
from almenara.model.checks import Flaw, flaw_of_format, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stdnum.util import NumberValidationModule

# Where persons and companies have numbers of different make, or stdnum does not call the number "vat".
_SCHEMES: dict[str, tuple[str, ...]] = {
    "BR": ("cnpj", "cpf"),
    "CA": ("bn", "sin"),
    "CR": ("cpj", "cpf", "cr"),
    "CU": ("ni",),
    "DO": ("rnc", "cedula"),
    "EC": ("ruc", "ci"),
    "US": ("tin",),
}
# Mexican company numbers may hold & and Ñ.
_FORMAT = re.compile(r"[A-Z0-9&Ñ](?:[A-Z0-9&Ñ./ -]{0,30}[A-Z0-9])?")


@cache
def _schemes(country: str) -> Mapping[str, NumberValidationModule]:
    from stdnum import get_cc_module

    found = {name: get_cc_module(country, name) for name in _SCHEMES.get(country, ("vat",))}
    return {name: module for name, module in found.items() if module is not None}


def tax_id(country: str, value: str) -> Flaw | None:
    """Check a tax number of this country; where stdnum has no scheme, its length and alphabet alone."""
    if not _FORMAT.fullmatch(value):
        return flaw_of_format(value, "a tax number of at most 32 capitals, digits, points and hyphens")
    schemes = _schemes(country)
    if not schemes:
        return None
    from stdnum.exceptions import InvalidChecksum, ValidationError

    code = Code.FORMAT
    for scheme in schemes.values():
        try:
            scheme.validate(value)
        except InvalidChecksum:
            code = Code.CHECK_DIGIT
        except ValidationError:
            continue
        else:
            return None
    fault = "check digit is wrong" if code is Code.CHECK_DIGIT else "wrong length or format"
    names = " or ".join(name.upper() for name in schemes)
    return Flaw(code, f"{shown(value)}: {fault}, want a number of {country} ({names})")
