"""Who has confirmed a message, and how long is a command to wait for those who have not?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from almenara.cli.output import Row
    from almenara.node.answers import Confirmations
    from almenara.node.service import Node

ASK_S = 20.0
"""How long the node is asked to wait at once; it answers earlier when nobody is waited for."""


async def confirmed_by(node: Node, message_id: UUID, *, until: float) -> Confirmations:
    """Return who has confirmed by then, in the loop's time; earlier once nobody is waited for."""
    loop = asyncio.get_running_loop()
    while True:
        left = max(0.0, until - loop.time())
        found = await node.confirmations(message_id, wait_s=min(left, ASK_S))
        if not found.waiting or loop.time() >= until:
            return found


def confirmations_row(found: Confirmations) -> Row:
    """Return who has confirmed and who has not, as the fields of a row."""
    return {
        "confirmed": list(found.received),
        "waiting": list(found.waiting),
        "not_opened": [f"{each.member} {each.code}" for each in found.members if each.state == "EXCEPTED"],
        "keyless": [each.member for each in found.members if each.state == "KEYLESS"],
    }
