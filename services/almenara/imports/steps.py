"""Which steps may a mapping name, and what does each make of a value?

A step is written `name` or `name argument`. Those that take a text also take texts, one by one: what
comes out empty is dropped, and what comes out twice stands once. An empty value skips all steps.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from almenara.errors import Code
from almenara.imports.countries import codes_by_name
from almenara.model.checks import Flaw, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Step = Callable[[Any], Any]
    """From a value to a value or None; raises Unreadable."""


class Unreadable(Exception):
    """A cell that a step can make nothing of: its row is rejected."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.flaw = Flaw(code, text)


class Unknown(ValueError):
    """A step, or the argument of one, that the mapping cannot mean: a person must correct it."""


class Sort(StrEnum):
    """Say what sort of value stands between two steps."""

    TEXT = "a text"
    TEXTS = "texts"
    NUMBER = "a number"
    TIME = "a time"


class Lists(NamedTuple):
    """What a mapping says once for all its steps; keys are case-folded."""

    tables: Mapping[str, Mapping[str, str | Sequence[str]]]
    countries: Mapping[str, str]
    names_with_commas: Sequence[str]


class Recipe(NamedTuple):
    """Say what a step takes and gives, and how it is made of its argument."""

    takes: frozenset[Sort]
    gives: Sort | None
    """None: what it takes."""
    argument: str
    """What the argument is, for an error; empty if there is none."""
    make: Callable[[str, Lists], Step]


def compile_steps(names: Iterable[str], sort: Sort, lists: Lists) -> tuple[tuple[Step, ...], Sort]:
    """Return the steps of these names for a value of that sort to start with, and what sort they give.

    Raises Unknown for a step that does not exist, takes another sort of value, or cannot be made.
    """
    made = []
    for text in names:
        name, _, argument = (part.strip() for part in text.partition(" "))
        recipe = STEPS.get(name)
        if recipe is None:
            raise Unknown(f"no step {name!r}; want one of {', '.join(STEPS)}")
        if bool(argument) != bool(recipe.argument):
            raise Unknown(f"step {name!r} takes {recipe.argument or 'no argument'}")
        if sort not in recipe.takes:
            wanted = " or ".join(sorted(recipe.takes))
            raise Unknown(f"step {name!r} takes {wanted}, and gets {sort}")
        made.append(recipe.make(argument, lists))
        sort = Sort.TEXTS if name == "lookup" and _holds_lists(lists, argument) else recipe.gives or sort
    return tuple(made), sort


def _holds_lists(lists: Lists, table: str) -> bool:
    return any(not isinstance(value, str) for value in lists.tables[table].values())


def distinct(values: Iterable[str | None]) -> list[str]:
    """Return the values that are not empty, each once, in order."""
    return list(dict.fromkeys(value for value in values if value))


def _one_by_one(function: Callable[[str], str | Sequence[str] | None]) -> Step:
    def step(value: str | list[str]) -> str | list[str] | None:
        if isinstance(value, str):
            found = function(value)
            return found if found is None or isinstance(found, str) else list(found)
        results = [function(each) for each in value]
        return distinct(text for r in results if r is not None for text in ([r] if isinstance(r, str) else r))

    return step


# A private-use character: no text of a source holds it.
_COMMA = "\ue000"


def _split(_argument: str, lists: Lists) -> Step:
    kept = [(name, name.replace(",", _COMMA)) for name in lists.names_with_commas]

    def parts(text: str) -> list[str]:
        for name, masked in kept:
            text = text.replace(name, masked)
        return distinct(part.replace(_COMMA, ",").strip() for part in text.split(","))

    return _one_by_one(parts)


def _before(mark: str, _lists: Lists) -> Step:
    return _one_by_one(lambda text: text.partition(mark)[0].strip())


def _lookup(name: str, lists: Lists) -> Step:
    if name not in lists.tables:
        raise Unknown(f"no table {name!r}; want one of {', '.join(lists.tables) or '[table.NAME]'}")
    table = lists.tables[name]
    to_lists = _holds_lists(lists, name)

    def find(text: str) -> str | Sequence[str]:
        found = table.get(text.casefold())
        if found is None:
            raise Unreadable(Code.UNKNOWN_CODE, f"{shown(text)!r} is not in the mapping's table {name}")
        return [found] if to_lists and isinstance(found, str) else found

    return _one_by_one(find)


def _country(_argument: str, lists: Lists) -> Step:
    def code(text: str) -> str:
        name = text.casefold()
        found = lists.countries.get(name)
        if found is None:
            found = codes_by_name().get(name)
        if found is None:
            raise Unreadable(
                Code.UNKNOWN_CODE, f"{shown(text)!r} is no country of ISO 3166-1, nor in the mapping's list"
            )
        return found

    return _one_by_one(code)


