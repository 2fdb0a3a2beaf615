"""Which messages of the inbox are meant: by filter, by id or its beginning, by reference?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from almenara.errors import Code, Refused
from almenara.model.codes import Area, Kind, Level

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from almenara.node.answers import Item
    from almenara.node.service import Node
    from almenara.store.wanted import InboxFilter


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose messages, passed on as the arguments of `wanted`."""
    for option in reversed(
        (
            click.option(
                "--area",
                "areas",
                multiple=True,
                type=click.Choice([a.value for a in Area], False),
                help="Area of risk.",
            ),
            click.option(
                "--level",
                type=click.Choice([each.value for each in Level], False),
                help="That level or higher.",
            ),
            click.option("--hs", multiple=True, metavar="PREFIX", help="HS code, or how it begins."),
            click.option(
                "--origin", "origins", multiple=True, metavar="CC", help="Country of origin of the goods."
            ),
            click.option("--from", "senders", multiple=True, metavar="ID", help="The member that sent it."),
            click.option(
                "--kind",
                "kinds",
                multiple=True,
                type=click.Choice([k.value for k in Kind], False),
                help="Kind of message.",
            ),
            click.option(
                "--audience", "audiences", multiple=True, metavar="ID", help="The audience it was sent to."
            ),
        )
    ):
        command = option(command)
    return command


def wanted(
    *,
    areas: Sequence[str],
    level: str | None,
    hs: Sequence[str],
    origins: Sequence[str],
    senders: Sequence[str],
    kinds: Sequence[str],
    audiences: Sequence[str],
) -> InboxFilter:
    """Return the filter of the options of `filters`; raise MessageRefused for what nothing can match."""
    from almenara.client import inbox_filter

    return inbox_filter(
        area=tuple(areas),
        level=level or "",
        hs=tuple(hs),
        origin=tuple(origin.upper() for origin in origins),
        sender=tuple(sender.upper() for sender in senders),
        kind=tuple(kinds),
        audience=tuple(audience.lower() for audience in audiences),
    )


async def find(node: Node, name: str, *, sender: str = "") -> Item:
    """Return the one message that is meant by an id, the beginning of one, or a reference.

    A reference is kept over the versions of an alert: the one that came last is meant. Raises Refused
    UNKNOWN_MESSAGE, or CONFLICT if several are meant; `sender` tells those of two members apart.
    """
    items = [item for each in await node.find(name) for item in await node.show(each)]
    items = [item for item in items if not sender or item.publisher == sender.upper()]
    if not items:
        raise Refused(
            Code.UNKNOWN_MESSAGE,
            f"message {name!r}: no id begins so and no reference is so; see: almenara inbox list",
        )
    if len(items) > 1:
        several = ", ".join(f"{item.message.message_id} from {item.publisher}" for item in items[:5])
        raise Refused(
            Code.CONFLICT,
            f"message {name!r}: {len(items)} are meant ({several}); write more of it, or --from",
        )
    return items[0]
