"""A member that has lost its folder reads what is retained and publishes again, from a backup of its keys."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

import almenara
from alerts import new_alert
from almenara import clock
from almenara.node.backup import back_up, restore
from almenara.node.node import open_epochs
from almenara.node.settings import load_settings
from almenara.store.views import InboxFilter
from node_site import INTERVALS

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from almenara.client import Bus
    from node_site import NodeSite

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
UNDER = b"a long sentence in a safe"


async def reads(bus: Bus, *, sender: str, expected: set[UUID]) -> None:
    """Return once the sender's messages are these, each held once."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            page = await bus.node.inbox(InboxFilter(senders=(sender,)), after=0, limit=1000)
            found = [item.message.message_id for item in page.items]
            if expected <= set(found):
                assert len(found) == len(set(found))
                return
            await asyncio.sleep(0.05)


async def test_a_lost_folder_comes_back_from_its_backup(site: NodeSite, tmp_path: Path) -> None:
    site.join("CO")
    await site.synced()
    theirs, before, after = new_alert(), new_alert(), new_alert()
    async with almenara.connect(site["BO"]) as bo:
        async with almenara.connect(site["CO"]) as co, asyncio.timeout(PATIENCE_S):
            # BO takes the newcomer in once the delay for members it never saw is over.
            while "CO" not in (await bo.check(theirs)).expected:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await bo.publish(theirs)
            await reads(co, sender="BO", expected={theirs.message_id})
            await co.publish(before)
            await reads(bo, sender="CO", expected={before.message_id})

        lost = site["CO"]
        back_up(lost, tmp_path / "backup", passphrase=None, under=UNDER, now=clock.now())
        shutil.rmtree(lost.folder)
        restore(tmp_path / "backup", lost.folder, under=UNDER, new=None, passphrase_file=None)
        restored = load_settings(lost.folder, environ={})
        assert INTERVALS in restored.file.read_text(), "settings come back as people wrote them"
        assert not restored.store_path.exists()

        async with almenara.connect(restored) as co:
            await reads(co, sender="BO", expected={theirs.message_id})
        # As key restore says: only a new epoch may go on from what a lost store had said.
        open_epochs(restored)
        async with almenara.connect(restored) as co:
            await co.publish(after)
            await reads(bo, sender="CO", expected={before.message_id, after.message_id})
