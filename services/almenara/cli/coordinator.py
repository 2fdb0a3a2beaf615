"""`almenara coordinator`: keep the directory signed and the cluster as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from almenara.cli.options import federation_folder

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def coordinator() -> None:
    """Keep the directory signed, and topics and access on the cluster as the directory says.

    The coordinator is trusted to admit and to be there. It never reads a message.
    """


@coordinator.command()
@click.option("--state", type=federation_folder, required=True, help="The federation's folder.")
def run(state: Path) -> None:
    """Run in the foreground until Ctrl-C or SIGTERM.

    Signs the directory's timestamp hourly (it lives 24 hours), renews its own and the broker's
    certificates, and compares the cluster with the directory every few seconds. What somebody else
    changed there is put back and logged as `acl.reverted`.

    \b
    Example:
      almenara coordinator run --state D
    """
    import asyncio

    from almenara import logs
    from almenara.cli.signals import until_signalled
    from almenara.coordinator.coordinator import run as run_coordinator

    logs.configure()
    asyncio.run(until_signalled(lambda stopping: run_coordinator(state, stopping=stopping)))


@coordinator.command()
@click.option("--state", type=federation_folder, required=True, help="The federation's folder.")
def sync(state: Path) -> None:
    """Compare the cluster with the directory once, and put it right.

    \b
    Example:
      almenara coordinator sync --state D
    """
    from almenara import logs
    from almenara.cli.cluster import synchronize
    from almenara.coordinator.coordinator import REASSIGN, report
    from almenara.coordinator.federation import Federation

    logs.configure()
    outcome = synchronize(Federation.open(state))
    report(outcome)
    click.echo(
        f"directory {outcome.version} is on the cluster"
        if outcome
        else f"directory {outcome.version}: the cluster held it already"
    )
    for topic in outcome.changed.topics_thin:
        click.echo(f"topic {topic}: on fewer brokers than it should be; {REASSIGN}", err=True)
