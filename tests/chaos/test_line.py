"""A line of a storm fails and is mended as a whole, before each node of the broker."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from almenara.model.ids import MemberId
from chaos.echo import Echo
from chaos.line import lines
from chaos.proxy import HOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chaos.line import Line

PE, AR = MemberId("PE"), MemberId("AR")
NODES = 3


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    """Lend a line before nodes that say again what they hear."""
    made = lines([PE, AR], nodes=NODES)[PE]
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        for number in range(1, NODES + 1):
            port = made.forwarded.of(number).port
            await stack.enter_async_context(await asyncio.start_server(Echo().answer, HOST, port))
        yield await stack.enter_async_context(made)


async def answers(made: Line, *, within_s: float) -> list[bool]:
    """Tell of each node whether it answers a new connection."""
    return [await answer(address, within_s) for address in made.bootstrap.split(",")]


async def answer(address: str, within_s: float) -> bool:
    try:
        reader, writer = await asyncio.open_connection(*address.split(":"))
    except OSError:
        return False
    try:
        async with asyncio.timeout(within_s):
            writer.write(b"hello")
            return await reader.read(5) == b"hello"
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()


def test_members_have_lines_of_their_own() -> None:
    found = lines([PE, AR], nodes=NODES)
    ports = [port for each in found.values() for n in range(1, NODES + 1) for port in each.forwarded.of(n)]
    assert len(set(ports)) == 2 * 2 * NODES


@pytest.mark.parametrize(("to_broker", "from_broker"), [(True, True), (True, False), (False, True)])
async def test_a_cut_line_reaches_no_node_until_it_is_mended(to_broker: bool, from_broker: bool) -> None:  # noqa: FBT001
    async with line() as made:
        assert all(await answers(made, within_s=30))
        made.cut(to_broker=to_broker, from_broker=from_broker)
        assert not any(await answers(made, within_s=0.2))
        await made.mend()
        assert all(await answers(made, within_s=30))


async def test_a_line_that_refuses_lets_everybody_in_once_it_is_mended() -> None:
    async with line() as made:
        await made.refuse()
        assert not any(await answers(made, within_s=30))
        await made.mend()
        assert all(await answers(made, within_s=30))


async def test_a_slow_line_passes_everything() -> None:
    async with line() as made:
        made.slow()
        assert all(await answers(made, within_s=30))
