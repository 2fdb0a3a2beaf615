"""Does every broker of the cluster hold what it should? Then any one of them can be stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from almenara.bus.kafka.connection import connection, started_client

if TYPE_CHECKING:
    import ssl

REQUEST_TIMEOUT_S = 2.0
"""Wait for one answer: who asks whether all is well asks again."""


async def in_sync(bootstrap: str, context: ssl.SSLContext, *, brokers: int) -> bool:
    """Tell whether so many brokers take part, and each has all records of the topics that are its.

    Needs a certificate that is shown all topics, an operator's. No answer is a no.
    """
    try:
        client = await started_client(connection(bootstrap, context, "almenara-probe", REQUEST_TIMEOUT_S))
        try:
            answer = await client.send(client.get_random_node(), MetadataRequest(None))
        finally:
            await client.close()
    except KafkaError:
        return False
    behind = (
        topic
        for error, topic, _, partitions in answer.topics
        for failed, _, leader, replicas, insync in (part[:5] for part in partitions)
        if error or failed or leader < 0 or set(replicas) - set(insync)
    )
    return len(answer.brokers) == brokers and not any(behind)
