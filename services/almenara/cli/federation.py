"""`almenara federation`: found a federation, look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from almenara.cli.options import federation_folder, output_format
from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from almenara.trust.rolekeys import Thresholds


@click.group()
def federation() -> None:
    """Found a federation and look at it: the coordinator's side.

    A federation is the members that share one signed directory and one Kafka cluster. Its folder
    holds the directory, the TLS authority and the keys of both: keep it private, and keep a copy.
    """


@federation.command()
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option("--name", required=True, help="Short name, a-z and 0-9: every topic begins with it.")
@click.option("--title", default="All members", help="Title of the audience of all members.")
@click.option(
    "--host", "hosts", multiple=True, help="A name of the broker beside localhost; may be repeated."
)
@click.option(
    "--bootstrap", default="", help="Address of your own brokers; without it the embedded one serves."
)
@click.option("--replication", default=1, help="Brokers that hold each record: 3 in service.")
@click.option("--retention-days", default=90, help="How long the region keeps its messages.")
@click.option(
    "--quorum",
    "quorums",
    multiple=True,
    metavar="ROLE=M/N",
    help="Of N keys of a role M must sign, as in root=3/5 and targets=2/3; may be repeated. [default: 1/1]",
)
def init(
    *,
    state: Path,
    name: str,
    title: str,
    hosts: Sequence[str],
    bootstrap: str,
    replication: int,
    retention_days: int,
    quorums: Sequence[str],
) -> None:
    """Make the folder of a new federation.

    It gets a signed directory, a TLS authority, the broker's certificate, and the audience `region`
    of all members. Nothing that exists is overwritten.

    \b
    Example:
      almenara federation init --state D --name ams
    """
    from almenara import clock
    from almenara.coordinator.federation import Federation

    made = Federation.init(
        state,
        name=name,
        now=clock.now(),
        hosts=tuple(hosts),
        bootstrap=bootstrap,
        replication=replication,
        title=title,
        retention_days=retention_days,
        thresholds=_thresholds(quorums),
    )
    click.echo(f"{made.name}: federation made in {state}")
    click.echo(f"root fingerprint: {made.fingerprint}")
    click.echo("members compare it with theirs, over the telephone: it is what all trust begins with")
    click.echo("")
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


def _thresholds(quorums: Sequence[str]) -> Thresholds:
    from almenara.trust.rolekeys import Quorum, Thresholds

    thresholds = Thresholds()
    for text in quorums:
        role, _, quorum = text.partition("=")
        threshold, _, keys = quorum.partition("/")
        if role not in Thresholds.__struct_fields__ or not (threshold.isdecimal() and keys.isdecimal()):
            raise Misconfigured(
                Code.CONFIGURATION,
                f"--quorum {text!r}: not ROLE=M/N with a role of {', '.join(Thresholds.__struct_fields__)}; "
                "write it as in root=3/5",
            )
        thresholds = _with(thresholds, role, Quorum(int(threshold), int(keys)))
    return thresholds


def _with(thresholds: Thresholds, role: str, quorum: object) -> Thresholds:
    import msgspec

    return msgspec.structs.replace(thresholds, **{role: quorum})
