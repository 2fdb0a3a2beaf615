"""Which country does a name mean?

Names are those of ISO 3166-1 (short, official and common, in English), whatever their capitals. What
else a source writes stands in its mapping.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def codes_by_name() -> Mapping[str, str]:
    """Return the alpha-2 code of every name, case-folded."""
    import pycountry

    names = ("name", "common_name", "official_name")
    return {
        str(getattr(country, name)).casefold(): country.alpha_2
        for country in pycountry.countries
        for name in names
        if hasattr(country, name)
    }
