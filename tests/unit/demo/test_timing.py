"""Medians and tails are ranks of what was measured, in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.clock import to_micros
from almenara.demo.timing import Spread, deliveries, spread
from unit.demo.scene import play
from unit.trust.federation import AR, CL, NOW

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([2000], Spread(1, 2.0, 2.0)),
        ([3000, 1000], Spread(2, 1.0, 3.0)),
        (list(range(100_000, 0, -1000)), Spread(100, 50.0, 99.0)),
    ],
    ids=["one", "two", "a hundred"],
)
def test_spread(durations: list[int], expected: Spread) -> None:
    assert spread(durations) == expected


def test_where_nothing_was_measured_there_is_no_spread() -> None:
    assert str(spread([])) == "none"
    assert str(spread([1500])) == "p50 1.5 ms, p99 1.5 ms"


def test_every_copy_of_a_message_is_one_delivery(tmp_path: Path) -> None:
    scene = play(tmp_path)
    first = scene.messages[0]
    began = to_micros(NOW)
    assert first.holders == {AR, CL}
    assert list(deliveries(scene.stores, {first.message_id: began})) == [60_000_000, 60_000_000]
