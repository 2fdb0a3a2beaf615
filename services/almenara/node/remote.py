"""How does one ask a node that runs in another process? Over its socket, as service.Node says."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector
from aiohttp.payload import TOO_LARGE_BYTES_BODY

from almenara.errors import Code, Unavailable
from almenara.model.json import message_json
from almenara.node import operations
from almenara.node.faults import ErrorBody, error_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType
    from uuid import UUID

    from almenara.model.ids import AudienceId, MemberId
    from almenara.model.messages import Message
    from almenara.node.answers import (
        Accepted,
        Confirmations,
        EvidenceView,
        Item,
        NodeStatus,
        Page,
        Preview,
        Quarantined,
        StreamView,
    )
    from almenara.node.operations import Operation
    from almenara.store.wanted import InboxFilter
    from almenara.trust.exportfile import ExportedRecord

A = TypeVar("A")
Q = TypeVar("Q", bound=operations.Question)

PATIENCE_S = 10.0
"""How long a node that went away is asked again: its parent starts it anew within seconds."""

RETRY_S = 0.1

ANSWER_S = 30.0
"""How long an answer may take beside what its question itself waits for."""

CONNECTIONS = 512
"""Questions at once: as many callers as one statement can carry messages."""

_ERROR = msgspec.json.Decoder(ErrorBody)


class RemoteNode:
    """A node over its socket; see `service.Node` for each method.

    Every question may be asked again without harm (a message has its id before it is sent), so one
    that the node could not answer is asked again for a while; then Unavailable NODE_DOWN.
    """

    def __init__(self, path: Path, *, patience_s: float = PATIENCE_S) -> None:
        self._path = path
        self._patience_s = patience_s
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = UnixConnector(str(self._path), limit=CONNECTIONS)
        self._session = ClientSession("http://node", connector=connector)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def answers(self) -> bool:
        """Tell whether somebody listens on the socket now."""
        try:
            async with asyncio.timeout(ANSWER_S):
                _, writer = await asyncio.open_unix_connection(str(self._path))
        except (OSError, TimeoutError):
            return False
        writer.close()
        await writer.wait_closed()
        return True

    async def publish(
        self, message: Message, *, audience: AudienceId, to: Sequence[MemberId] | None = None
    ) -> Accepted:
        """Accept a message durably."""
        return await self._ask(operations.PUBLISH, _publish(message, audience, to))

    async def check(
        self, message: Message, *, audience: AudienceId, to: Sequence[MemberId] | None = None
    ) -> Preview:
        """Return what publishing the message would do."""
        return await self._ask(operations.CHECK, _publish(message, audience, to))

    async def confirmations(self, message_id: UUID, *, wait_s: float = 0.0) -> Confirmations:
        """Return who has confirmed a message of ours."""
        question = operations.AskConfirmations(message_id=message_id, wait_s=wait_s)
        return await self._ask(operations.CONFIRMATIONS, question, wait_s=wait_s)

    async def inbox(
        self, wanted: InboxFilter, *, after: int | None = None, limit: int = 100, wait_s: float = 0.0
    ) -> Page:
        """Return the newest items, or those after a position."""
        question = operations.AskInbox(wanted=wanted, after=after, limit=limit, wait_s=wait_s)
        return await self._ask(operations.INBOX, question, wait_s=wait_s)

    async def show(self, message_id: UUID) -> tuple[Item, ...]:
        """Return the messages with that id, ours too."""
        return await self._ask(operations.SHOW, operations.AskMessage(message_id=message_id))

    async def find(self, name: str) -> tuple[UUID, ...]:
        """Return the ids of messages that begin with these hexadecimal digits, or have this reference."""
        return await self._ask(operations.FIND, operations.Find(name=name))

    async def export(
        self,
        message_id: UUID,
        *,
        publisher: MemberId | None = None,
        disclose: bool = False,
        receipts: bool = False,
    ) -> ExportedRecord:
        """Return the signed record that carried a message, with what proves it offline."""
        question = operations.Export(
            message_id=message_id, publisher=publisher, disclose=disclose, receipts=receipts
        )
        return await self._ask(operations.EXPORT, question)

    async def export_rival(self, audience: AudienceId, publisher: MemberId) -> ExportedRecord:
        """Return two statements of a stream that prove EQUIVOCATION."""
        question = operations.ExportRival(audience=audience, publisher=publisher)
        return await self._ask(operations.EXPORT_RIVAL, question)

    async def streams(self) -> tuple[StreamView, ...]:
        """Return how every stream stands."""
        return await self._ask(operations.STREAMS, operations.Nothing())

    async def quarantine(self, *, limit: int = 100) -> tuple[Quarantined, ...]:
        """Return the newest refusals."""
        return await self._ask(operations.QUARANTINE, operations.AskQuarantine(limit=limit))

    async def evidence(self) -> tuple[EvidenceView, ...]:
        """Return all that proves a contradiction."""
        return await self._ask(operations.EVIDENCE, operations.Nothing())

    async def status(self) -> NodeStatus:
        """Return how the node does."""
        return await self._ask(operations.STATUS, operations.Nothing())

    async def _ask(self, operation: Operation[Q, A], question: Q, *, wait_s: float = 0.0) -> A:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_s
        while True:
            try:
                status, body = await self._post(operation.name, question, wait_s)
                if status == HTTPStatus.OK:
                    return operation.decode(body)
                error = error_of(_ERROR.decode(body))
            except (OSError, ClientError, TimeoutError, msgspec.DecodeError) as exc:
                if loop.time() >= until:
                    raise Unavailable(
                        Code.NODE_DOWN,
                        f"node {self._path}: does not answer; start it with: almenara node run",
                    ) from exc
                await asyncio.sleep(RETRY_S)
                continue
            if error.code != Code.NODE_DOWN or loop.time() >= until:
                raise error
            await asyncio.sleep(RETRY_S)

    async def _post(self, name: str, question: Any, wait_s: float) -> tuple[int, bytes]:  # noqa: ANN401
        if self._session is None:
            raise RuntimeError("the node was not entered")
        data = msgspec.json.encode(question)
        async with self._session.post(
            f"/v1/{name}",
            data=data if len(data) <= TOO_LARGE_BYTES_BODY else BytesIO(data),  # as aiohttp wants it
            headers={"Content-Type": "application/json"},
            timeout=ClientTimeout(total=wait_s + ANSWER_S),
        ) as response:
            return response.status, await response.read()


def _publish(message: Message, audience: AudienceId, to: Sequence[MemberId] | None) -> operations.Publish:
    return operations.Publish(
        message=message_json(message), audience=audience, to=None if to is None else tuple(to)
    )
