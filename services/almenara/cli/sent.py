"""`almenara sent`: who has confirmed a message of ours?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from almenara.cli.options import member_config, output_format, seconds

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.cli.output import Row
    from almenara.node.answers import Confirmations


@click.group()
def sent() -> None:
    """See what has become of one's own messages."""


@sent.command()
@click.argument("name", metavar="ID")
@click.option("--wait", "wait_s", metavar="10s", callback=seconds, help="Wait so long for all to confirm.")
@member_config
@output_format
def show(*, name: str, wait_s: float | None, config: Path, output: str) -> int:
    """Show who has confirmed a message, who has not, and what they did with it.

    ID is what `publish` printed, or its beginning, or a reference: of the messages that carry it the
    last. RECEIVED means that the member has opened it, by its own signed receipt. With --wait the exit
    status is 3 if not all have confirmed in time.

    \b
    Example:
      almenara sent show 01a20d1f --wait 10s
      almenara sent show PE-2026-000123
    """
    from almenara.cli.choosing import find
    from almenara.cli.confirming import confirmed_by
    from almenara.cli.output import write_rows
    from almenara.cli.reach import load, reading

    settings = load(config)

    async def found() -> Confirmations:
        until = asyncio.get_running_loop().time() + (wait_s or 0.0)
        async with reading(settings) as node:
            item = await find(node, name, sender=settings.member)
            return await confirmed_by(node, item.message.message_id, until=until)

    confirmations = asyncio.run(found())
    write_rows(_rows(confirmations), output)
    return 0 if wait_s is None or confirmations.complete else 3


def _rows(found: Confirmations) -> list[Row]:
    rows: list[Row] = [
        {"member": each.member, "state": each.state, "code": each.code, "at": each.at}
        for each in found.members
    ]
    rows += [
        {"member": each.member, "state": each.state, "code": each.code, "at": each.at}
        for each in found.decisions
    ]
    return rows
