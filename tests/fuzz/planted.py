"""Properties that do not hold, each in its own way: who looks for faults must find these."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from almenara.errors import Code, RecordRefused
from fuzz.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterator


def crashes(data: bytes) -> None:
    """Raise what is no refusal for half of all inputs."""
    if data[:1] >= b"\x80":
        raise ValueError("planted")
    raise RecordRefused(Code.MALFORMED, "planted: refused as it should be; look on")


def takes_long(data: bytes) -> None:
    """Compute for longer than one input may take."""
    if data[:1] >= b"\x80":
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass


def takes_much(data: bytes) -> None:
    """Hold more memory than one input may take."""
    if data[:1] >= b"\x80":
        bytearray(b"\x01" * 30_000_000)


def _seeds() -> Iterator[bytes]:
    yield b"\x00planted"


PLANTED = {
    "crashes": Target(crashes, _seeds, 64),
    "takes_long": Target(takes_long, _seeds, 64),
    "takes_much": Target(takes_much, _seeds, 64),
}
