"""How does a long run look? Small charts over time: memory, handles, stores, lag; one line each."""

from __future__ import annotations

from decimal import localcontext
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import leather
from leather import theme

from soak.growth import judged_from
from soak.sampling import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal
    from pathlib import Path

    from soak.sampling import Sample

CHART_WIDTH, CHART_HEIGHT = 470, 330
POINTS_MAX = 400
"""Points of a line; there are not more pixels for it."""

DIGITS = 8
"""Of each coordinate; Decimal writes 28."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which are told apart by those who cannot tell red from green, too."""

THEME = {
    "background_color": "#ffffff",
    "default_line_width": 1.5,
    "label_color": "#555555",
    "legend_color": "#333333",
    "title_font_size": 15,
    "legend_font_size": 12,
    "legend_font_char_width": 7,
    "axis_title_font_size": 12,
    "axis_title_gap": 12,
    "tick_font_size": 12,
    "tick_font_char_width": 7,
    **{
        f"{part}_font_family": "Helvetica, Arial, sans-serif"
        for part in ("title", "legend", "axis_title", "tick")
    },
}

Lines = dict[str, list[tuple[float, float]]]
"""By name: minutes and values."""


class _Group(NamedTuple):
    """Processes of one kind; each kind has its own scale."""

    title: str
    holds: Callable[[str], bool]


GROUPS = (
    _Group("publishers", lambda name: name.startswith("publisher")),
    _Group("subscribers", lambda name: name.startswith("subscriber")),
    _Group("parents and services", lambda name: not name.startswith(("publisher", "subscriber", "Kafka"))),
    _Group("Kafka", lambda name: name == "Kafka"),
)


def draw(samples: Sequence[Sample], file: Path) -> None:
    """Draw what was sampled, at least twice, as an SVG."""
    for name, value in THEME.items():
        setattr(theme, name, value)
    few = list(islice(samples, 0, None, -(-len(samples) // POINTS_MAX)))
    grid = leather.Grid()
    for group in GROUPS:
        memory = _lines(few, lambda s: {n: p.memory / MIB for n, p in s.processes.items()}, group)
        grid.add_one(_chart(f"Memory of {group.title}, MiB", memory, few, room=20.0))
    for group in GROUPS:
        handles = _lines(few, lambda s: {n: p.handles for n, p in s.processes.items()}, group)
        grid.add_one(_chart(f"Open handles of {group.title}", handles, few, room=20.0))
    files = _lines(few, lambda s: {n: e.file / MIB for n, e in s.stores.items()})
    logs = _lines(few, lambda s: {n: e.log / MIB for n, e in s.stores.items()})
    messages = _lines(few, lambda s: {n: e.messages / 1000 for n, e in s.stores.items()})
    lags = _lines(few, lambda s: {n: e.lag_s for n, e in s.readers.items()})
    grid.add_one(_chart("Stores: file, MiB", files, few))
    grid.add_one(_chart("Stores: write-ahead log, MiB", logs, few))
    grid.add_one(_chart("Stores: messages, thousands", messages, few))
    grid.add_one(_chart("Lag of readers, s", lags, few))
    file.parent.mkdir(parents=True, exist_ok=True)
    with localcontext() as context:
        context.prec = DIGITS
        grid.to_svg(str(file), width=len(GROUPS) * CHART_WIDTH, height=3 * CHART_HEIGHT)


def _lines(
    samples: Sequence[Sample], values: Callable[[Sample], Mapping[str, float]], group: _Group | None = None
) -> Lines:
    found: Lines = {}
    for sample in samples:
        for name, value in values(sample).items():
            if group is None or group.holds(name):
                found.setdefault(name, []).append((sample.at_s / 60, value))
    return found


def _chart(title: str, lines: Lines, samples: Sequence[Sample], *, room: float = 0.0) -> leather.Chart:
    """Return a chart from zero; with `room` from a little below the lowest, over at least so much.

    So 60 MiB that become 61 are not drawn as if they had doubled, and can still be seen.
    """
    values = [value for points in lines.values() for _, value in points] or [0.0]
    spare = max(room - (max(values) - min(values)), 0.0) / 2
    low = max(0.0, min(values) - spare) if room else 0.0
    high = max(values) + spare or 1.0
    minutes = samples[-1].at_s / 60
    judged = min(minutes, judged_from(samples[0].at_s, samples[-1].at_s) / 60)
    chart = leather.Chart(title)
    for (name, points), colour in zip(lines.items(), COLOURS, strict=False):
        chart.add_line(points, name=name, stroke_color=colour)
    chart.add_line(
        [(judged, low), (judged, high)],
        name="judged from here",
        stroke_color="#999999",
        stroke_dasharray="4 3",
        width=1,
    )
    chart.add_x_scale(0.0, minutes)
    chart.add_y_scale(low, high)
    chart.add_x_axis(tick_formatter=_number, name="minutes")
    chart.add_y_axis(tick_formatter=_number)
    return chart


def _number(value: Decimal, _index: int, _count: int) -> str:
    return f"{float(value):.6g}"
