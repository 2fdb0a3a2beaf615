"""Which questions travel over the node's socket, and how do they and their answers look there?

    POST /v1/<operation>, a JSON object of its arguments -> 200, the answer as JSON
                                                         -> 4xx or 5xx, the error (faults.py)

Operations without arguments may be asked with GET. Both sides read this table, so that they agree.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

import msgspec

from almenara import clock
from almenara.errors import Code, Fault, MessageRefused
from almenara.model.ids import REGION, audience_id, member_id
from almenara.model.json import parse_message_object
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
    item_json,
    parse_item,
)
from almenara.node.service import Node
from almenara.store.wanted import InboxFilter
from almenara.trust.exportfile import ExportedRecord

if TYPE_CHECKING:
    from almenara.model.ids import MemberId

A = TypeVar("A")
Q = TypeVar("Q", bound="Question")


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of one operation."""


class Nothing(Question, frozen=True, kw_only=True):
    """No arguments."""


class Publish(Question, frozen=True, kw_only=True):
    """A message as `almenara publish` takes it; `to` absent means the whole audience."""

    message: dict[str, Any]
    audience: str = REGION
    to: tuple[str, ...] | None = None


class AskConfirmations(Question, frozen=True, kw_only=True):
    """Whose confirmations, and how long to wait for them."""

    message_id: UUID
    wait_s: float = 0.0


class AskInbox(Question, frozen=True, kw_only=True):
    """Which items, and how long to wait for one."""

    wanted: InboxFilter = InboxFilter()
    after: int | None = None
    limit: int = 100
    wait_s: float = 0.0


class AskMessage(Question, frozen=True, kw_only=True):
    """One message."""

    message_id: UUID


class Find(Question, frozen=True, kw_only=True):
    """The first digits of an id, or a reference."""

    name: str


class Export(Question, frozen=True, kw_only=True):
    """One message's record."""

    message_id: UUID
    publisher: str | None = None
    disclose: bool = False
    receipts: bool = False


class ExportRival(Question, frozen=True, kw_only=True):
    """One stream."""

    audience: str
    publisher: str


class AskQuarantine(Question, frozen=True, kw_only=True):
    """How many refusals at most."""

    limit: int = 100


class Operation(msgspec.Struct, Generic[Q, A], frozen=True):
    """One operation: its arguments, what does it, and how its answer is written and read."""

    name: str
    question: type[Q]
    ask: Callable[[Node, Q], Awaitable[A]]
    encode: Callable[[A], bytes]
    decode: Callable[[bytes], A]


def parse_question(question: type[Q], data: bytes) -> Q:
    """Return the arguments; raise MessageRefused JSON or SHAPE with the first fault."""
    try:
        return msgspec.json.decode(data or b"{}", type=question)
    except msgspec.ValidationError as exc:
        raise MessageRefused([Fault(Code.SHAPE, "$", f"{exc}; see the operation's arguments")]) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise MessageRefused([Fault(Code.JSON, "$", f"{exc}: want JSON")]) from exc


def _plain(kind: type[A]) -> tuple[Callable[[A], bytes], Callable[[bytes], A]]:
    return msgspec.json.encode, msgspec.json.Decoder(kind).decode


def _encode_items(items: tuple[Item, ...]) -> bytes:
    return msgspec.json.encode([item_json(item) for item in items])


def _decode_items(data: bytes) -> tuple[Item, ...]:
    return tuple(map(parse_item, msgspec.json.decode(data)))


def _encode_page(page: Page) -> bytes:
    return msgspec.json.encode({"items": [item_json(item) for item in page.items], "position": page.position})


def _decode_page(data: bytes) -> Page:
    fields = msgspec.json.decode(data)
    return Page(items=tuple(map(parse_item, fields["items"])), position=fields["position"])


def _to(members: tuple[str, ...] | None) -> tuple[MemberId, ...] | None:
    return None if members is None else tuple(member_id(member) for member in members)


async def _publish(node: Node, q: Publish) -> Accepted:
    message = parse_message_object(q.message, now=clock.now())
    return await node.publish(message, audience=audience_id(q.audience), to=_to(q.to))


async def _check(node: Node, q: Publish) -> Preview:
    message = parse_message_object(q.message, now=clock.now())
    return await node.check(message, audience=audience_id(q.audience), to=_to(q.to))


async def _export(node: Node, q: Export) -> ExportedRecord:
    publisher = None if q.publisher is None else member_id(q.publisher)
    return await node.export(q.message_id, publisher=publisher, disclose=q.disclose, receipts=q.receipts)


PUBLISH = Operation("publish", Publish, _publish, *_plain(Accepted))
CHECK = Operation("check", Publish, _check, *_plain(Preview))
CONFIRMATIONS: Operation[AskConfirmations, Confirmations] = Operation(
    "confirmations",
    AskConfirmations,
    lambda node, q: node.confirmations(q.message_id, wait_s=q.wait_s),
    *_plain(Confirmations),
)
INBOX: Operation[AskInbox, Page] = Operation(
    "inbox",
    AskInbox,
    lambda node, q: node.inbox(q.wanted, after=q.after, limit=q.limit, wait_s=q.wait_s),
    _encode_page,
    _decode_page,
)
SHOW: Operation[AskMessage, tuple[Item, ...]] = Operation(
    "show", AskMessage, lambda node, q: node.show(q.message_id), _encode_items, _decode_items
)
FIND: Operation[Find, tuple[UUID, ...]] = Operation(
    "find", Find, lambda node, q: node.find(q.name), *_plain(tuple[UUID, ...])
)
EXPORT = Operation("export", Export, _export, *_plain(ExportedRecord))
EXPORT_RIVAL: Operation[ExportRival, ExportedRecord] = Operation(
    "export-rival",
    ExportRival,
    lambda node, q: node.export_rival(audience_id(q.audience), member_id(q.publisher)),
    *_plain(ExportedRecord),
)
STREAMS: Operation[Nothing, tuple[StreamView, ...]] = Operation(
    "streams", Nothing, lambda node, _: node.streams(), *_plain(tuple[StreamView, ...])
)
QUARANTINE: Operation[AskQuarantine, tuple[Quarantined, ...]] = Operation(
    "quarantine",
    AskQuarantine,
    lambda node, q: node.quarantine(limit=q.limit),
    *_plain(tuple[Quarantined, ...]),
)
EVIDENCE: Operation[Nothing, tuple[EvidenceView, ...]] = Operation(
    "evidence", Nothing, lambda node, _: node.evidence(), *_plain(tuple[EvidenceView, ...])
)
STATUS: Operation[Nothing, NodeStatus] = Operation(
    "status", Nothing, lambda node, _: node.status(), *_plain(NodeStatus)
)

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    PUBLISH,
    CHECK,
    CONFIRMATIONS,
    INBOX,
    SHOW,
    FIND,
    EXPORT,
    EXPORT_RIVAL,
    STREAMS,
    QUARANTINE,
    EVIDENCE,
    STATUS,
)
