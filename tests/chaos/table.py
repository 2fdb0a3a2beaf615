"""How do the figures of a storm read on a terminal?"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.auditor import Report
    from chaos.figures import Figures


def table(found: Figures) -> list[str]:
    """Return the lines: what befell, how soon messages flowed again, and what the stores hold."""
    recovered = found.recovered_s
    everything = [time for times in recovered.values() for time in times]
    rounds = f" in {found.rounds} rounds" if found.rounds != 1 else ""
    return [
        f"seed {found.seed}: {len(everything)} events{rounds} in {found.seconds:.0f} s",
        "",
        f"{'event':<28}{'times':>6}{'flows again, median':>21}{'max':>9}",
        *(_row(kind, recovered[kind]) for kind in sorted(recovered)),
        _row("all", everything),
        "",
        f"kills     {found.process_kills:>6}   of processes, and {found.broker_kills} of the broker",
        *audited(found.report),
    ]


def audited(report: Report) -> list[str]:
    """Return the lines of what the stores hold."""
    return [
        f"accepted  {report.accepted:>6}   ({report.unanswered} of them without an answer to the caller)",
        f"held      {report.held:>6}   of {report.due} copies",
        f"lost      {report.lost:>6}",
        f"doubled   {report.doubled:>6}",
        f"elsewhere {report.elsewhere:>6}",
        f"faults    {len(report.faults):>6}",
        *(f"  {fault}" for fault in report.faults),
    ]


def _row(name: str, recovered: Sequence[float | None]) -> str:
    times = [each for each in recovered if each is not None]
    spread = f"{median(times):>19.1f} s{max(times):>7.1f} s" if times else f"{'-':>21}{'-':>9}"
    return f"{name:<28}{len(recovered):>6}{spread}"
