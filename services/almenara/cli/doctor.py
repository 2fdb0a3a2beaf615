"""`almenara doctor`: what is wrong, and what must be done about it?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from almenara.cli.options import member_config, output_format

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.cli.checks import Finding
    from almenara.node.settings import MemberSettings


@click.command()
@member_config
@output_format
def doctor(config: Path, output: str) -> int:
    """Check everything that a node needs, and say what to do about what is wrong.

    Clock, keys and their expiries, certificate, directory and the expiries of its four roles, store,
    disk and what goes next by the retention of the audiences, broker, access (own streams can be
    written, those of the audiences read, all others are refused), the node itself, and one receipt
    signed, published, read back from the broker and verified. That receipt says what this member has
    received anyway, so it disturbs nobody.

    Exit status: 0 if nothing fails, else of what is worst: 1 refused, 2 configuration, 3 unavailable.

    \b
    Example:
      almenara doctor -o json
    """
    from almenara.cli.output import write_rows
    from almenara.cli.reach import load

    settings = load(config)
    findings = asyncio.run(_examine(settings))
    write_rows(
        [
            {"check": found.check, "verdict": found.verdict, "seen": found.seen, "do": found.remedy}
            for found in findings
        ],
        output,
    )
    return max(found.status for found in findings)


async def _examine(settings: MemberSettings) -> list[Finding]:
    from almenara import clock
    from almenara.cli import checks
    from almenara.cli.live import broker_findings

    now = clock.now()
    certified = checks.certificate(settings, now)
    key_finding, held = checks.keys(settings)
    trusted = checks.trusted_directory(settings)
    findings = [
        certified,
        key_finding,
        *checks.store(settings),
        *checks.directory(settings, trusted, held, now),
    ]
    if trusted is not None:
        findings.append(checks.retention(settings, trusted.directory(), now))
    usable = certified.verdict is not checks.Verdict.FAIL and held is not None
    if trusted is not None and usable:
        findings += [found async for found in broker_findings(settings, trusted.directory())]
    else:
        findings.append(
            checks.warn("broker", "not asked", "mend what stands above, then run almenara doctor again")
        )
    return [*findings, checks.intervals(settings)]
