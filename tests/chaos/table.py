"""How does a storm's outcome read on a terminal?"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from chaos.schedule import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.storm import Killed, Outcome


def table(outcome: Outcome, *, seed: int) -> list[str]:
    """Return the lines: what was killed and how soon messages flowed again, and what the stores hold."""
    report = outcome.report
    kills = outcome.killed
    return [
        f"seed {seed}: {len(kills)} kills in {outcome.seconds:.0f} s",
        "",
        f"{'killed':<12}{'times':>6}{'recovered, median':>20}{'max':>9}",
        *(_row(target, [each for each in kills if each.kill.target is target]) for target in Target),
        _row("all", kills),
        "",
        f"accepted  {report.accepted:>6}   ({report.unanswered} of them without an answer to the caller)",
        f"held      {report.held:>6}   of {report.due} copies",
        f"lost      {report.lost:>6}",
        f"doubled   {report.doubled:>6}",
        f"elsewhere {report.elsewhere:>6}",
        "",
        f"logs and stores: {outcome.folder}",
    ]


def _row(name: str, kills: Sequence[Killed]) -> str:
    times = [each.recovered_s for each in kills if each.recovered_s is not None]
    spread = f"{median(times):>18.1f} s{max(times):>7.1f} s" if times else f"{'-':>20}{'-':>9}"
    return f"{name:<12}{len(kills):>6}{spread}"
