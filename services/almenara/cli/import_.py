"""`almenara import`: rows of a CSV file become messages and are published."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from almenara.cli.options import member_config, output_format
from almenara.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from almenara.cli.output import Row
    from almenara.imports.importing import Report
    from almenara.imports.mapping import Mapping
    from almenara.model.ids import AudienceId
    from almenara.model.messages import Message
    from almenara.node.settings import MemberSettings

    Progress = Callable[[Report, float], None]


@click.command(name="import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--mapping", "mapping_name", metavar="NAME|FILE", required=True, help="rasff, cbp, or a TOML file."
)
@click.option(
    "--rejects",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV file for the rows that cannot be published: row, field, reason, and the row itself.",
)
@click.option("--dry-run", is_flag=True, help="Only judge the rows: nothing is published, no node is needed.")
@member_config
@output_format
@click.pass_context
def import_(
    ctx: click.Context,
    *,
    file: Path,
    mapping_name: str,
    rejects: Path,
    dry_run: bool,
    config: Path,
    output: str,
) -> None:
    """Publish the rows of a CSV file, as a mapping turns them into messages.

    A member publishes its own rows alone; those that others sent are counted as not ours. Bad rows go
    to the rejects file, the rest goes through. Run it again as often as you like: a row always becomes
    the same message, and what is there already is not published twice. So after an interruption, run
    the same command again. While so much waits for the broker that the node accepts nothing more, the
    import waits, and says so. And the rejects file, corrected, can be imported itself.

    Rows are counted as a spreadsheet does: the header is row 1. Recipients that are no members are left
    out. A dry run without a member.toml judges the rows of all senders.

    \b
    Examples:
      almenara import notifications.csv --mapping rasff --rejects bad.csv --dry-run
      almenara import notifications.csv --mapping rasff --rejects bad.csv --config IT/member.toml
      almenara import ours.csv --mapping ./ours.toml --rejects bad.csv -o json

    \b
    Counted, of rows unless it says otherwise:
      published      messages that are new
      already there  messages of an earlier run
      duplicates     say the same as an earlier row
      rejected       stand in the rejects file
      not ours       were sent by another member
      outside        recipients left out
    """
    from almenara.cli import progress
    from almenara.cli.output import write_rows
    from almenara.cli.reach import load
    from almenara.imports.mapping import load_mapping

    mapping = load_mapping(mapping_name)
    chosen = ctx.get_parameter_source("config") is not ParameterSource.DEFAULT
    settings = None if dry_run and not chosen and not config.exists() else load(config)
    with progress.shown() as show:
        told = -1

        def tell(report: Report, share: float) -> None:
            nonlocal told
            if (percent := int(share * 100)) != told:
                show(f"rows {report.rows}", percent, 100)
            told = percent

        def full(why: str) -> None:
            show(f"waits: {why}", max(told, 0), 100)

        try:
            if settings is None or dry_run:
                report = asyncio.run(_judge(file, mapping, rejects, settings, tell))
            else:
                report = asyncio.run(_publish(file, mapping, rejects, settings, tell=tell, full=full))
        except Unavailable as away:
            raise Unavailable(
                away.code,
                f"{file}: stopped: {away.text}; run the same command again, nothing is published twice",
                retry_after_s=away.retry_after_s,
            ) from away
    write_rows([_row(report, dry_run=dry_run)], output)
    click.echo(", ".join(filter(None, (mapping.title, mapping.credit))), err=True)
    if report.rejected:
        click.echo(f"{report.rejected} rows rejected: {rejects} says why", err=True)


async def _publish(
    file: Path,
    mapping: Mapping,
    rejects: Path,
    settings: MemberSettings,
    *,
    tell: Progress,
    full: Callable[[str], None],
) -> Report:
    from almenara import clock
    from almenara.client import connect
    from almenara.imports.importing import import_file
    from almenara.imports.outlet import open_outlet

    async with connect(settings) as bus:
        outlet = await open_outlet(bus, mapping.audience)
        return await import_file(
            file,
            mapping,
            publishers=lambda member: outlet.publish if member == outlet.member else None,
            members=outlet.members,
            rejects=rejects,
            now=clock.now(),
            progress=tell,
            full=full,
        )


async def _judge(
    file: Path, mapping: Mapping, rejects: Path, settings: MemberSettings | None, tell: Progress
) -> Report:
    from almenara import clock
    from almenara.imports.importing import import_file

    async def publish(_message: Message, _audience: AudienceId) -> bool:
        return True

    own = None if settings is None else settings.member
    return await import_file(
        file,
        mapping,
        publishers=lambda member: publish if own in {None, member} else None,
        members=None,
        rejects=rejects,
        now=clock.now(),
        progress=tell,
    )


def _row(report: Report, *, dry_run: bool) -> Row:
    """Return the counts; a dry run knows what could be published, not what a node holds."""
    if dry_run:
        return {
            "rows": report.rows,
            "to_publish": report.published,
            "duplicates": report.duplicates,
            "rejected": report.rejected,
            "not_ours": report.not_ours,
        }
    return {
        "rows": report.rows,
        "published": report.published,
        "already_there": report.already_there,
        "duplicates": report.duplicates,
        "rejected": report.rejected,
        "not_ours": report.not_ours,
        "outside": report.outside,
    }
