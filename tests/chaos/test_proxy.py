"""The bad network of a storm does what it says, seen from both ends of a connection."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from chaos.echo import Echo
from chaos.proxy import HOST, Proxy, free_port

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator

PATIENCE_S = 30.0
A_MOMENT_S = 0.2


@asynccontextmanager
async def line() -> AsyncIterator[tuple[Proxy, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.answer, HOST, 0)
    async with server, Proxy(free_port(), server.sockets[0].getsockname()[1]) as proxy:
        async with asyncio.timeout(PATIENCE_S):
            yield proxy, echo


async def connect(proxy: Proxy) -> tuple[StreamReader, StreamWriter]:
    """Return a connection over which a word has gone there and back."""
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    return reader, writer


async def silent(reader: StreamReader) -> bool:
    try:
        async with asyncio.timeout(A_MOMENT_S):
            return not await reader.read(1)
    except TimeoutError:
        return True


async def test_what_is_cut_waits_and_arrives_whole_once_it_is_mended() -> None:
    async with line() as (proxy, echo):
        reader, writer = await connect(proxy)
        proxy.cut()
        writer.write(b"world")
        assert await silent(reader)
        assert echo.got == b"hello"
        proxy.mend()
        assert await reader.readexactly(5) == b"world"
        writer.close()


async def test_cut_one_way_the_broker_hears_and_is_not_heard() -> None:
    async with line() as (proxy, echo):
        reader, writer = await connect(proxy)
        proxy.cut(to_broker=False)
        writer.write(b"world")
        while echo.got != b"helloworld":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await silent(reader)
        proxy.mend()
        assert await reader.readexactly(5) == b"world"
        writer.close()


@pytest.mark.parametrize("cut", [False, True], ids=["while it passes", "while it is cut"])
async def test_a_reset_is_seen_at_once(cut: bool) -> None:  # noqa: FBT001
    async with line() as (proxy, _):
        reader, writer = await connect(proxy)
        if cut:
            proxy.cut()
            writer.write(b"lost")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
        proxy.mend()
        _, other = await connect(proxy)
        other.close()


async def test_who_is_refused_is_let_in_again_at_the_same_port() -> None:
    async with line() as (proxy, _):
        _, writer = await connect(proxy)
        await proxy.refuse()
        assert proxy.connections == 0
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, proxy.port)
        await proxy.listen()
        _, writer = await connect(proxy)
        writer.close()


async def test_connections_are_delayed_differently_and_overtake_one_another() -> None:
    async with line() as (proxy, _):
        proxy.delay_s = (0.0, 0.2)
        took = []
        for _ in range(6):
            began = time.monotonic()
            _, writer = await connect(proxy)
            took.append(time.monotonic() - began)
            writer.close()
        assert max(took) - min(took) > 0.05


async def test_a_throttled_connection_takes_its_time() -> None:
    async with line() as (proxy, _):
        reader, writer = await connect(proxy)
        proxy.bytes_per_s = 10_000
        began = time.monotonic()
        writer.write(bytes(2000))
        await reader.readexactly(2000)
        assert time.monotonic() - began >= 0.3
        writer.close()
