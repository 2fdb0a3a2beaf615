"""What does a storm come to, in figures? Of one storm, or of many rounds together."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from chaos.auditor import Report, together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.storm import Outcome


BROKER_KILLS = ("kill broker", "kill broker node")


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and times; written as JSON once a round is done."""

    seed: int
    rounds: int
    seconds: float
    process_kills: int
    """The broker's are not among them."""
    broker_kills: int
    recovered_s: dict[str, list[float | None]]
    """Of each kind of event, how long each took until messages flowed again; null: they did not."""
    report: Report
    """What the stores hold; its faults are those of everything else too."""

    @property
    def sound(self) -> bool:
        """Tell whether nothing was lost, doubled or misdelivered, and nothing else went wrong."""
        return self.report.sound


def figures(outcome: Outcome, *, seed: int) -> Figures:
    """Return the figures of one storm."""
    report, befallen = outcome.report, outcome.befallen
    recovered: dict[str, list[float | None]] = {}
    for each in befallen:
        recovered.setdefault(each.event.kind, []).append(each.recovered_s)
    kills = Counter(each.event.kind for each in befallen if each.event.kills)
    brokers = sum(kills[kind] for kind in BROKER_KILLS)
    return Figures(
        seed=seed,
        rounds=1,
        seconds=outcome.seconds,
        process_kills=kills.total() - brokers,
        broker_kills=brokers,
        recovered_s=recovered,
        report=msgspec.structs.replace(report, faults=(*report.faults, *outcome.faults)),
    )


def total(parts: Sequence[Figures], *, seed: int) -> Figures:
    """Return the figures of several rounds together; of none, none."""
    recovered: dict[str, list[float | None]] = {}
    for part in parts:
        for kind, times in part.recovered_s.items():
            recovered.setdefault(kind, []).extend(times)
    return Figures(
        seed=seed,
        rounds=sum(part.rounds for part in parts),
        seconds=sum(part.seconds for part in parts),
        process_kills=sum(part.process_kills for part in parts),
        broker_kills=sum(part.broker_kills for part in parts),
        recovered_s=recovered,
        report=together([part.report for part in parts]),
    )
