"""`almenara publish`: hand messages to the node, which signs, seals and sends them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import click

from almenara.cli.options import member_config, members, output_format, seconds
from almenara.errors import Code, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from almenara.cli.output import Row
    from almenara.client import Bus, Handle
    from almenara.model.ids import MemberId
    from almenara.model.messages import Message
    from almenara.node.settings import MemberSettings

FULL_PATIENCE_S = 20.0
"""How long a message is offered while the node's queue is full, which empties within seconds. Where it would
be for longer, the broker being away, whoever publishes must know."""


class _Order(NamedTuple):
    """What the command line asks."""

    file: str
    audience: str
    to: Sequence[MemberId] | None
    wait_s: float | None
    output: str


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--audience", default="region", help="Who shares it.")
@click.option("--to", metavar="AR,CL", help="Seal it to these members of the audience alone. [default: all]")
@click.option("--dry-run", is_flag=True, help="Only check: say to whom it would be sealed, and how large.")
@click.option(
    "--wait",
    "wait_s",
    metavar="10s",
    callback=seconds,
    help="Wait so long for the members' receipts, and say who has confirmed and who has not.",
)
@member_config
@output_format
def publish(
    *,
    file: str,
    audience: str,
    to: str | None,
    dry_run: bool,
    wait_s: float | None,
    config: Path,
    output: str,
) -> int:
    """Publish one message, or many.

    FILE holds one JSON message, a JSON array of them, or one on each line; - is standard input. What is
    accepted is on disk, signed, when this returns, and reaches the broker whatever crashes. Of
    several messages each is answered: refused ones are named with their line, the rest goes through,
    and the exit status is 1. With --wait it is 3 if not all have confirmed within the time. It is 3 too
    while so much waits for the broker that the node accepts nothing more (OUTBOX_FULL): what was accepted
    is safe, the rest is to be published again later.

    \b
    Examples:
      almenara publish alert.json --to AR,CL --wait 10s
      almenara publish alert.json --dry-run
      tail -f alerts.jsonl | almenara publish - -o jsonl
    """
    from almenara.cli.reach import load

    order = _Order(file, audience, members(to), wait_s, output)
    settings = load(config)
    return asyncio.run(_dry_run(settings, order) if dry_run else _publish(settings, order))


async def _dry_run(settings: MemberSettings, order: _Order) -> int:
    from almenara.cli.output import write_rows
    from almenara.cli.reach import reading
    from almenara.model.ids import audience_id

    rows: list[Row] = []
    tally = _Tally()
    async with reading(settings) as node:
        async for place, message in _messages(order.file, tally):
            try:
                preview = await node.check(message, audience=audience_id(order.audience), to=order.to)
            except Refused as refusal:
                tally.refuse(place, refusal)
                continue
            rows.append(
                {
                    **({"place": place} if place else {}),
                    "message_id": str(preview.message_id),
                    "kind": preview.kind,
                    "audience": preview.audience,
                    "scope": "LIST" if preview.recipients else "AUDIENCE",
                    "sealed_to": list(preview.expected),
                    "bytes": preview.bytes,
                    "bucket": preview.bucket,
                }
            )
    write_rows(rows, order.output)
    return tally.status


async def _publish(settings: MemberSettings, order: _Order) -> int:
    from almenara.client import connect
    from almenara.node.remote import RemoteNode

    tally = _Tally()
    handles: list[tuple[str, Message, Handle]] = []
    at_once = order.wait_s is None and order.output in {"table", "jsonl"}
    async with connect(settings) as bus:
        async for place, message in _messages(order.file, tally):
            try:
                handle = await _offer(bus, message, order)
            except Refused as refusal:
                tally.refuse(place, refusal)
                continue
            except Unavailable as away:
                raise _stopped(place, away, accepted=tally.accepted) from away
            tally.accepted += 1
            if at_once:
                _say(place, message, handle, order.output)
            else:
                handles.append((place, message, handle))
        if not isinstance(bus.node, RemoteNode):
            click.echo("no node runs: what has not left yet goes when one does (almenara node run)", err=True)
        if not at_once:
            tally.unconfirmed = await _report(bus, handles, order)
    return tally.status


class _Tally:
    """Count what was answered; the first message that stands alone raises its refusal instead."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused = 0
        self.unconfirmed = False

    def refuse(self, place: str, refusal: Refused) -> None:
        """Name a refused message and go on; raise it if there is only this one."""
        from almenara.cli.app import complain

        if not place:
            raise refusal
        self.refused += 1
        complain(f"{place}: {refusal}")

    @property
    def status(self) -> int:
        """Return the exit status."""
        if self.refused:
            return Refused.exit_status
        return Unavailable.exit_status if self.unconfirmed else 0


