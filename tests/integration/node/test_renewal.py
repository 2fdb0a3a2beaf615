"""A node takes up a renewed certificate and moved brokers while it works, and loses nothing."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import psutil
import pytest
from msgspec.structs import replace

import almenara
from alerts import new_alert
from almenara import clock
from almenara.coordinator.federation import Federation
from almenara.coordinator.upkeep import keep_signed
from almenara.node.member_folder import write_renewal
from almenara.trust.certificates import client_context, load_certificate
from almenara.trust.secretfile import replace_file
from buses import ids_held
from patience import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from almenara.client import Bus
    from node_site import NodeSite

pytestmark = pytest.mark.integration


class Doorman:
    """What a member finds at its bootstrap address: it notes each certificate shown, and leads on.

    Certificates are not to be seen in what Kafka logs, so TLS ends here, as the broker, and goes on
    to the real one as the operator.
    """

    def __init__(self, site: NodeSite) -> None:
        self._site = site
        self.shown: list[int] = []
        self.port = 0

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[Doorman]:
        broker = self._site.folder / "D" / "broker"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(broker / "broker.pem")
        context.load_verify_locations(broker / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        server = await asyncio.start_server(self._lead, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _lead(self, guest: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        self.shown.append(int(answer.get_extra_info("peercert")["serialNumber"], 16))
        federation = self._site.federation
        operator = client_context(
            certificate=federation.operator_path, key=federation.operator_path, ca=federation.ca_path
        )
        host, port = self._site.broker.bootstrap.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port), ssl=operator)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pipe(guest, writer))
            tasks.create_task(_pipe(reader, answer))


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError, ssl.SSLError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
    with suppress(OSError, ssl.SSLError):
        await target.wait_closed()


def connections(site: NodeSite) -> set[int]:
    """Return the local ports of this process's connections to the broker."""
    port = int(site.broker.bootstrap.rpartition(":")[2])
    found = psutil.Process().net_connections(kind="tcp")
    return {each.laddr.port for each in found if getattr(each.raddr, "port", 0) == port}


async def _moved_back(site: NodeSite) -> None:
    """Sign again what the federation says of its brokers: other tests use it after this one."""
    keep_signed(site.federation, clock.now())
    await site.synced()


async def test_certificate_and_brokers_change_under_a_working_node(site: NodeSite) -> None:
    sent: list[UUID] = []
    stop = asyncio.Event()

    async def publishes(author: Bus) -> None:
        while not stop.is_set():
            alert = new_alert()
            await author.publish(alert)
            sent.append(alert.message_id)
            await asyncio.sleep(0.02)

    async def connections_now() -> set[int]:
        return connections(site)

    async with AsyncExitStack() as stack:
        stack.push_async_callback(_moved_back, site)
        doorman = await stack.enter_async_context(Doorman(site).standing())
        bo = replace(site["BO"], bootstrap=f"localhost:{doorman.port}", renewal_poll_s=0.1)
        uy = replace(site["UY"], renewal_poll_s=0.1)
        author = await stack.enter_async_context(almenara.connect(bo))
        reader = await stack.enter_async_context(almenara.connect(uy))
        old = load_certificate(bo.certificate_path.read_bytes())
        assert set(doorman.shown) == {old.serial_number}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(publishes(author))
            while not sent:  # noqa: ASYNC110 - it works before anything changes
                await asyncio.sleep(0.02)
            before = connections(site)

            request = write_renewal(bo, new_key=True, now=clock.now()).read_bytes()
            admission = site.federation.renew_member(request, now=clock.now())
            new = load_certificate(admission.certificate.encode())
            replace_file(bo.admission_path, admission.to_bytes())
            expires = new.not_valid_after_utc
            await until(author.node.status, lambda status: status.certificate_expires_at == expires)

            port = site.broker.bootstrap.rpartition(":")[2]
            moved = Federation(
                site.federation.folder, replace(site.federation.settings, bootstrap=f"localhost:{port}")
            )
            keep_signed(moved, clock.now())
            await site.synced()
            await until(reader.node.status, lambda status: status.bootstrap == f"localhost:{port}")

            count = len(sent)
            while len(sent) < count + 10:  # noqa: ASYNC110 - and after
                await asyncio.sleep(0.02)
            stop.set()
        found = await ids_held(reader, sender="BO", until=set(sent))
        evidence = await reader.node.evidence()
        assert len(found) == len(set(found))
        assert not [each for each in evidence if each.publisher == "BO"]
        assert old.serial_number != new.serial_number
        assert before
        # No connection outlives its certificate or address; one that has just ended may still be shown.
        await until(connections_now, lambda found: not before & found)
        assert doorman.shown[-1] == new.serial_number
