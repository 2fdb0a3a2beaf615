"""May this certificate write to a topic? Asked of the broker without writing anything.

A batch without records is refused by every broker, but for two different reasons: who may not
write is told so first, and who may is told that the batch is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.errors import (
    LeaderNotAvailableError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

from almenara.bus.kafka.connection import REQUEST_TIMEOUT_S, connection, named, started_client

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection

    from aiokafka import AIOKafkaClient

_ALL_REPLICAS = -1
_NO_RECORDS = b""

_EMPTY_BATCH = 87
"""INVALID_RECORD of Kafka's protocol, which aiokafka 0.14 has no name for."""


async def writable(
    bootstrap: str,
    context: ssl.SSLContext,
    topics: Collection[str],
    *,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
) -> frozenset[str]:
    """Return those of the topics that exist and that this certificate may write.

    Raises Unavailable BROKER_DOWN if the broker does not answer.
    """
    found = set()
    async with named(bootstrap, request_timeout_s):
        client = await started_client(connection(bootstrap, context, "almenara-probe", request_timeout_s))
        try:
            for topic, node in (await _leaders(client, topics)).items():
                content = [(topic, [(0, _NO_RECORDS)])]
                request = ProduceRequest(None, _ALL_REPLICAS, int(request_timeout_s * 1000), content)
                ((_, ((_, error, *_),)),) = (await client.send(node, request)).topics
                if error == _EMPTY_BATCH:
                    found.add(topic)
                elif for_code(error) not in {TopicAuthorizationFailedError, UnknownTopicOrPartitionError}:
                    raise for_code(error)(topic)
        finally:
            await client.close()
    return frozenset(found)


async def _leaders(client: AIOKafkaClient, topics: Collection[str]) -> dict[str, int]:
    """Return the leader of each topic that is shown to us: no other broker takes what is written to it."""
    request = MetadataRequest(sorted(topics), allow_auto_topic_creation=False)
    shown = (await client.send(client.get_random_node(), request)).topics
    leaders = {topic: partitions[0][2] for error, topic, _, partitions in shown if not error}
    for topic, leader in leaders.items():
        if leader < 0:
            raise LeaderNotAvailableError(topic)
    return leaders