def _first(_argument: str, _lists: Lists) -> Step:
    return lambda values: values[0]


_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")


def _number(_argument: str, _lists: Lists) -> Step:
    def read(text: str) -> float:
        if not _NUMBER.fullmatch(text) or not math.isfinite(number := float(text)):
            raise Unreadable(Code.FORMAT, f"{shown(text)!r} is no number; want one as in 12.5")
        return number

    return read


def _whole(_argument: str, _lists: Lists) -> Step:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > len(str(2**63)):
            raise Unreadable(Code.FORMAT, f"{shown(text)!r} is no count; want one as in 12")
        return int(text)

    return read


def _times(factor: str, _lists: Lists) -> Step:
    if not _NUMBER.fullmatch(factor):
        raise Unknown(f"step 'times' takes a number, not {factor!r}")
    by = float(factor)
    return lambda number: number * by


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise Unknown(f"time zone {name!r} is not known here; want one as in Europe/Brussels") from exc


def _moment(text: str, zone: ZoneInfo) -> datetime:
    """Return the moment of a text; without a zone of its own it is local time, the first of two."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise Unreadable(
            Code.FORMAT, f"{shown(text)!r} is no date and time; want one as in 2026-11-24 10:00:00"
        ) from exc


def _time(zone: str, _lists: Lists) -> Step:
    where = _zone(zone)
    return lambda text: _moment(text, where)


def _day(_argument: str, _lists: Lists) -> Step:
    def read(text: str) -> str:
        try:
            return datetime.fromisoformat(text).date().isoformat()
        except ValueError as exc:
            raise Unreadable(Code.FORMAT, f"{shown(text)!r} is no date; want one as in 2026-11-24") from exc

    return read


_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_US_FISCAL_YEAR_BEGINS = _MONTHS["OCT"]
_YEAR = re.compile(r"(?:19|20)[0-9]{2}(?![0-9])")


def _us_fiscal_month(value: Sequence[str]) -> tuple[int, int]:
    """Return calendar year and month of a US fiscal year, which begins in October, and a month's name."""
    if len(value) != 2:
        raise Unreadable(Code.REQUIRED, "empty: want a fiscal year, and a month as in OCT")
    year, month = _YEAR.match(value[0]), _MONTHS.get(value[1].upper())
    if year is None:
        raise Unreadable(Code.FORMAT, f"{shown(value[0])!r} is no fiscal year; want one as in 2025")
    if month is None:
        raise Unreadable(Code.FORMAT, f"{shown(value[1])!r} is no month; want one as in OCT")
    return int(year[0]) - int(month >= _US_FISCAL_YEAR_BEGINS), month


def _us_fiscal_month_start(zone: str, _lists: Lists) -> Step:
    where = _zone(zone)

    def start(value: Sequence[str]) -> datetime:
        year, month = _us_fiscal_month(value)
        return datetime(year, month, 1, tzinfo=where).astimezone(UTC)

    return start


def _us_fiscal_month_end(zone: str, _lists: Lists) -> Step:
    where = _zone(zone)

    def end(value: Sequence[str]) -> datetime:
        year, month = _us_fiscal_month(value)
        year, month = (year + 1, 1) if month == len(_MONTHS) else (year, month + 1)
        return datetime(year, month, 1, tzinfo=where).astimezone(UTC)

    return end


_TEXT = frozenset({Sort.TEXT})
_TEXTS = frozenset({Sort.TEXTS})
_ANY_TEXT = _TEXT | _TEXTS
_A_ZONE = "a time zone, as in Europe/Brussels"

STEPS: dict[str, Recipe] = {
    "split": Recipe(_ANY_TEXT, Sort.TEXTS, "", _split),
    "before": Recipe(_ANY_TEXT, None, "a mark, as in before (", _before),
    "lookup": Recipe(_ANY_TEXT, None, "the name of a table", _lookup),
    "country": Recipe(_ANY_TEXT, None, "", _country),
    "first": Recipe(_TEXTS, Sort.TEXT, "", _first),
    "number": Recipe(_TEXT, Sort.NUMBER, "", _number),
    "whole": Recipe(_TEXT, Sort.NUMBER, "", _whole),
    "times": Recipe(frozenset({Sort.NUMBER}), Sort.NUMBER, "a number", _times),
    "time": Recipe(_TEXT, Sort.TIME, _A_ZONE, _time),
    "day": Recipe(_TEXT, Sort.TEXT, "", _day),
    "us_fiscal_month_start": Recipe(_TEXTS, Sort.TIME, _A_ZONE, _us_fiscal_month_start),
    "us_fiscal_month_end": Recipe(_TEXTS, Sort.TIME, _A_ZONE, _us_fiscal_month_end),
}
"""Every step; docs/guides/mapping.md describes each, and a test compares the two."""
