"""`almenara evidence`: what can be shown to somebody who trusts none of us."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from almenara.cli.options import member_config
from almenara.cli.verify import verify

if TYPE_CHECKING:
    from almenara.trust.exportfile import ExportedRecord


@click.group()
def evidence() -> None:
    """Show who said what to whom, and when, to somebody who trusts none of us."""


evidence.add_command(verify)


@evidence.command()
@click.argument("name", metavar="[ID]", required=False)
@click.option("--output", "target", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--from", "sender", default="", metavar="MEMBER", help="Whose, if several used the id.")
@click.option("--equivocation", "stream", metavar="AUDIENCE/MEMBER", help="Two statements of this stream.")
@member_config
def export(*, name: str | None, target: Path, sender: str, stream: str | None, config: Path) -> None:
    """Write a file that proves a message, received or sent, to anybody, for ever.

    It holds the signed statement, the key that opens it and no other, the directory down to its root,
    and of each other reader the first receipt, with the links from the statement to what it names: they
    bound the time. Whoever has the file reads every message of that statement. Of an author that signed
    two statements for one place, --equivocation writes both, without their content.

    \b
    Examples:
      almenara evidence export PE-2026-000123 --output e.bin
      almenara evidence export --equivocation region/PE --output fork.bin
    """
    from almenara.cli.choosing import find
    from almenara.cli.exporting import write_export
    from almenara.cli.output import count
    from almenara.cli.reach import load, reading
    from almenara.model.ids import audience_id, member_id

    if (name is None) == (stream is None):
        raise click.UsageError("name a message, or a stream with --equivocation")
    settings = load(config)

    async def exported() -> ExportedRecord:
        async with reading(settings) as node:
            if stream is not None:
                audience, _, publisher = stream.partition("/")
                return await node.export_rival(audience_id(audience.lower()), member_id(publisher.upper()))
            item = await find(node, name or "", sender=sender)
            return await node.export(
                item.message.message_id, publisher=item.publisher, disclose=True, receipts=True
            )

    verified = write_export(asyncio.run(exported()), target)
    if verified.rival is not None:
        click.echo("two statements that cannot stand in one chain; their content is not in it")
    else:
        receipts = ", ".join(each.member for each in verified.receipts)
        click.echo(f"receipts: {receipts}" if receipts else "receipts: none yet; TIME UNPROVEN")
        messages = count(len(verified.messages or ()), "message")
        click.echo(f"whoever has it reads this statement: {messages}")
    click.echo("")
    click.echo("next, anybody, anywhere:")
    click.echo(f"  almenara evidence verify {target} --root-fingerprint {verified.root_fingerprint}")