async def _messages(file: str, tally: _Tally) -> AsyncIterator[tuple[str, Message]]:
    """Yield the messages of the input with their places; those that are none are refused here."""
    from almenara import clock
    from almenara.cli.documents import arriving, opened
    from almenara.errors import MessageRefused
    from almenara.model.json import parse_message

    with opened(file) as stream:
        async for place, text in arriving(stream):
            try:
                message = parse_message(text, now=clock.now())
            except MessageRefused as refusal:
                tally.refuse(place, refusal)
                continue
            yield place, message


async def _offer(bus: Bus, message: Message, order: _Order) -> Handle:
    """Publish one message, waiting while the node's queue is full."""
    loop = asyncio.get_running_loop()
    until = loop.time() + FULL_PATIENCE_S
    while True:
        try:
            return await bus.publish(message, audience=order.audience, to=order.to)
        except Unavailable as full:
            if full.code is not Code.OUTBOX_FULL or loop.time() + full.retry_after_s > until:
                raise
            await asyncio.sleep(full.retry_after_s)


def _stopped(place: str, away: Unavailable, *, accepted: int) -> Unavailable:
    if not place:
        return away
    return Unavailable(
        away.code,
        f"{place}: {away.text}; the {accepted} accepted before it are safe, go on from there",
        retry_after_s=away.retry_after_s,
    )


def _say(place: str, message: Message, handle: Handle, output: str) -> None:
    from almenara.cli.output import json_line

    accepted = handle.accepted
    if output == "jsonl":
        click.echo(json_line(_row(place, message, handle)))
        return
    to = ", ".join(message.recipients or accepted.expected)
    where = f"{place}: " if place else ""
    name = f" {message.reference}" if message.reference else ""
    click.echo(f"{where}accepted {accepted.message_id}{name}, {accepted.audience} {accepted.seq}, for {to}")


async def _report(bus: Bus, handles: Sequence[tuple[str, Message, Handle]], order: _Order) -> bool:
    """Write all rows, with confirmations if they were asked for; return whether some are missing."""
    from almenara.cli.confirming import confirmations_row, confirmed_by
    from almenara.cli.output import write_rows

    until = asyncio.get_running_loop().time() + (order.wait_s or 0.0)
    rows: list[Row] = []
    unconfirmed = False
    for place, message, handle in handles:
        if order.wait_s is None:
            rows.append(_row(place, message, handle))
            continue
        # One receipt confirms a stream up to a place: after the first, the others need hardly wait.
        found = await confirmed_by(bus.node, handle.message_id, until=until)
        unconfirmed = unconfirmed or not found.complete
        rows.append({**_row(place, message, handle), **confirmations_row(found)})
    write_rows(rows, order.output)
    return unconfirmed


def _row(place: str, message: Message, handle: Handle) -> Row:
    accepted = handle.accepted
    return {
        **({"place": place} if place else {}),
        "message_id": str(accepted.message_id),
        "reference": message.reference,
        "kind": message.kind,
        "audience": accepted.audience,
        "epoch": accepted.epoch,
        "seq": accepted.seq,
        "expected": list(accepted.expected),
    }
