"""`almenara inbox`: read what other administrations have sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from almenara.cli.choosing import filters
from almenara.cli.options import member_config, output_format
from almenara.model.codes import Language

if TYPE_CHECKING:
    from almenara.cli.output import Row
    from almenara.node.answers import Item, Page
    from almenara.node.service import Node
    from almenara.node.settings import MemberSettings
    from almenara.store.wanted import InboxFilter
    from almenara.trust.exportfile import ExportedRecord

LOOK_S = 10.0
"""How long the node is asked to wait for the next message before it is asked again."""

RETRY_S = 1.0
"""How soon a follower looks for a node that has gone: it is restarted within seconds."""

FOLLOW_PAGE = 200

BACKLOG_LOOK_S = 5.0
"""How often a follower looks how far the node has come."""

language = click.option(
    "--lang", type=click.Choice([each.value for each in Language]), help="Show texts in this language."
)


@click.group()
def inbox() -> None:
    """Read what other administrations have sent to this one.

    Every message was verified before it came here: its sender's signature, its place in the sender's
    chain, and that it was sealed to this member.
    """


@inbox.command("list")
@filters
@click.option("--limit", default=50, type=click.IntRange(1, 1000), help="The newest so many.")
@language
@member_config
@output_format
def list_(*, limit: int, lang: str | None, config: Path, output: str, **chosen: Any) -> None:  # noqa: ANN401 - as `filters` names them
    """List messages, the newest first.

    Filters of different kinds must all hold; of the same kind, given several times, any. json and
    jsonl give whole messages, csv their main fields, a table what fits a terminal.

    \b
    Example:
      almenara inbox list --area DRUGS --area TOBACCO --level HIGH --hs 0803 -o json
    """
    from almenara.cli.choosing import wanted
    from almenara.cli.output import write_rows
    from almenara.cli.reach import load, reading
    from almenara.node.answers import item_json
    from almenara.node.backlog import summary

    settings, want = load(config), wanted(**chosen)

    async def newest() -> tuple[Page, str]:
        async with reading(settings) as node:
            return await node.inbox(want, limit=limit), summary(await node.streams())

    page, left = asyncio.run(newest())
    items = page.items
    rows: list[Row]
    match output:
        case "json" | "jsonl":
            rows = [item_json(item) for item in items]
        case "csv":
            rows = [_summary(item, lang or "") for item in items]
        case _:
            rows = [_glance(item, lang or "") for item in items]
    write_rows(rows, output)
    if left:
        click.echo(f"the node is catching up: {left}", err=True)


@inbox.command()
@click.argument("name", metavar="ID")
@click.option("--from", "sender", default="", metavar="MEMBER", help="Whose, if several used the id.")
@language
@member_config
@output_format
def show(*, name: str, sender: str, lang: str | None, config: Path, output: str) -> None:
    """Show one message as a page, or as a program wants it.

    ID is a message id, the beginning of one that no other shares, or a reference: of its versions
    the one that came last. Own messages are found by their id.

    \b
    Example:
      almenara inbox show PE-2026-000123 --lang pt
    """
    from almenara.cli.choosing import find
    from almenara.cli.output import json_document, json_line, write_rows
    from almenara.cli.pages import message_page
    from almenara.cli.reach import load, reading
    from almenara.node.answers import item_json

    settings = load(config)

    async def one() -> Item:
        async with reading(settings) as node:
            return await find(node, name, sender=sender)

    item = asyncio.run(one())
    match output:
        case "table":
            click.echo("\n".join(message_page(item.message, _context(item), lang=lang or "")))
        case "csv":
            write_rows([_summary(item, lang or "")], output)
        case _:
            click.echo((json_document if output == "json" else json_line)(item_json(item)))


@inbox.command()
@filters
@click.option(
    "--after",
    type=click.IntRange(0),
    metavar="POSITION",
    help="Begin after this position; 0 is the oldest message. [default: with the next to come]",
)
@language
@member_config
@output_format
def follow(*, after: int | None, lang: str | None, config: Path, output: str, **chosen: Any) -> None:  # noqa: ANN401 - as `filters` names them
    """Write each message as it comes, one on a line, until Ctrl-C.

    Takes the filters of `inbox list`. A line of jsonl has the message's position: begin again after
    the last one that was dealt with, and none is missed or comes twice. The node may stop and come
    back meanwhile.

    \b
    Example:
      almenara inbox follow --from AR --level HIGH -o jsonl --after 0
    """
    from almenara.cli.choosing import wanted
    from almenara.cli.reach import load

    if output in {"json", "csv"}:
        raise click.UsageError(f"-o {output} has an end, and a follower has none: want table or jsonl")
    settings = load(config)
    asyncio.run(_follow(settings, wanted(**chosen), after=after, lang=lang or "", output=output))


async def _follow(
    settings: MemberSettings, want: InboxFilter, *, after: int | None, lang: str, output: str
) -> None:
    from almenara.cli.app import complain
    from almenara.cli.output import json_line
    from almenara.cli.reach import reading
    from almenara.errors import Unavailable
    from almenara.node.answers import item_json

    position, told, backlog = after, "", _Backlog()
    while True:
        try:
            async with reading(settings) as node:
                while True:
                    if position is None:
                        position = (await node.inbox(want, limit=1)).position
                    await backlog.tell(node)
                    page = await node.inbox(want, after=position, limit=FOLLOW_PAGE, wait_s=LOOK_S)
                    position, told = page.position, ""
                    for item in page.items:
                        click.echo(_line(item, lang) if output == "table" else json_line(item_json(item)))
                    if not settings.socket_path.exists():
                        break  # the node has gone, or is back: look again which it is
        except Unavailable as away:
            if away.text != told:
                complain(f"{away}; waiting for it")
            told = away.text
        await asyncio.sleep(RETRY_S)


class _Backlog:
    """Say now and then on standard error how much the node has still to read, and when it has."""

    def __init__(self) -> None:
        self._next_look = 0.0
        self._told = False

    async def tell(self, node: Node) -> None:
        from almenara.node.backlog import summary

        time = asyncio.get_running_loop().time()
        if time < self._next_look:
            return
        self._next_look = time + BACKLOG_LOOK_S
        left = summary(await node.streams())
        if left or self._told:
            click.echo(f"the node is catching up: {left}" if left else "the node has caught up", err=True)
        self._told = bool(left)


@inbox.command()
@click.argument("name", metavar="ID")
@click.option("--output", "target", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--from", "sender", default="", metavar="MEMBER", help="Whose, if several used the id.")
@click.option("--disclose", is_flag=True, help="Put the key in that opens this one statement.")
@member_config
def export(*, name: str, target: Path, sender: str, disclose: bool, config: Path) -> None:
    """Write the record that carried a message, with all that proves its author.

    Anybody can verify the file later with `almenara verify`, without a node or a network, by the
    fingerprint of the federation's root. The content stays sealed unless --disclose is given: then
    whoever has the file reads every message of that statement, and no other.

    \b
    Example:
      almenara inbox export PE-2026-000123 --output r.bin --disclose
    """
    from almenara.cli.choosing import find
    from almenara.cli.exporting import write_export
    from almenara.cli.output import count
    from almenara.cli.reach import load, reading

    settings = load(config)

    async def exported() -> ExportedRecord:
        async with reading(settings) as node:
            item = await find(node, name, sender=sender)
            return await node.export(item.message.message_id, publisher=item.publisher, disclose=disclose)

    verified = write_export(asyncio.run(exported()), target)
    if verified.messages is None:
        click.echo("its content stays sealed; --disclose would put in the key that opens it")
    else:
        messages = count(len(verified.messages), "message")
        click.echo(f"whoever has it reads this statement: {messages}")
    click.echo("")
    click.echo("next, anybody, anywhere:")
    click.echo(f"  almenara verify {target} --root-fingerprint {verified.root_fingerprint}")


def _summary(item: Item, lang: str) -> Row:
    from almenara.cli.pages import alert_of, title

    message = item.message
    alert = alert_of(message)
    return {
        "received_at": item.received_at,
        "from": item.publisher,
        "kind": message.kind,
        "area": "" if alert is None else alert.area,
        "level": "" if alert is None else alert.level,
        "tlp": message.handling.tlp,
        "audience": item.audience,
        "to": list(item.recipients) or ["all"],
        "reference": message.reference,
        "title": title(message, lang),
        "flags": list(item.flags),
        "message_id": str(message.message_id),
    }


def _glance(item: Item, lang: str) -> Row:
    """Return what fits a terminal: enough to choose by, and the ID that `inbox show` takes."""
    row = _summary(item, lang)
    return {
        "received": f"{item.received_at:%m-%d %H:%MZ}",
        "from": item.publisher,
        "level": row["level"],
        "tlp": row["tlp"],
        "id": item.message.reference or str(item.message.message_id)[:18],
        "title": row["title"],
        "area": row["area"] or row["kind"],
        "to": item.audience if not item.recipients else row["to"],
        "flags": row["flags"],
    }


def _line(item: Item, lang: str) -> str:
    """Return an item as one line of text."""
    from almenara.logs import printable

    row = _summary(item, lang)
    words = (
        f"{item.received_at:%Y-%m-%d %H:%M:%SZ}",
        *(str(row[name]) for name in ("from", "kind", "area", "level", "reference", "title")),
        *item.flags,
        str(item.message.message_id),
    )
    return printable("  ".join(word for word in words if word))


def _context(item: Item) -> list[tuple[str, str]]:
    return [
        ("from", item.publisher),
        ("to", ", ".join(item.recipients) or f"all of {item.audience}"),
        ("received", f"{item.received_at:%Y-%m-%d %H:%M:%SZ}" if item.position else "sent by this member"),
        ("statement", f"{item.audience} {item.epoch}/{item.seq}"),
        ("flags", ", ".join(item.flags)),
    ]
