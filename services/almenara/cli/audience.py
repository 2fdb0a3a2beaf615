"""`almenara audience`: say who shares what with whom, and until when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from almenara.cli.options import federation_folder, output_format

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.cli.output import Row
    from almenara.coordinator.audiences import AudienceChange
    from almenara.trust.directory import Audience

KINDS = ("SUB_REGION", "OPERATION", "PAIR")
DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ")


@click.group()
def audience() -> None:
    """Make audiences, change and close them (the coordinator).

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
        members=_members(members),
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
@click.argument("name", metavar="ID")
@click.option(
    "--federation", "folder", type=federation_folder, required=True, help="The federation's folder."
)
@click.option("--add", default="", metavar="PE,AR,...", help="Members that join it.")
@click.option("--remove", default="", metavar="PE,AR,...", help="Members that leave it.")
@click.option("--title", help="Title for people.")
@click.option("--opens-at", type=click.DateTime(DATES), help="From when new alerts are taken, UTC.")
@click.option("--closes-at", type=click.DateTime(DATES), help="Until when new alerts are taken, UTC.")
@click.option("--retention-days", type=int, help="How long its messages are kept.")
def amend(
    *,
    name: str,
    folder: Path,
    add: str,
    remove: str,
    title: str | None,
    opens_at: datetime | None,
    closes_at: datetime | None,
    retention_days: int | None,
) -> None:
    """Change who is in an audience, its dates, its title or its retention.

    Who is removed reads and writes nothing more of it: its access is gone at once, and the others seal
    with new keys from their next second on. Who is added reads from then on.

    \b
    Example:
      almenara audience amend op-condor --federation D --remove CL --closes-at 2027-04-01
    """
    import msgspec

    from almenara.coordinator.audiences import AudienceChange

    unset = msgspec.UNSET
    change = AudienceChange(
        add=_members(add),
        remove=_members(remove),
        title=unset if title is None else title,
        opens_at=unset if opens_at is None else opens_at.replace(tzinfo=UTC),
        closes_at=unset if closes_at is None else closes_at.replace(tzinfo=UTC),
        retention_days=unset if retention_days is None else retention_days,
    )
    if change == AudienceChange():
        raise click.UsageError("nothing to change: name members, dates, a title or a retention")
    _amend(name, folder, change)


@audience.command()
@click.argument("name", metavar="ID")
@click.option(
    "--federation", "folder", type=federation_folder, required=True, help="The federation's folder."
)
def close(name: str, folder: Path) -> None:
    """Close an audience now: no new alerts or profiles, results and receipts go on.

    When its retention has passed too, all access to it ends by itself.

    \b
    Example:
      almenara audience close op-condor --federation D
    """
    from almenara import clock
    from almenara.coordinator.audiences import closing
    from almenara.coordinator.federation import Federation
    from almenara.model.ids import audience_id

    now = clock.now()
    entry = Federation.open(folder).published(now).directory.audience(audience_id(name))
    _amend(name, folder, closing(entry, now))


def _amend(name: str, folder: Path, change: AudienceChange) -> None:
    from almenara import clock
    from almenara.cli.cluster import bring_to_cluster
    from almenara.coordinator.federation import Federation
    from almenara.model.ids import audience_id

    federation = Federation.open(folder)
    now = clock.now()
    amended = federation.amend_audience(audience_id(name), change, now=now)
    click.echo(f"{amended.id}: {amended.kind.lower()} of {', '.join(sorted(amended.members))}")
    if amended.closes_at is not None and amended.ends_at is not None:
        click.echo(f"new alerts until {amended.closes_at:%Y-%m-%d %H:%MZ}")
        click.echo(f"access until {amended.ends_at:%Y-%m-%d %H:%MZ}, then it ends by itself")
    bring_to_cluster(federation)


def _members(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


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
        "ends_at": entry.ends_at,
        "retention_days": entry.retention_days,
    }
