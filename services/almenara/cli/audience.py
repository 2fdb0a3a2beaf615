"""`almenara audience`: say who shares what with whom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from almenara.cli.options import federation_folder, output_format

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.cli.output import Row
    from almenara.trust.directory import Audience

KINDS = ("SUB_REGION", "OPERATION", "PAIR")
DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ")


@click.group()
def audience() -> None:
    """Make audiences and look at them (the coordinator).

    An audience is a named set of members that share something: the region of all members, a
    sub-region, a joint operation with dates, a pair. It bounds who may read and for how long.
    """


@audience.command()
@click.argument("name", metavar="ID")
@click.option(
    "--federation", "folder", type=federation_folder, required=True, help="The federation's folder."
)
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What it is.")
@click.option("--members", required=True, metavar="PE,AR,...", help="Its members.")
@click.option("--title", default="", help="Title for people. [default: the id]")
@click.option("--opens-at", type=click.DateTime(DATES), help="From when new alerts are taken, UTC.")
@click.option("--closes-at", type=click.DateTime(DATES), help="Until when new alerts are taken, UTC.")
@click.option("--retention-days", default=90, help="How long its messages are kept.")
def create(
    *,
    name: str,
    folder: Path,
    kind: str,
    members: str,
    title: str,
    opens_at: datetime | None,
    closes_at: datetime | None,
    retention_days: int,
) -> None:
    """Make an audience of members that are admitted already.

    Topics and access are made at once if the broker answers.

    \b
    Example:
      almenara audience create op-condor --federation D --kind OPERATION \\
        --members PE,AR,CL --opens-at 2026-12-01 --closes-at 2027-03-01
    """
    from almenara import clock
    from almenara.cli.cluster import bring_to_cluster
    from almenara.coordinator.federation import Federation
    from almenara.trust.directory import AudienceKind

    federation = Federation.open(folder)
    made = federation.create_audience(
        name,
        kind=AudienceKind(kind),
        members=frozenset(part.strip() for part in members.split(",") if part.strip()),
        title=title or name,
        now=clock.now(),
        opens_at=None if opens_at is None else opens_at.replace(tzinfo=UTC),
        closes_at=None if closes_at is None else closes_at.replace(tzinfo=UTC),
        retention_days=retention_days,
    )
    click.echo(f"{made.id}: {made.kind.lower()} of {', '.join(sorted(made.members))}")
    bring_to_cluster(federation)
    click.echo("")
    click.echo("next: a member of it publishes to it with")
    click.echo(f"  almenara publish alert.json --audience {made.id}")


@audience.command()
@click.argument("name", metavar="[ID]", required=False)
@click.option(
    "--federation", "folder", type=federation_folder, required=True, help="The federation's folder."
)
@output_format
def show(name: str | None, folder: Path, output: str) -> None:
    """Show one audience, or all of them.

    \b
    Example:
      almenara audience show region --federation D -o json
    """
    from almenara import clock
    from almenara.cli.output import write_rows
    from almenara.coordinator.federation import Federation
    from almenara.model.ids import audience_id

    now = clock.now()
    directory = Federation.open(folder).published(now).directory
    if name is None:
        shown = [directory.audiences[key] for key in sorted(directory.audiences)]
    else:
        shown = [directory.audience(audience_id(name))]
    write_rows([_row(entry, now) for entry in shown], output)


def _row(entry: Audience, now: datetime) -> Row:
    return {
        "id": entry.id,
        "kind": str(entry.kind),
        "title": entry.title,
        "members": sorted(entry.members),
        "open": entry.is_open(now),
        "opens_at": entry.opens_at,
        "closes_at": entry.closes_at,
        "retention_days": entry.retention_days,
    }
