"""Keep the shortest inputs that reach each line: run it after `make fuzz`, or after a change of the bytes.

Of a target whose keys are new in each run nothing is kept: its signatures would be wrong tomorrow.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from almenara.errors import AlmenaraError  # noqa: E402 - found on the path just set
from fuzz.kept import read_kept, write_kept  # noqa: E402
from fuzz.run import WORK  # noqa: E402
from fuzz.targets import TARGETS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

Steps = set[tuple[str, int, int]]
"""What a run went through: a file of ours, and a line after another in it."""


def main() -> None:
    """Of what is kept, the first inputs and what was found, keep the fewest that reach as much."""
    for name, target in TARGETS.items():
        if target.lasts:
            found = [path.read_bytes() for path in WORK.glob(f"{name}/*")]
            kept = _fewest(target.holds, [*read_kept(name), *target.seeds(), *found])
            print(f"{name}: {write_kept(name, kept)} inputs")


def _fewest(holds: Callable[[bytes], None], inputs: Iterable[bytes]) -> list[bytes]:
    reached: Steps = set()
    fewest = []
    for data in sorted(set(inputs), key=lambda each: (len(each), each)):
        steps = _steps(holds, data)
        if not steps <= reached:
            reached |= steps
            fewest.append(data)
    return fewest


def _steps(holds: Callable[[bytes], None], data: bytes) -> Steps:
    steps: Steps = set()

    def calls(frame: FrameType, _event: str, _argument: Any) -> Any:  # noqa: ANN401 - sys.settrace's
        file = frame.f_code.co_filename
        if "/almenara/" not in file:
            return None
        before = 0

        def lines(frame: FrameType, event: str, _argument: Any) -> Any:  # noqa: ANN401 - as above
            nonlocal before
            if event == "line":
                steps.add((file, before, frame.f_lineno))
                before = frame.f_lineno
            return lines

        return lines

    sys.settrace(calls)
    try:
        with suppress(AlmenaraError):
            holds(data)
    finally:
        sys.settrace(None)
    return steps


if __name__ == "__main__":
    main()
