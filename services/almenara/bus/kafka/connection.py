"""How do we reach the broker, and what do aiokafka's errors mean for the caller?"""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
)

from almenara.bus.configuration import BATCH_MAX
from almenara.errors import Code, Refused, Unavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

REQUEST_TIMEOUT_S = 10.0
"""Wait for one answer of the broker: it takes milliseconds, a restart 5 s."""

METADATA_AGE_S = 60.0
"""How often a client asks anew which brokers there are: it must know others before its last one goes."""

_LET_GO_S = 0.02

# ApiVersions, version 0, correlation 1, of no client in particular: every broker answers it.
_ASK_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)

_START_GRACE_S = 1.0


async def answers(bootstrap: str, context: ssl.SSLContext, *, timeout_s: float = 2.0) -> bool:
    """Tell whether a broker answers a request over TLS at one of the addresses, each within that time."""
    for host, port in _addresses(bootstrap):
        if await _answers(host, port, context, timeout_s):
            return True
    return False


async def _answers(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            opened = await create_conn(
                host,
                port,
                client_id="almenara-probe",
                security_protocol="SSL",
                ssl_context=context,
                request_timeout_ms=int(timeout_s * 1000),
            )
            await opened.close()
    except (OSError, KafkaError, TimeoutError):
        return False
    return True


async def require_answer(bootstrap: str, context: ssl.SSLContext, *, timeout_s: float = 2.0) -> None:
    """Return if a broker answers a request over TLS at one of the addresses.

    Raises Refused BROKER_REFUSES if one ends the connection of this certificate before its first
    answer, Unavailable BROKER_DOWN if nobody answers.
    """
    if await answers(bootstrap, context, timeout_s=timeout_s):
        return
    for host, port in _addresses(bootstrap):
        if await _turns_away(host, port, context, timeout_s):
            raise Refused(
                Code.BROKER_REFUSES,
                f"broker {bootstrap}: it turns this certificate away; it was revoked, or the member is out, "
                "ask the coordinator",
            )
    raise Unavailable(
        Code.BROKER_DOWN,
        f"broker {bootstrap}: does not answer; see that it runs and the network reaches it, what is accepted "
        "meanwhile waits",
    )


def _addresses(bootstrap: str) -> list[tuple[str, int]]:
    pairs = (address.rsplit(":", 1) for address in bootstrap.split(","))
    return [(host, int(port)) for host, port in pairs]


async def _turns_away(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                writer.write(_ASK_VERSIONS)
                return not await reader.read(1)
            except OSError:
                return True  # told over TLS why, as with an expired certificate
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        return False


async def to_the_end(closing: Coroutine[Any, Any, None]) -> None:
    """Close something whole even if we are cancelled meanwhile; the cancellation goes on afterwards.

    A client that is closed by halves keeps its connections open. What closes must be bounded in time.
    """
    task = asyncio.ensure_future(closing)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as exc:
            cancelled = exc
    task.result()
    if cancelled is not None:
        raise cancelled


async def start(starting: Coroutine[Any, Any, None], close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Start a client, and close it if that fails.

    aiokafka forgets a connection over which it is just asking for the first metadata when it is
    cancelled there, so a cancelled start is given a moment to come to its end first.
    """
    task = asyncio.ensure_future(starting)
    try:
        await asyncio.shield(task)
    except BaseException:
        await to_the_end(_abandon(task, close))
        raise


async def started_client(options: Mapping[str, Any]) -> AIOKafkaClient:
    """Return a client that knows where the brokers are; without `nodes` it would never ask again."""
    client = AIOKafkaClient(**options)
    await start(client.bootstrap(), client.close)
    try:
        nodes(client)
    except NodeNotReadyError:
        await to_the_end(client.close())
        raise
    return client


def nodes(client: AIOKafkaClient) -> list[int]:
    """Return the brokers that a client knows; a cluster that is just starting answers that it has none.

    Raises NodeNotReadyError then.
    """
    known = [broker.nodeId for broker in client.cluster.brokers()]
    if not known:
        raise NodeNotReadyError("the cluster has no node yet")
    return known


async def _abandon(task: asyncio.Future[None], close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await asyncio.wait([task], timeout=_START_GRACE_S)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # seen: whoever waited for it was cancelled
    await close()
    # aiokafka does not wait for the end of a connection that the broker turned away.
    await asyncio.sleep(_LET_GO_S)


@asynccontextmanager
async def named(bootstrap: str, timeout_s: float, *, topic: str | None = None) -> AsyncIterator[None]:
    """Bound what is done inside in time, and give aiokafka's errors the names of errors.py."""
    subject = f"broker {bootstrap}" if topic is None else f"topic {topic}"
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as exc:
        raise Refused(
            Code.BROKER_REFUSES,
            f"{subject}: the broker refuses this certificate; ask the coordinator whether the member is "
            "admitted with this generation of it",
        ) from exc
    except MessageSizeTooLargeError as exc:
        raise Refused(
            Code.OVERSIZE, f"{subject}: a record is larger than {BATCH_MAX} bytes; split it"
        ) from exc
    except UnknownTopicOrPartitionError as exc:
        raise Unavailable(
            Code.BROKER_DOWN, f"{subject}: not on the cluster; it comes when the coordinator has synchronized"
        ) from exc
    except UnsupportedCodecError as exc:
        raise Unavailable(
            Code.BROKER_DOWN,
            f"{subject}: the broker serves compressed records, which are not unpacked; the coordinator must "
            "synchronize its topics (compression.type=uncompressed)",
        ) from exc
    except (KafkaError, TimeoutError) as exc:
        raise Unavailable(
            Code.BROKER_DOWN, f"{subject}: the broker does not answer; what waits is sent when it is back"
        ) from exc


def connection(bootstrap: str, context: ssl.SSLContext, client_id: str, timeout_s: float) -> dict[str, Any]:
    """Return what every aiokafka client is made with; its own defaults are plain text."""
    return {
        "bootstrap_servers": bootstrap,
        "client_id": client_id,
        "security_protocol": "SSL",
        "ssl_context": context,
        "request_timeout_ms": int(timeout_s * 1000),
        "metadata_max_age_ms": int(METADATA_AGE_S * 1000),
    }
