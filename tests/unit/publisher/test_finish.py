"""A publisher that stops waits for what the broker should get, and for nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from almenara.model.ids import REGION, MemberId
from almenara.publisher.sending import Sending
from almenara.store.database import Store

if TYPE_CHECKING:
    from pathlib import Path

PATIENT_S = 30.0
SHORT_S = 0.05


def sending(folder: Path) -> Sending:
    """Return the sending of a member that has published on the region before."""
    found = Sending(federation="ams", member=MemberId("PE"), store=Store.create(folder / "s.db"), retry_s=0.1)
    found.hold(REGION, backlog=True)
    return found


async def waits(found: Sending) -> bool:
    """Tell whether `finish` is still waiting after a moment."""
    async with asyncio.TaskGroup() as tasks:
        finishing = tasks.create_task(found.finish(PATIENT_S))
        await asyncio.wait([finishing], timeout=SHORT_S)
        waited = not finishing.done()
        finishing.cancel()
    return waited


async def test_a_stream_that_the_broker_was_not_yet_asked_about_is_waited_for(tmp_path: Path) -> None:
    # What was published just before the stop would else stay here, however well the broker is.
    assert await waits(sending(tmp_path))


async def test_a_stopped_stream_is_not_waited_for(tmp_path: Path) -> None:
    found = sending(tmp_path)
    found.stop(REGION)
    assert not await waits(found)


async def test_a_broker_that_is_away_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENT_S):
        await sending(tmp_path).finish(SHORT_S)
