"""Which fields of a value may no log, traceback or debugger's line show?"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class Hiding(msgspec.Struct, frozen=True, kw_only=True):
    """A struct that holds a key: its text leaves out the fields that `hidden` names."""

    hidden: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what rich shows: the same fields."""
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.hidden]
