"""What may one ask of a member's node? The same questions in its process and over its socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
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
    from almenara.store.wanted import InboxFilter
    from almenara.trust.exportfile import ExportedRecord


class Node(Protocol):
    """A member's node: `NodeService` in its own process, `RemoteNode` over its socket.

    Every method raises the errors of errors.py alike on both; RemoteNode adds Unavailable NODE_DOWN.
    """

    async def publish(
        self, message: Message, *, audience: AudienceId, to: Sequence[MemberId] | None = None
    ) -> Accepted:
        """Accept a message durably; the same message again gives the same answer.

        Raises MessageRefused with all faults, StatementRefused UNKNOWN_AUDIENCE, Refused BROKER_AHEAD
        while the stream is stopped, Unavailable when it cannot be taken now.
        """
        ...

    async def check(
        self, message: Message, *, audience: AudienceId, to: Sequence[MemberId] | None = None
    ) -> Preview:
        """Return what publishing the message would do, or raise what it would raise of it."""
        ...

    async def confirmations(self, message_id: UUID, *, wait_s: float = 0.0) -> Confirmations:
        """Return who has confirmed a message of ours.

        Waits up to `wait_s` until nobody is WAITING. Raises Refused UNKNOWN_MESSAGE.
        """
        ...

    async def inbox(
        self, wanted: InboxFilter, *, after: int | None = None, limit: int = 100, wait_s: float = 0.0
    ) -> Page:
        """Return the newest items, newest first; or those after a position, oldest first.

        With `after`, waits up to `wait_s` for one to come. `Page.position` is what to ask after next.
        """
        ...

    async def show(self, message_id: UUID) -> tuple[Item, ...]:
        """Return the messages with that id, ours too: two members may have used the same one.

        Raises Refused UNKNOWN_MESSAGE when there is none.
        """
        ...

    async def find(self, name: str) -> tuple[UUID, ...]:
        """Return the ids of messages, received or ours, that a name means; at most 50.

        A name is the first digits of an id, at least 4, or else a reference: of each author the message
        that came last with it.
        """
        ...

    async def export(
        self,
        message_id: UUID,
        *,
        publisher: MemberId | None = None,
        disclose: bool = False,
        receipts: bool = False,
    ) -> ExportedRecord:
        """Return the signed record that carried a message, with what proves it offline.

        `disclose` adds the key that opens this one statement, `receipts` the first one of each other
        reader, with the links to what it names. Raises Refused UNKNOWN_MESSAGE when there
        is none, CONFLICT when several members used the id and `publisher` does not say whose is meant,
        the code of a statement that does not open, Unavailable DIRECTORY_MISSING.
        """
        ...

    async def export_rival(self, audience: AudienceId, publisher: MemberId) -> ExportedRecord:
        """Return two statements of a stream that prove EQUIVOCATION; raise Refused UNKNOWN_MESSAGE."""
        ...

    async def streams(self) -> tuple[StreamView, ...]:
        """Return how every stream stands, our own first."""
        ...

    async def quarantine(self, *, limit: int = 100) -> tuple[Quarantined, ...]:
        """Return the newest refusals, newest first."""
        ...

    async def evidence(self) -> tuple[EvidenceView, ...]:
        """Return all that proves a contradiction, oldest first."""
        ...

    async def status(self) -> NodeStatus:
        """Return how the node does; takes up to 2 s when the broker is away."""
        ...
