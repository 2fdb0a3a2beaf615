"""`almenara quarantine`: what was refused, why, and what proves a wrong?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from almenara.cli.options import member_config, output_format

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.node.answers import EvidenceView, Quarantined


@click.group()
def quarantine() -> None:
    """See what was refused, and what proves that somebody did wrong.

    A refused record is kept with its code and is never delivered. PROVEN means that its author
    signed it; of others anybody who can write to the topic may be the author.
    """


@quarantine.command("list")
@click.option("--limit", default=100, type=click.IntRange(1, 1000), help="The newest so many.")
@member_config
@output_format
def list_(*, limit: int, config: Path, output: str) -> None:
    """List refused records and messages, the newest first.

    \b
    Example:
      almenara quarantine list -o json
    """
    from almenara.cli.output import write_rows
    from almenara.cli.reach import load, reading

    settings = load(config)

    async def refused() -> tuple[Quarantined, ...]:
        async with reading(settings) as node:
            return await node.quarantine(limit=limit)

    write_rows(
        [
            {
                "kept_at": row.kept_at,
                "audience": row.audience,
                "publisher": row.publisher,
                "offset": row.offset,
                "proven": row.proven,
                "code": row.code,
                "bytes": len(row.record),
                "detail": row.detail,
            }
            for row in asyncio.run(refused())
        ],
        output,
    )


@quarantine.command()
@member_config
@output_format
def evidence(config: Path, output: str) -> None:
    """List signed records that contradict what is held, the oldest first.

    \b
    Kinds:
      EQUIVOCATION  its author signed two statements for one place
      TRUNCATED     its author withdrew it by opening a new epoch below it
      FORKED_CLAIM  a reader was shown another statement at that place than this member

    \b
    Example:
      almenara quarantine evidence -o jsonl
    """
    from almenara.cli.output import write_rows
    from almenara.cli.reach import load, reading

    settings = load(config)

    async def kept() -> tuple[EvidenceView, ...]:
        async with reading(settings) as node:
            return await node.evidence()

    write_rows(
        [
            {
                "kept_at": row.kept_at,
                "kind": row.kind,
                "audience": row.audience,
                "publisher": row.publisher,
                "epoch": row.epoch,
                "seq": row.seq,
                "hash": row.hash,
                "known_hash": row.known_hash,
            }
            for row in asyncio.run(kept())
        ],
        output,
    )
