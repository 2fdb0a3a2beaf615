"""What does a bad network do between a node and its broker? A forwarder that a test steers.

It stands where clients are sent to: a broker with a `Forwarded` port tells whoever comes through it the
forwarder's address, so TLS is from end to end and nothing of it is made up. What a way does not let
through waits, as in a network that loses packets: TCP sends them again, and they arrive once it is mended.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from random import Random, choice
from typing import TYPE_CHECKING, Self

from almenara.bus.ports import CHOICE

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from types import TracebackType

HOST = "127.0.0.1"

CHUNK = 16 * 1024
"""Bytes at once; a throttled connection waits after each."""

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER without patience: closing a socket sends a reset, and what was in flight is lost."""


def free_port() -> int:
    """Return a port that nobody listens on now, and that no outgoing connection is given."""
    while True:
        port = choice(CHOICE)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port


class Proxy:
    """Forward connections from one port to another; enter it to listen, leave it to end them all.

    `to_broker` and `from_broker` tell whether bytes pass that way now. `delay_s` bounds how long each
    connection's bytes take, drawn for it once, so that connections overtake one another. `bytes_per_s`
    throttles each connection, 0 does not.
    """

    def __init__(self, port: int, target: int, *, seed: int = 1) -> None:
        self.port = port
        self.delay_s = (0.0, 0.0)
        self.bytes_per_s = 0.0
        self.to_broker = asyncio.Event()
        self.from_broker = asyncio.Event()
        self._target = target
        self._random = Random(seed)
        self._server: asyncio.Server | None = None
        self._open: set[StreamWriter] = set()
        self.mend()

    @property
    def bootstrap(self) -> str:
        """Return `host:port` for clients."""
        return f"{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return len(self._open) // 2

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()

    async def listen(self) -> None:
        """Let connections in again."""
        if self._server is None:
            self._server = await asyncio.start_server(self._forward, HOST, self.port)

    async def refuse(self) -> None:
        """Let nobody in, and reset who is in: the broker's port is closed."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.reset()
        while self._open:  # noqa: ASYNC110 - the ends of many connections, each a moment away
            await asyncio.sleep(0.01)

    def reset(self) -> None:
        """Reset every connection; new ones may be made."""
        for writer in self._open:
            abort(writer)

    def cut(self, *, to_broker: bool = True, from_broker: bool = True) -> None:
        """Let nothing through these ways: connections stay open, and who waits for an answer waits."""
        if to_broker:
            self.to_broker.clear()
        if from_broker:
            self.from_broker.clear()

    def mend(self) -> None:
        """Let everything through again, what has waited first, without delay."""
        self.delay_s, self.bytes_per_s = (0.0, 0.0), 0.0
        self.to_broker.set()
        self.from_broker.set()

    async def _forward(self, client: StreamReader, to_client: StreamWriter) -> None:
        self._open.add(to_client)
        to_broker: StreamWriter | None = None
        try:
            broker, to_broker = await asyncio.open_connection(HOST, self._target)
            self._open.add(to_broker)
            delay_s = self._random.uniform(*self.delay_s)
            async with asyncio.TaskGroup() as tasks:
                ways = [
                    tasks.create_task(self._pump(client, to_broker, self.to_broker, delay_s)),
                    tasks.create_task(self._pump(broker, to_client, self.from_broker, delay_s)),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:  # one that was reset while nothing passes would wait for ever
                    way.cancel()
        except OSError:
            abort(to_client)
        finally:
            for writer in (to_client, to_broker):
                if writer is not None:
                    self._open.discard(writer)
                    writer.close()

    async def _pump(
        self, source: StreamReader, sink: StreamWriter, way: asyncio.Event, delay_s: float
    ) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await asyncio.sleep(delay_s + (len(data) / self.bytes_per_s if self.bytes_per_s else 0.0))
                await way.wait()
                sink.write(data)
                await sink.drain()


def abort(writer: StreamWriter) -> None:
    """End a connection by a reset."""
    raw = writer.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    writer.transport.abort()
