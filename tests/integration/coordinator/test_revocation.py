"""A revoked certificate reads, writes and holds no connection within a minute, and it alone (THREATS 13).

Kafka ends no connection by itself: a client that goes on asking keeps it, whatever became of its rules.
So the broker is started anew, with other names for certificates (ADR 0011).
"""

from __future__ import annotations

import asyncio
import gc
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from almenara import clock
from almenara.bus.kafka import Reader, Sender, answers, require_answer
from almenara.bus.received import Access
from almenara.coordinator.membership import MemberChange
from almenara.errors import AlmenaraError, Code, Refused, Unavailable
from almenara.model.ids import MemberId
from integration.coordinator.test_daemon import running, until
from patience import PATIENCE_S

if TYPE_CHECKING:
    import ssl

    from federation_site import FederationSite

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]  # a broker starts twice

ENDED_S = 60.0
"""Within which an open connection must be gone (DESIGN 4, THREATS 13)."""

EC = MemberId("EC")
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""A request that every broker answers without asking for a right."""


async def asks_until_ended(bootstrap: str, context: ssl.SSLContext, answered: asyncio.Event) -> float:
    """Ask on one connection, again and again, and return when the broker has ended it."""
    host, port = bootstrap.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            writer.write(API_VERSIONS)
            size = int.from_bytes(await reader.readexactly(4), "big")
            await reader.readexactly(size)
            answered.set()
            await asyncio.sleep(0.1)
    writer.transport.abort()
    return time.monotonic()


async def sent_in_the_end(sender: Sender, topic: str, value: bytes) -> None:
    """Send once it is possible: after the restart, and the synchronization that gives the right."""
    async with asyncio.timeout(ENDED_S):
        while True:
            with suppress(AlmenaraError):
                await sender.send(topic, [value])
                return
            await asyncio.sleep(0.1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_revoked_certificate_is_cut_off_and_a_new_one_is_not(site: FederationSite) -> None:
    site.admit(site.enrol(EC))
    await site.sync()
    old, answered = site.context(EC), asyncio.Event()
    bootstrap = site.broker.bootstrap
    async with (
        running(site) as events,
        Reader(bootstrap, old) as reader,
        Sender(bootstrap, old) as sender,
        Sender(bootstrap, site.context("AR")) as other,
        asyncio.TaskGroup() as tasks,
    ):
        asking = tasks.create_task(asks_until_ended(bootstrap, old, answered))
        await answered.wait()
        await reader.assign({"ams.region.ar": await reader.end_offset("ams.region.ar")})
        await sender.send("ams.region.ec", [b"before"])

        revoked_at = time.monotonic()
        change = MemberChange.REVOKE_CERTIFICATE
        await asyncio.to_thread(site.federation.change_member, EC, change, now=clock.now())
        await until(lambda: any(event["event"] == "connections.turned_away" for event in events))
        # Its rights go with the next synchronization, which comes at once; its connection still stands.
        assert not asking.done()
        with pytest.raises(Refused):
            await sender.send("ams.region.ec", [b"after"])
        async with asyncio.timeout(PATIENCE_S):
            # A fetch that waits at the broker was allowed when it was asked.
            while reader.access != {"ams.region.ar": Access.REFUSED}:
                await reader.poll(0.2)
        await other.send("ams.region.ar", [b"not for that certificate"])
        for _ in range(3):
            assert not await reader.poll(0.2)
        assert not asking.done()

        # Whoever keeps the broker sees what is to be turned away; here only now, when all that was looked at.
        keeping = tasks.create_task(site.broker.keep())
        async with asyncio.timeout(ENDED_S):
            ended_at = await asking
        assert ended_at - revoked_at < ENDED_S
        await sent_in_the_end(other, "ams.region.ar", b"the others go on")
        assert not await answers(bootstrap, old)
        with pytest.raises(Unavailable):
            await reader.probe(["ams.region.ar"])
        with pytest.raises(Refused, match="turns this certificate away"):
            await require_answer(bootstrap, old)
        await require_answer(bootstrap, site.context("AR"))

        # What it asked by before gets none; the member goes on with the certificate that it asks for now.
        with pytest.raises(Refused) as refusal:
            await asyncio.to_thread(site.admit, site.members[EC])
        assert refusal.value.code is Code.CERTIFICATE_REVOKED
        await asyncio.to_thread(site.renew, EC)
        async with Sender(bootstrap, site.context(EC)) as renewed:
            await sent_in_the_end(renewed, "ams.region.ec", b"by the next certificate")
        async with Reader(bootstrap, site.context("AR")) as reads:
            values = [record.value for record in await reads.read_all("ams.region.ec")]
        assert values == [b"before", b"by the next certificate"]
        keeping.cancel()
    # kafka-python leaves the sockets of its failed attempts to the collector, which complains.
    gc.collect()
