"""A member that has lost its folder reads what is retained and publishes again, from a backup of its keys."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

import almenara
from alerts import new_alert
from almenara import clock
from almenara.node.backup import back_up, restore
from almenara.node.node import open_epochs
from almenara.node.settings import load_settings
from buses import ids_held
from node_site import INTERVALS
from patience import until

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from almenara.client import Bus
    from node_site import NodeSite

pytestmark = pytest.mark.integration

UNDER = b"a long sentence in a safe"


async def reads(bus: Bus, *, sender: str, expected: set[UUID]) -> None:
    """Return once the bus holds these messages of the sender; nothing is held twice."""
    found = await ids_held(bus, sender=sender, until=expected)
    assert len(found) == len(set(found))


async def test_a_lost_folder_comes_back_from_its_backup(site: NodeSite, tmp_path: Path) -> None:
    site.join("CO")
    await site.synced()
    theirs, before, after = new_alert(), new_alert(), new_alert()
    async with almenara.connect(site["BO"]) as bo:
        async with almenara.connect(site["CO"]) as co:
            # BO takes the newcomer in once the delay for members it never saw is over.
            await until(lambda: bo.check(theirs), lambda preview: "CO" in preview.expected)
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
