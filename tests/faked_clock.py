"""Another time for a program of ours, which a test changes while it runs; see the mark `faketime`.

The library answers every question for the time of day; what a program measures by a clock that nobody
sets (asyncio's) is left alone. It reads the file each time, so a program's clock jumps when that is written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


def faketime_library() -> Path | None:
    """Return the library by which a program sees another time, None where it is not installed."""
    # Debian keeps it off the path of libraries: it is for those who name it.
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


class FakedClock:
    """A clock that is some time off the right one; `environment` is what makes a program go by it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "time"
        self.set_right()

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables of the program, whose children go by the same clock."""
        return {
            "LD_PRELOAD": str(faketime_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Else waits of threads for one another end too soon, and a program is half as fast.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def jump(self, off: timedelta) -> None:
        """Let it be this far ahead of the right time, or behind."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{off.total_seconds():+.0f}")
        draft.replace(self._file)

    def set_right(self) -> None:
        """Let it show the right time."""
        draft = self._file.with_suffix(".new")
        draft.write_text("+0")
        draft.replace(self._file)
