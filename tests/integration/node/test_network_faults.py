"""A network that is slow, cut or cut one way costs time, and neither a message nor the node."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

import almenara
from alerts import new_alert
from almenara.node.answers import StreamState
from almenara.node.settings import load_settings
from buses import connected, ids_held, stream
from chaos.proxy import Proxy
from patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from uuid import UUID

    from almenara.client import Bus
    from node_site import NodeSite

pytestmark = pytest.mark.integration


@asynccontextmanager
async def through_a_proxy(site: NodeSite, member: str) -> AsyncIterator[tuple[Proxy, Bus]]:
    """Lend a bus of that member, whose node reaches the broker through a network that the test steers."""
    (way,) = site.forwarded
    async with Proxy(way.advertised, way.port) as proxy:
        settings = load_settings(site[member].file, environ={"ALMENARA_BOOTSTRAP": proxy.bootstrap})
        async with almenara.connect(settings) as bus:
            yield proxy, bus
            proxy.mend()


def cut(proxy: Proxy) -> None:
    proxy.cut()


def cut_off_from_answers(proxy: Proxy) -> None:
    proxy.cut(to_broker=False)


def cut_off_from_the_broker(proxy: Proxy) -> None:
    proxy.cut(from_broker=False)


CUTS = (cut, cut_off_from_answers, cut_off_from_the_broker)


async def test_a_node_that_is_cut_off_accepts_says_so_and_catches_up(site: NodeSite) -> None:
    """Both ways, then each alone; connections stay open, as when a firewall drops what it should pass."""
    mine: set[UUID] = set()
    theirs: set[UUID] = set()
    async with through_a_proxy(site, "UY") as (proxy, uy), connected(site, "BO") as (bo,):
        for make in CUTS:
            await flow(uy, bo, mine, theirs)
            make(proxy)
            alert, other = new_alert(), new_alert()
            await uy.publish(alert)
            await bo.publish(other)
            mine.add(alert.message_id)
            theirs.add(other.message_id)
            status = await uy.node.status()
            assert not status.broker_answers
            assert [each for each in status.problems if "does not answer" in each]
            proxy.mend()
            found = await ids_held(bo, sender="UY", until=mine)
            assert len(found) == len(set(found))
            await ids_held(uy, sender="BO", until=theirs)
        await stream(uy, "UY", StreamState.OK)
        async with asyncio.timeout(PATIENCE_S):
            while (await uy.node.status()).counts.unsent:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert not [each for each in await bo.node.evidence() if each.kind != "TRUNCATED"]


async def flow(one: Bus, other: Bus, mine: set[UUID], theirs: set[UUID]) -> None:
    """Let an alert pass either way."""
    alert, answer = new_alert(), new_alert()
    await one.publish(alert)
    await other.publish(answer)
    mine.add(alert.message_id)
    theirs.add(answer.message_id)
    await ids_held(other, sender="UY", until=mine)
    await ids_held(one, sender="BO", until=theirs)


def slow(proxy: Proxy) -> None:
    proxy.delay_s = (0.0, 0.1)
    proxy.bytes_per_s = 200_000
    proxy.reset()


def reset(proxy: Proxy) -> None:
    proxy.reset()


@pytest.mark.parametrize("spoil", [slow, reset], ids=["slow, and each connection differently", "reset"])
async def test_over_a_bad_line_everything_arrives_once(
    site: NodeSite, spoil: Callable[[Proxy], None]
) -> None:
    mine: set[UUID] = set()
    theirs: set[UUID] = set()
    async with through_a_proxy(site, "UY") as (proxy, uy), connected(site, "BO") as (bo,):
        for _ in range(2):
            spoil(proxy)
            await flow(uy, bo, mine, theirs)
        for sender, reader, sent in (("UY", bo, mine), ("BO", uy, theirs)):
            found = await ids_held(reader, sender=sender, until=sent)
            assert len(found) == len(set(found))
