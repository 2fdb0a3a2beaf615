"""The coordinator keeps the federation going while the broker comes and goes."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from almenara import clock, logs
from almenara.bus.topics import AclRule, Operation
from almenara.coordinator import coordinator
from almenara.coordinator.sync import Cluster
from patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from federation_site import FederationSite

pytestmark = pytest.mark.integration

EXTRA = AclRule(principal="User:AR.1", operation=Operation.WRITE, name="ams.region.pe")


@asynccontextmanager
async def running(site: FederationSite) -> AsyncIterator[list[Any]]:
    """Run the coordinator's daemon and lend the events that it logs."""
    settings = site.federation.folder / "federation.toml"
    settings.write_text(settings.read_text().replace("sync_interval_s = 5.0", "sync_interval_s = 0.2"))
    logs.configure()
    stopping = asyncio.Event()
    with structlog.testing.capture_logs() as events:
        async with asyncio.timeout(4 * PATIENCE_S), asyncio.TaskGroup() as tasks:
            daemon = tasks.create_task(coordinator.run(site.federation.folder, stopping=stopping))
            yield events
            stopping.set()
            await daemon


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - captured logs tell nobody that they grew
            await asyncio.sleep(0.05)


async def test_drift_is_reverted_and_alarmed_by_the_running_daemon(site: FederationSite) -> None:
    await site.sync()
    async with running(site) as events, Cluster.connect(site.federation) as cluster:
        await cluster.admin.create_acls([EXTRA])
        await until(lambda: any(event["event"] == "acl.reverted" for event in events))
        assert EXTRA not in await cluster.admin.acls()
    (alarm,) = [event for event in events if event["event"] == "acl.reverted"]
    assert (alarm["log_level"], alarm["rule"], alarm["found"]) == ("error", str(EXTRA), "added")
    assert events[-1]["event"] == "coordinator.stopped"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_the_daemon_survives_its_broker_and_goes_on_where_it_was(site: FederationSite) -> None:
    async with running(site) as events:
        await until(lambda: any(event["event"] == "coordinator.connected" for event in events))
        await site.broker.kill()
        await until(lambda: any(event["event"] == "coordinator.waiting" for event in events))
        site.admit(site.enrol("CL"))
        await site.broker.start()
        await until(lambda: [event["event"] for event in events].count("coordinator.connected") >= 2)
        async with Cluster.connect(site.federation) as cluster:
            assert "ams.region.cl" in await cluster.admin.list_topics()
            assert not await cluster.sync(site.federation, now=clock.now())
    # kafka-python leaves the sockets of its failed attempts to the collector, which complains.
    gc.collect()
    # Told once, however often it was tried.
    assert len([event for event in events if event["event"] == "coordinator.waiting"]) <= 2
