"""A node closes what it said with a checkpoint, and a reader's node shows up to where it is so signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

import almenara
from alerts import new_alert
from buses import view

if TYPE_CHECKING:
    from almenara.node.answers import StreamView
    from node_site import NodeSite

pytestmark = pytest.mark.integration

SOON_S = 0.2


def _place(found: StreamView) -> tuple[int, int]:
    return found.checkpoint_epoch, found.checkpoint_seq


async def test_what_was_said_is_closed_by_a_checkpoint_that_readers_see(site: NodeSite) -> None:
    often = replace(site["EC"].publisher, checkpoint_interval_s=SOON_S)
    eager = replace(site["EC"], publisher=often)
    async with almenara.connect(eager) as author, almenara.connect(site["PY"]) as reader:
        await author.publish(new_alert())
        own = _place(await view(author, "EC", lambda found: found.checkpoint_seq >= 0))
        await view(reader, "EC", lambda found: _place(found) >= own)
