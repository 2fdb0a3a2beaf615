"""One publisher with its callers in one process, as in an SDK's; started by run.py, answers in JSON.

python load.py burst|sequential|steady|backlog|drain --member DIR --seconds S ...
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from almenara.model.ids import AudienceId
from almenara.node.memory import settle_memory
from almenara.node.node import make_state_folder, open_node, prepare
from almenara.node.settings import load_settings
from almenara.store import outbox
from almenara.store.database import Store
from almenara.store.lease import lease
from benchmarks import alerts, bare
from benchmarks.machine import peak_rss_mib

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from almenara.model.messages import Message
    from almenara.node.local import NodeService
    from almenara.node.settings import MemberSettings

REGION = AudienceId("region")
CALLERS = 512
WARM_UP_S = 1.0
CALLS_A_SECOND = 50
NOWHERE = "127.0.0.1:9"
"""An address where no broker answers: what is accepted then waits in the store."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one process of callers saw."""

    accepted: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    bare_encode: float = 0.0
    start_rss_mib: float = 0.0
    peak_rss_mib: float = 0.0
    unsent: int = 0
    calls: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Of each message: when it was called and answered, in ns of the monotonic clock."""


@contextlib.asynccontextmanager
async def publisher(settings: MemberSettings) -> AsyncIterator[NodeService]:
    """Lend the publishing half of the member's node, running."""
    make_state_folder(settings)
    with lease(settings.lease_path, settings.store_place) as held:
        await prepare(settings, term=held.term)
        async with open_node(settings, held.term, receiving=False) as node, asyncio.TaskGroup() as tasks:
            assert node.service is not None
            stopping = asyncio.Event()
            tasks.create_task(node.run(stopping))
            yield node.service
            stopping.set()


async def burst(service: NodeService, source: Iterator[Message], *, until: float, limit: int) -> int:
    """Publish with many callers at once, until a time or a number; return how many were accepted."""
    accepted = 0

    async def caller() -> None:
        nonlocal accepted
        while time.perf_counter() < until and accepted < limit:
            await service.publish(next(source), audience=REGION)
            accepted += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CALLERS):
            tasks.create_task(caller())
    return accepted


async def run(what: str, settings: MemberSettings, *, seconds: float, count: int) -> Load:
    pool = alerts.pool()
    encode_rate, _ = bare.bare_rates(pool)
    source = alerts.distinct(pool)
    limit = count or sys.maxsize
    async with publisher(settings) as service:
        start_rss = peak_rss_mib(os.getpid())
        if what in {"burst", "sequential"}:
            await burst(service, source, until=time.perf_counter() + WARM_UP_S, limit=limit)
        began, cpu = time.perf_counter(), time.process_time()
        calls: dict[str, tuple[int, int]] = {}
        accepted = 0
        match what:
            case "burst":
                accepted = await burst(service, source, until=began + seconds, limit=limit)
            case "backlog":
                accepted = await burst(service, source, until=began + 3600, limit=limit)
            case "sequential":
                while time.perf_counter() < began + seconds:
                    await service.publish(next(source), audience=REGION)
                    accepted += 1
            case "steady":
                calls = await steady(service, source, seconds=seconds)
                accepted = len(calls)
            case _:
                await drained(settings)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        unsent = await asyncio.to_thread(unsent_statements, settings)
        return Load(
            accepted=accepted,
            seconds=took,
            cpu_s=cpu,
            bare_encode=encode_rate,
            start_rss_mib=start_rss,
            peak_rss_mib=peak_rss_mib(os.getpid()),
            unsent=unsent,
            calls=calls,
        )


async def steady(
    service: NodeService, source: Iterator[Message], *, seconds: float
) -> dict[str, tuple[int, int]]:
    """Publish at a steady rate, each call in a task of its own, as callers do that do not wait in line."""
    calls: dict[str, tuple[int, int]] = {}

    async def call(message: Message) -> None:
        called = time.monotonic_ns()
        await service.publish(message, audience=REGION)
        calls[message.message_id.hex] = (called, time.monotonic_ns())

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(seconds * CALLS_A_SECOND)):
            await asyncio.sleep(max(0.0, began + number / CALLS_A_SECOND - time.perf_counter()))
            tasks.create_task(call(next(source)))
    return calls


def unsent_statements(settings: MemberSettings) -> int:
    """Return how many statements the broker is not known to hold."""
    store = Store.open(settings.store_path)
    try:
        return sum(store.read_now(outbox.unsent_counts).values())
    finally:
        store.close()


async def drained(settings: MemberSettings) -> None:
    """Wait until the broker holds everything."""
    while await asyncio.to_thread(unsent_statements, settings):  # noqa: ASYNC110 - another's work
        await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["burst", "sequential", "steady", "backlog", "drain"])
    parser.add_argument("--member", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--count", type=int, default=0)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)  # aiokafka says that no broker answers where none should
    settle_memory()  # as the node's own process does
    flags = {"bootstrap": NOWHERE} if arguments.what == "backlog" else {}
    settings = load_settings(arguments.member, environ={}, flags=flags)
    load = asyncio.run(run(arguments.what, settings, seconds=arguments.seconds, count=arguments.count))
    sys.stdout.buffer.write(msgspec.json.encode(load))


if __name__ == "__main__":
    main()
