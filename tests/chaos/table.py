"""How does a storm's outcome read on a terminal?"""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.storm import Befallen, Outcome


def table(outcome: Outcome, *, seed: int) -> list[str]:
    """Return the lines: what befell, how soon messages flowed again, and what the stores hold."""
    report = outcome.report
    befallen = outcome.befallen
    kinds: defaultdict[str, list[Befallen]] = defaultdict(list)
    for each in befallen:
        kinds[each.event.kind].append(each)
    return [
        f"seed {seed}: {len(befallen)} events in {outcome.seconds:.0f} s",
        "",
        f"{'event':<32}{'times':>6}{'flows again, median':>21}{'max':>9}",
        *(_row(kind, kinds[kind]) for kind in sorted(kinds)),
        _row("all", befallen),
        "",
        f"accepted  {report.accepted:>6}   ({report.unanswered} of them without an answer to the caller)",
        f"held      {report.held:>6}   of {report.due} copies",
        f"lost      {report.lost:>6}",
        f"doubled   {report.doubled:>6}",
        f"elsewhere {report.elsewhere:>6}",
        "",
        f"logs and stores: {outcome.folder}",
    ]


def _row(name: str, befallen: Sequence[Befallen]) -> str:
    times = [each.recovered_s for each in befallen if each.recovered_s is not None]
    spread = f"{median(times):>19.1f} s{max(times):>7.1f} s" if times else f"{'-':>21}{'-':>9}"
    return f"{name:<32}{len(befallen):>6}{spread}"
