"""`almenara epoch`: begin anew after the store was restored from a backup, or lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from almenara.cli.options import member_config

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def epoch() -> None:
    """Begin anew after the store was restored or lost.

    The store is the authority on what this member has said. After any restore it may lack
    statements that were signed and sent, and signing others in their place would be an equivocation:
    two statements for one place, which every reader keeps as evidence against this member.
    """


@epoch.command("open")
@member_config
def open_(config: Path) -> None:
    """Let the next statement of every own stream open a new epoch.

    Use it when `almenara streams` shows STOPPED: the broker holds more than this store made. A store
    restored from a backup is noticed by the file said.json beside the keys, and does this by itself;
    readers keep what lay beyond the restored head as evidence that it was withdrawn. A store that was
    lost goes on from what the broker holds of this member. Nothing is sent before the node runs
    again. It refuses while a node of this member runs.

    \b
    Example:
      almenara epoch open --config PE/member.toml
    """
    from almenara.cli.output import count
    from almenara.cli.reach import load
    from almenara.node.node import open_epochs

    settings = load(config)
    streams = open_epochs(settings)
    click.echo(f"{settings.member}: {count(streams, 'stream')} to open a new epoch with the next statement")
    click.echo("")
    click.echo("next: start the node again")
    click.echo(f"  almenara node run --config {config}")
