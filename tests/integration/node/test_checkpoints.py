"""A node closes what it said with a checkpoint, and a reader's node shows up to where it is so signed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

import almenara
from alerts import new_alert
from almenara.model.ids import REGION

if TYPE_CHECKING:
    from almenara.client import Bus
    from node_site import NodeSite

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
SOON_S = 0.2


async def checkpoint(bus: Bus, publisher: str, after: tuple[int, int]) -> tuple[int, int]:
    """Return the place of the publisher's last checkpoint once it is above another place."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for view in await bus.node.streams():
                place = (view.checkpoint_epoch, view.checkpoint_seq)
                if (view.audience, view.publisher) == (REGION, publisher) and place > after:
                    return place
            await asyncio.sleep(0.05)


async def test_what_was_said_is_closed_by_a_checkpoint_that_readers_see(site: NodeSite) -> None:
    often = replace(site["EC"].publisher, checkpoint_interval_s=SOON_S)
    eager = replace(site["EC"], publisher=often)
    async with almenara.connect(eager) as author, almenara.connect(site["PY"]) as reader:
        await author.publish(new_alert())
        own = await checkpoint(author, "EC", (0, -1))
        assert await checkpoint(reader, "EC", (0, -1)) >= own
