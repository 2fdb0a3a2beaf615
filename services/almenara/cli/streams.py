"""`almenara streams`: how does every stream stand, and who has confirmed mine?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from almenara.cli.options import member_config, output_format

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.cli.output import Row
    from almenara.node.answers import StreamView
    from almenara.node.settings import MemberSettings


@click.command()
@member_config
@output_format
def streams(config: Path, output: str) -> None:
    """Show every stream: its head, age, state, lag, and of one's own who has confirmed.

    Up to post_quantum_to (epoch/seq) the chain is signed with ML-DSA-65 too, by a checkpoint a day.

    \b
    States to look at, the most urgent first:
      REFUSED       the broker does not let this member read or write it
      STOPPED       the broker holds more than this store made: see almenara epoch open
      EQUIVOCATION  two statements stand for one place: see almenara quarantine evidence
      HELD          waits for a newer directory
      GAP           statements are missing below the head
      WITHHELD      others know of statements that the broker does not show
      TRUNCATED     a new epoch left out statements that are held here
      OUTDATED      its publisher still seals to a member that was removed
      CATCHING_UP   much is being read that came meanwhile: no alarm
      STALE         its heartbeat is overdue
      FULL          own: so much waits for the broker that nothing more is accepted
      UNSENT        own statements wait for the broker
      UNCONFIRMED   own: a reader that is alive elsewhere confirms nothing more
      ENDED         nothing more may come: somebody left the audience, or it is over

    \b
    Example:
      almenara streams -o jsonl
    """
    from almenara.cli.output import write_rows
    from almenara.cli.reach import load, reading
    from almenara.node.backlog import summary

    settings = load(config)

    async def views() -> tuple[StreamView, ...]:
        async with reading(settings) as node:
            return await node.streams()

    shown = asyncio.run(views())
    write_rows([_row(view) for view in shown], output)
    if left := summary(shown):
        click.echo(f"catching up: {left}", err=True)
    _warn_of_expiry(settings)


def _warn_of_expiry(settings: MemberSettings) -> None:
    """Say on standard error when the certificate is due: with it all streams end at once."""
    from almenara import clock
    from almenara.errors import Misconfigured
    from almenara.node.identity import require_certificate

    now = clock.now()
    try:
        certificate = require_certificate(settings, now)
    except Misconfigured as error:
        click.echo(f"warning: {error}", err=True)
        return
    if certificate.renewal_due(now):
        expires = f"{certificate.expires:%Y-%m-%d %H:%MZ}"
        click.echo(
            f"warning: certificate {certificate.name} expires {expires}: almenara member renew", err=True
        )


def _row(view: StreamView) -> Row:
    return {
        "audience": view.audience,
        "publisher": view.publisher,
        "own": view.own,
        "state": view.state,
        "epoch": view.epoch,
        "head": view.seq,
        "age_s": None if view.age_s is None else round(view.age_s, 1),
        "lag": view.lag,
        "unsent_bytes": view.unsent_bytes,
        "unsent_since": view.unsent_since,
        "to_come": view.to_come,
        "gaps": view.gaps,
        "anchored": view.anchored,
        "post_quantum_to": None
        if view.checkpoint_seq < 0
        else f"{view.checkpoint_epoch}/{view.checkpoint_seq}",
        "evidence": view.evidence,
        "confirmed": list(view.confirmed),
        "behind": list(view.behind),
        "unconfirmed": list(view.unconfirmed),
        "detail": view.detail,
    }
