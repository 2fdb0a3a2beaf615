"""How is the outcome of a demonstration told: what each member holds, what was refused, how long it took?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from almenara.demo.audit import Verdict
    from almenara.demo.expected import Injected
    from almenara.demo.screen import Screen

DISCREPANCIES_SHOWN = 50
"""Beyond these their number says enough."""


def show_members(verdict: Verdict, screen: Screen) -> None:
    """Write what each member published and holds, as the audit counted it."""
    screen.table(
        "messages and statements, counted in the stores",
        ("member", "published", "held", "opened", "not for me", "refused"),
        [
            (each.member, each.published, each.held, each.opened, each.not_for_me, each.refused)
            for each in verdict.members
        ],
    )
    screen.line("published and held count messages; opened, not for me and refused count signed records")


def show_refused(verdict: Verdict, injected: Sequence[Injected], federation: str, screen: Screen) -> None:
    """Write which injected records were refused, why, and by whom."""
    rows = []
    for each in injected:
        refusals = [refusal for refusal in verdict.refusals if refusal.record == each.record]
        codes = sorted({refusal.code for refusal in refusals})
        by = [refusal.member for refusal in refusals]
        rows.append((each.name, each.stream.topic(federation), " ".join(codes), " ".join(by) or "nobody"))
    screen.table(
        "put straight into Kafka with the operator's certificate",
        ("what", "topic", "refused as", "by"),
        rows,
    )


def show_discrepancies(verdict: Verdict, screen: Screen) -> None:
    """Write in what the stores differ from the messages."""
    if not verdict.discrepancies:
        return
    screen.line()
    for text in verdict.discrepancies[:DISCREPANCIES_SHOWN]:
        screen.line(f"discrepancy: {text}")
    rest = len(verdict.discrepancies) - DISCREPANCIES_SHOWN
    if rest > 0:
        screen.line(f"and {rest} more")
