"""Where are the inputs that are kept, one line of base64 each, shortest first?

They are not all that was found: one input for each line of code that is reached, and those that once
broke a property. `tests/fuzz/corpus.py` makes the files again.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CORPUS = Path(__file__).parent / "corpus"

INPUT_MAX = 5_000
"""Bytes of an input worth keeping: a record that announces a key to four members has less."""


def read_kept(target: str) -> list[bytes]:
    """Return the kept inputs of a target; none for one whose keys are new in each run."""
    path = CORPUS / f"{target}.txt"
    return [b64decode(line) for line in path.read_text().splitlines()] if path.exists() else []


def write_kept(target: str, inputs: Iterable[bytes]) -> int:
    """Keep these inputs of a target, and return how many."""
    chosen = sorted({each for each in inputs if len(each) <= INPUT_MAX}, key=lambda each: (len(each), each))
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{target}.txt").write_text("".join(b64encode(each).decode() + "\n" for each in chosen))
    return len(chosen)


def unpack(inputs: Iterable[bytes], folder: Path) -> None:
    """Write each input to a file of its own, as libFuzzer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(inputs):
        (folder / f"kept-{number}").write_bytes(each)
