"""`almenara federation`: found a federation, look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from almenara.cli.options import federation_folder, output_format
from almenara.cli.quorums import founding_options

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.group()
def federation() -> None:
    """Found a federation and look at it: the coordinator's side.

    A federation is the members that share one signed directory and one Kafka cluster. Its folder
    holds the directory, the TLS authority and the keys of both: keep it private, and keep a copy.
    """


@federation.command()
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option("--name", required=True, help="Short name, a-z and 0-9: every topic begins with it.")
@click.option(
    "--host", "hosts", multiple=True, help="A name of the broker beside localhost; may be repeated."
)
@click.option(
    "--replication", type=int, help="Brokers that hold each record. [default: as many as there are, up to 3]"
)
@founding_options
def init(
    *,
    state: Path,
    name: str,
    title: str,
    hosts: Sequence[str],
    bootstrap: str,
    replication: int | None,
    retention_days: int,
    quorums: Sequence[str],
    keys: Sequence[str],
) -> None:
    """Make the folder of a new federation.

    It gets a signed directory, a TLS authority, the broker's certificate, and the audience `region`
    of all members. Nothing that exists is overwritten; a directory that `almenara directory init` has
    begun there is taken as it is.

    \b
    Example:
      almenara federation init --state D --name ams
    """
    from almenara import clock
    from almenara.cli.quorums import named_keys, say_where_keys_go, thresholds
    from almenara.coordinator import ceremony
    from almenara.coordinator.federation import Federation

    begun = ceremony.founded(state)
    made = Federation.init(
        state,
        name=name,
        now=clock.now(),
        hosts=tuple(hosts),
        bootstrap=bootstrap,
        replication=replication,
        title=title,
        retention_days=retention_days,
        thresholds=thresholds(quorums),
        named=named_keys(keys),
    )
    click.echo(f"{made.name}: federation made in {state}")
    if ceremony.open_repository(state).version == 0:
        first = state / ceremony.PROPOSALS / ceremony.FIRST
        click.echo("the first version of its directory waits for signatures; each holder runs")
        click.echo(f"  almenara directory sign {first} --key KEY")
        click.echo("and with enough of them")
        click.echo(f"  almenara directory publish {first}")
    else:
        click.echo(f"root fingerprint: {made.fingerprint}")
        click.echo("members compare it with theirs, over the telephone: it is what all trust begins with")
    click.echo("")
    if not begun:
        say_where_keys_go(state)
    if not bootstrap:
        click.echo("next, the broker, which stays in the foreground:")
        click.echo(f"  almenara broker run --state {state}")
    click.echo("next, for each enrolment.json that a member sends:")
    click.echo(f"  almenara member admit enrolment.json --federation {state}")
    click.echo("and to keep the directory signed and the cluster as it says:")
    click.echo(f"  almenara coordinator run --state {state}")


@federation.command()
@click.option("--state", type=federation_folder, required=True, help="The federation's folder.")
@output_format
def show(state: Path, output: str) -> None:
    """Show the federation: fingerprint, versions and expiries, broker, members.

    \b
    Example:
      almenara federation show --state D -o json
    """
    from almenara import clock
    from almenara.cli.output import Row, write_rows
    from almenara.coordinator.federation import Federation

    shown = Federation.open(state)
    directory = shown.published(clock.now()).directory
    rows: list[Row] = [
        {"field": "name", "value": shown.name},
        {"field": "root fingerprint", "value": shown.fingerprint},
        {"field": "directory version", "value": directory.version},
        {"field": "directory good until", "value": directory.expires.first},
        {"field": "targets to be signed before", "value": directory.expires.targets},
        {"field": "root to be signed before", "value": directory.expires.root},
        {"field": "brokers", "value": directory.bootstrap or "not started yet"},
        {"field": "members", "value": ", ".join(sorted(directory.members)) or "none yet"},
        {"field": "audiences", "value": ", ".join(sorted(directory.audiences))},
    ]
    write_rows(rows, output)
