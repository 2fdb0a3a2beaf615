"""What grows of a federation that runs for long? Each process, store and reader by its samples.

Nothing can be trimmed within a run: an audience keeps messages for a day at least, and a node for a week
more. A store therefore grows, and what it may not do is grow faster than the messages it was given: the
bytes for one more message are the same late in the run as they were early.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import msgspec

from soak.growth import Bound, Growth, Point, after_warm_up, growth, marginal
from soak.sampling import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import TypeVar

    from soak.sampling import ProcessSample, ReaderSample, Sample, StoreSample

    T = TypeVar("T")

MEMORY = Bound(amount=5.0, share=0.05, least=1.0)
"""MiB; what differs from run to run is Python's free lists and the C library's."""

KAFKA = Bound(amount=5.0, share=0.05, least=5.0, ceiling=400.0)
"""MiB; Java takes of its heap what it likes, and 400 as a whole (see HEAP in bus/kafka_node.py)."""

HANDLES = Bound(amount=2.0, share=0.0, least=2.0)
THREADS = Bound(amount=2.0, share=0.0, least=2.0)

LOG = Bound(amount=8.0, share=0.0, least=4.0)
"""MiB; SQLite begins its write-ahead log anew at 4 MiB once nobody reads in it."""

LAG = Bound(amount=1.0, share=0.0, least=0.5)
"""Seconds."""

LATE_BYTES = 1.15
"""How many times as many bytes a message may take late in the run: pages of trees fill unevenly."""


class ProcessVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One process; memory in MiB, `cpu` of one processor. None: too few samples to tell."""

    name: str
    memory: Growth | None
    handles: Growth | None
    threads: Growth | None
    cpu: float

    @property
    def grows(self) -> tuple[str, ...] | None:
        """Return what of it grows, None if that cannot be told."""
        return _bad({"memory": self.memory, "handles": self.handles, "threads": self.threads})


class StoreVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One store; sizes in MiB, `early` and `late` are bytes for one more message."""

    name: str
    file_start: float
    file_end: float
    log: Growth | None
    messages: int
    early: float | None
    late: float | None

    @property
    def grows(self) -> tuple[str, ...] | None:
        """Return what of it grows faster than it should, None if that cannot be told."""
        found = _bad({"log": self.log})
        if found is None or self.early is None or self.late is None:
            return None
        return (*found, "bytes a message") if self.late > self.early * LATE_BYTES else found


class ReaderVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One reader; seconds from a publisher's call to this reader's hands."""

    name: str
    lag: Growth | None
    median_s: float
    highest_s: float

    @property
    def grows(self) -> tuple[str, ...] | None:
        """Return what of it grows, None if that cannot be told."""
        return _bad({"lag": self.lag})


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    processes: tuple[ProcessVerdict, ...]
    stores: tuple[StoreVerdict, ...]
    readers: tuple[ReaderVerdict, ...]

    @property
    def sound(self) -> bool:
        """Tell whether all was judged and nothing grows."""
        verdicts: list[ProcessVerdict | StoreVerdict | ReaderVerdict] = [
            *self.processes,
            *self.stores,
            *self.readers,
        ]
        everything = [each.grows for each in verdicts]
        return bool(everything) and all(grows == () for grows in everything)


def judgement(samples: Sequence[Sample]) -> Judgement:
    """Judge a run by its samples, however few there are."""
    return Judgement(
        processes=tuple(
            _process(name, series) for name, series in _series(samples, lambda s: s.processes).items()
        ),
        stores=tuple(_store(name, series) for name, series in _series(samples, lambda s: s.stores).items()),
        readers=tuple(
            _reader(name, series) for name, series in _series(samples, lambda s: s.readers).items()
        ),
    )


def _series(
    samples: Iterable[Sample], part: Callable[[Sample], Mapping[str, T]]
) -> dict[str, list[tuple[float, T]]]:
    found: dict[str, list[tuple[float, T]]] = {}
    for sample in samples:
        for name, each in part(sample).items():
            found.setdefault(name, []).append((sample.at_s, each))
    return found


def _process(name: str, series: Sequence[tuple[float, ProcessSample]]) -> ProcessVerdict:
    (began, first), (ended, last) = series[0], series[-1]
    return ProcessVerdict(
        name=name,
        memory=growth(
            [Point(at_s, each.memory / MIB) for at_s, each in series],
            KAFKA if name == "Kafka" else MEMORY,
        ),
        handles=growth([Point(at_s, each.handles) for at_s, each in series], HANDLES),
        threads=growth([Point(at_s, each.threads) for at_s, each in series], THREADS),
        cpu=(last.cpu_s - first.cpu_s) / (ended - began) if ended > began else 0.0,
    )


def _store(name: str, series: Sequence[tuple[float, StoreSample]]) -> StoreVerdict:
    sizes = [Point(at_s, each.file) for at_s, each in series]
    settled = {point.at_s for point in after_warm_up(sizes)}
    by_messages = marginal([Point(each.messages, each.file) for at_s, each in series if at_s in settled])
    early, late = by_messages or (None, None)
    return StoreVerdict(
        name=name,
        file_start=sizes[0].value / MIB,
        file_end=sizes[-1].value / MIB,
        log=growth([Point(at_s, each.log / MIB) for at_s, each in series], LOG),
        messages=series[-1][1].messages,
        early=early,
        late=late,
    )


def _reader(name: str, series: Sequence[tuple[float, ReaderSample]]) -> ReaderVerdict:
    lags = [Point(at_s, each.lag_s) for at_s, each in series]
    return ReaderVerdict(
        name=name,
        lag=growth(lags, LAG),
        median_s=median(point.value for point in lags),
        highest_s=max(point.value for point in lags),
    )


def _bad(growths: Mapping[str, Growth | None]) -> tuple[str, ...] | None:
    if any(each is None for each in growths.values()):
        return None
    return tuple(name for name, each in growths.items() if each is not None and each.bad)
