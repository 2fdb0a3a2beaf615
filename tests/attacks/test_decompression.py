"""A record that unpacks to a thousand times its size is stopped at the broker (THREATS 16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnsupportedCodecError
from aiokafka.record._crecords import DefaultRecordBatchBuilder, MemoryRecords

from almenara.bus.kafka import Reader, Sender
from almenara.model.ids import MemberId

if TYPE_CHECKING:
    from broker_site import Site

pytestmark = pytest.mark.attacks

PE, AR = MemberId("PE"), MemberId("AR")
TOPIC = "ams.unpacking.pe"


def test_a_broker_that_serves_compressed_records_itself_is_told_off_before_they_are_unpacked() -> None:
    """As a fetch brings them: what the operator wrote, whatever the topic's settings say."""
    builder = DefaultRecordBatchBuilder(2, 1, 0, -1, -1, -1, 1 << 30)
    builder.append(0, 0, None, bytes(100_000_000), [])
    packed = bytes(builder.build())
    assert len(packed) < 100_000
    batch = MemoryRecords(packed).next_batch()
    assert batch is not None
    with pytest.raises(UnsupportedCodecError, match="must be uncompressed"):
        next(iter(batch))


@pytest.mark.integration
@pytest.mark.parametrize("size", [2_000_000, 100_000_000], ids=["2 MB", "100 MB"])
async def test_what_unpacks_to_more_than_a_record_may_have_reaches_no_reader(broker: Site, size: int) -> None:
    await broker.open_audience("unpacking", [PE, AR])
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap,
        security_protocol="SSL",
        ssl_context=broker.member(PE),
        compression_type="gzip",
        max_request_size=2 * size,
        max_batch_size=2 * size,
        request_timeout_ms=10_000,
    )
    await producer.start()
    try:
        async with Reader(broker.bootstrap, broker.member(AR)) as reader:
            before = await reader.end_offset(TOPIC)
            with pytest.raises(KafkaError):
                await producer.send_and_wait(TOPIC, bytes(size), partition=0)
            assert await reader.end_offset(TOPIC) == before
    finally:
        await producer.stop()
    async with (
        Sender(broker.bootstrap, broker.member(PE)) as sender,
        Reader(broker.bootstrap, broker.member(AR)) as reader,
    ):
        await sender.send(TOPIC, [b"the next"])
        assert [record.value for record in await reader.read_from(TOPIC, before)] == [b"the next"]
