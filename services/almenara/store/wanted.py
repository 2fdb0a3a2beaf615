"""Which messages of the inbox does somebody want?"""

from __future__ import annotations

import msgspec

LEVELS = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
"""Risk levels, lowest first: a filter by level means that level or higher."""


class InboxFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages are wanted; an empty field wants all."""

    areas: tuple[str, ...] = ()
    min_level: str = ""
    hs_prefixes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
