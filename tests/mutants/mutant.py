"""What is a mutant: one control taken away, and the test that must notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Misfit(Exception):
    """A mutant that does not fit the code any more: the table must follow the code."""


class Mutant(NamedTuple):
    """One control, the text to take away from its file with what takes its place, and a test's id."""

    name: str
    file: str
    old: str
    new: str
    test: str

    def patched(self, root: Path) -> str:
        """Return the file's text with the control taken away.

        Raises Misfit if the text to replace does not stand there exactly once.
        """
        path = root / "services" / "almenara" / self.file
        if not path.is_file():
            raise Misfit(f"{self.name}: there is no {self.file}")
        text = path.read_text("utf-8")
        if (count := text.count(self.old)) != 1:
            raise Misfit(f"{self.name}: its text stands {count} times in {self.file}, want once")
        return text.replace(self.old, self.new)
