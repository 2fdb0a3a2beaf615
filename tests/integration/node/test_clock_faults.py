"""A clock that is wrong, or jumps while the node runs, forks nothing, loses nothing, and shows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from alerts import new_alert
from almenara import clock
from almenara.errors import Code, MessageRefused, Unavailable
from almenara.node.answers import StreamState
from almenara.store.wanted import InboxFilter
from almenara.trust.directory import Standing
from buses import connected, ids_held, stream
from faked_clock import FakedClock
from node_process import NodeProcess

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from almenara.client import Bus
    from node_site import NodeSite

pytestmark = [pytest.mark.integration, pytest.mark.faketime]

GOES_ON = (StreamState.OK, StreamState.UNCONFIRMED)
"""Of an own stream: members of other tests that have ended count as alive for a clock that has jumped."""

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


async def flags(bus: Bus, message_id: UUID) -> tuple[str, ...]:
    """Return the flags of a message that is held."""
    page = await bus.node.inbox(InboxFilter(), after=0, limit=1000)
    return next(item.flags for item in page.items if item.message.message_id == message_id)


async def test_a_clock_may_go_wrong_in_every_way_while_a_node_runs(site: NodeSite, tmp_path: Path) -> None:
    """Behind, ahead, tomorrow and next week, and right again; what was accepted is held once."""
    faked = FakedClock(tmp_path)
    said: list[UUID] = []
    theirs = [new_alert() for _ in range(4)]

    async def says(bus: Bus, reader: Bus) -> tuple[str, ...]:
        """Publish, and return how it is flagged where it arrived."""
        alert = new_alert()
        await bus.publish(alert)
        said.append(alert.message_id)
        await ids_held(reader, sender="EC", until={alert.message_id})
        return await flags(reader, alert.message_id)

    with NodeProcess(site["EC"], single=True, environment=faked.environment) as node:
        pid = node.ready().pid
        async with connected(site, "EC", "BO") as (ec, bo):
            await bo.publish(theirs[0])
            await ids_held(ec, sender="BO", until={theirs[0].message_id})
            assert await says(ec, bo) == ()
            epoch = (await stream(ec, "EC", *GOES_ON)).epoch

            # An hour behind: nothing is dated before what was said, and readers see its word overdue.
            faked.jump(-HOUR)
            with pytest.raises(MessageRefused) as ahead_of_it:
                await ec.publish(new_alert())
            assert [fault.code for fault in ahead_of_it.value.faults] == [Code.RANGE]
            dated = new_alert(issued_at=clock.now() - HOUR, expires_at=clock.now() + DAY)
            await ec.publish(dated)
            said.append(dated.message_id)
            await ids_held(bo, sender="EC", until={dated.message_id})
            assert await flags(bo, dated.message_id) == ()
            await stream(bo, "EC", StreamState.STALE)
            await bo.publish(theirs[1])

            # Ten minutes ahead: flagged, never refused; to it all others seem late.
            faked.jump(10 * MINUTE)
            assert await says(ec, bo) == ("CLOCK_AHEAD",)
            await stream(ec, "BO", StreamState.STALE)
            assert [each for each in (await ec.node.status()).problems if "STALE" in each]

            # Tomorrow its directory has expired, and serves for three days more.
            faked.jump(DAY + HOUR)
            assert (await ec.node.status()).directory_standing == Standing.GRACE
            assert await says(ec, bo) == ("CLOCK_AHEAD",)
            faked.jump(5 * DAY)
            with pytest.raises(Unavailable) as expired:
                await ec.publish(new_alert())
            assert expired.value.code is Code.DIRECTORY_EXPIRED
            status = await ec.node.status()
            assert status.directory_standing == Standing.EXPIRED
            assert [each for each in status.problems if "expired" in each]
            await bo.publish(theirs[2])

            # Right again: everything goes on by itself, in the same epoch.
            faked.set_right()
            assert await says(ec, bo) == ("CLOCK_AHEAD",), "until the world has caught up with what it said"
            await bo.publish(theirs[3])
            await ids_held(ec, sender="BO", until={alert.message_id for alert in theirs})
            await stream(ec, "BO", StreamState.OK)
            await stream(bo, "EC", StreamState.OK)
            assert (await stream(ec, "EC", *GOES_ON)).epoch == epoch
            assert not [each for each in (await ec.node.status()).problems if not each.startswith("stream ")]
            found = await ids_held(bo, sender="EC", until=set(said))
            assert len(found) == len(set(found))
            assert not [e for e in await bo.node.evidence() if (e.publisher, e.epoch) == ("EC", epoch)]
        assert node.ready().pid == pid
