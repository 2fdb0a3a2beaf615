"""Fuzz one target, or play one input again: `driver.py TARGET [libFuzzer's options] [FOLDER | FILE]`.

FOLDER receives what reaches new code, beside the kept inputs and the first ones. Needs atheris, which
`make fuzz` installs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

with atheris.instrument_imports(include=["almenara"]):
    from fuzz import bounds
    from fuzz.kept import read_kept, unpack
    from fuzz.planted import PLANTED
    from fuzz.targets import TARGETS


def main(name: str, *options: str) -> None:
    """Run libFuzzer, which ends this process: status 0, or 77 after a crash whose input it writes."""
    target = (TARGETS | PLANTED)[name]
    seeds = list(target.seeds())

    def one(data: bytes) -> None:
        bounds.run(target.holds, data, cpu_ms_max=target.cpu_ms)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        # libFuzzer drops inputs that reach no new line of ours, such as the other files of a directory.
        start = seeds[seed % len(seeds)] if seed % 5 == 0 else data
        return target.mutator(start, max_size, seed, atheris.Mutate)

    for folder in filter(Path.is_dir, map(Path, options)):
        unpack([*read_kept(name), *seeds], folder)
    atheris.Setup([sys.argv[0], f"-max_len={target.max_bytes}", *options], one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
