"""A client closes its connections though its task is cancelled, and is none before it knows a node."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiokafka import AIOKafkaClient
from aiokafka.errors import NodeNotReadyError

from almenara.bus.kafka.connection import connection, nodes, start, to_the_end
from almenara.errors import Code, Unavailable


class Client:
    """A client that takes a while to start and to close."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.did: list[str] = []

    async def start(self) -> None:
        self.did.append("starting")
        await asyncio.sleep(0.05)
        if self.fault is not None:
            raise self.fault
        self.did.append("started")

    async def close(self) -> None:
        self.did.append("closing")
        await asyncio.sleep(0.05)
        self.did.append("closed")


async def test_a_close_that_is_cancelled_twice_still_ends_and_the_cancellation_goes_on() -> None:
    client = Client()
    async with asyncio.TaskGroup() as tasks:
        closing = tasks.create_task(to_the_end(client.close()))
        for _ in range(2):
            await asyncio.sleep(0.01)
            closing.cancel()
    assert closing.cancelled()
    assert client.did == ["closing", "closed"]


async def test_a_start_that_is_cancelled_ends_and_is_closed() -> None:
    client = Client()
    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(start(client.start(), client.close))
        await asyncio.sleep(0.01)
        starting.cancel()
    assert starting.cancelled()
    assert client.did == ["starting", "started", "closing", "closed"]


async def test_a_start_that_fails_is_closed_and_says_why() -> None:
    client = Client(Unavailable(Code.BROKER_DOWN, "broker: away; wait"))
    with pytest.raises(Unavailable, match="away"):
        await start(client.start(), client.close)
    assert client.did == ["starting", "closing", "closed"]


async def test_a_start_that_fails_after_it_was_cancelled_is_closed_without_a_word() -> None:
    client = Client(Unavailable(Code.BROKER_DOWN, "broker: away; wait"))
    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(start(client.start(), client.close))
        await asyncio.sleep(0.01)
        starting.cancel()
    assert starting.cancelled()
    assert client.did == ["starting", "closing", "closed"]


async def test_a_cluster_that_shows_no_node_is_not_ready() -> None:
    options = connection("127.0.0.1:1", ssl.create_default_context(), "almenara-test", timeout_s=1.0)
    with pytest.raises(NodeNotReadyError, match="no node yet"):
        nodes(AIOKafkaClient(**options))
