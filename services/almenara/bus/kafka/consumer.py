"""How is a consumer of aiokafka started, so that it holds little, and stopped, so that it ends?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer

from almenara.bus.configuration import BATCH_MAX
from almenara.bus.kafka.connection import start

if TYPE_CHECKING:
    from collections.abc import Mapping

_TAKEN_FIRST_S = 3600.0
"""How long aiokafka asks a broker for no more while some of a fetch was not taken. At its own 0.1 s a reader
whose store is slow would gather a megabyte of every topic."""

_STOP_POLL_S = 0.05


async def started_consumer(
    options: Mapping[str, Any], *, fetch_min: int, fetch_max: int, fetch_wait_s: float
) -> AIOKafkaConsumer:
    """Return a consumer that keeps at most one fetch of each broker that nobody has taken yet."""
    consumer = AIOKafkaConsumer(
        **options,
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_min_bytes=fetch_min,
        fetch_max_wait_ms=int(fetch_wait_s * 1000),
        fetch_max_bytes=fetch_max,
        max_partition_fetch_bytes=BATCH_MAX,
    )
    await start(consumer.start(), consumer.stop)
    consumer._fetcher._prefetch_backoff = _TAKEN_FIRST_S  # noqa: SLF001 - aiokafka lets nobody set it
    return consumer


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer. `stop` alone hangs for ever if its fetcher is just taking up an assignment.

    The fetcher then suppresses the cancellation together with that of its own tasks, so it is
    cancelled until it has ended.
    """
    fetching = consumer._fetcher.error_future  # noqa: SLF001 - aiokafka shows it nowhere else
    while not fetching.done():
        fetching.cancel()
        await asyncio.wait([fetching], timeout=_STOP_POLL_S)
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        # While the broker is away it takes the end of a fetch that it has just cancelled for its own.
        await consumer._client.close()  # noqa: SLF001 - what `stop` would have done next
