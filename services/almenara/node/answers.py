"""What does a node answer to those who use it: the SDK, the command line, the API?

Values alone, the same in the process of the node and over its socket, where they travel as JSON.
Hashes are hexadecimal text, signed bytes base64, times RFC 3339.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from almenara.model.ids import AudienceId, MemberId
from almenara.model.json import message_json, parse_message_object
from almenara.model.messages import Message


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of a node, or a part of one."""


class Accepted(Answer, frozen=True, kw_only=True):
    """A message that is on disk, signed: where it stands, and who is expected to confirm it."""

    message_id: UUID
    audience: AudienceId
    epoch: int
    seq: int
    expected: tuple[MemberId, ...]


class Preview(Answer, frozen=True, kw_only=True):
    """What would be published: the message's encoded size, the size readers of the wire would see."""

    message_id: UUID
    kind: str
    audience: AudienceId
    recipients: tuple[MemberId, ...]
    expected: tuple[MemberId, ...]
    bytes: int
    bucket: int


class Confirmed(StrEnum):
    """Say how a member stands towards one message."""

    RECEIVED = "RECEIVED"
    """Its receipt covers the message, and it has opened it."""
    WAITING = "WAITING"
    """Nothing from it yet."""
    EXCEPTED = "EXCEPTED"
    """Its receipt says that it holds the statement and could not open it; `code` says why."""
    KEYLESS = "KEYLESS"
    """The directory has no sealing key of it: nothing can be sealed to it, so nobody waits for it."""


class Confirmation(Answer, frozen=True, kw_only=True):
    """One member's word on one message; `at` is when it said so, by its own clock."""

    member: MemberId
    state: Confirmed
    code: str = ""
    at: datetime | None = None


class Decision(Answer, frozen=True, kw_only=True):
    """What a member did with one message: ACCEPTED, IN_FORCE, REJECTED with a code, DELETED."""

    member: MemberId
    state: str
    code: str = ""
    at: datetime


class Confirmations(Answer, frozen=True, kw_only=True):
    """Who has confirmed one message of ours, member by member."""

    message_id: UUID
    audience: AudienceId
    epoch: int
    seq: int
    accepted_at: datetime
    members: tuple[Confirmation, ...]
    decisions: tuple[Decision, ...] = ()

    @property
    def received(self) -> tuple[MemberId, ...]:
        """Return the members that hold and have opened the message."""
        return self._in(Confirmed.RECEIVED)

    @property
    def waiting(self) -> tuple[MemberId, ...]:
        """Return the members that have said nothing yet."""
        return self._in(Confirmed.WAITING)

    @property
    def complete(self) -> bool:
        """Tell whether every member that can be sealed to has opened the message."""
        return all(each.state in {Confirmed.RECEIVED, Confirmed.KEYLESS} for each in self.members)

    def _in(self, state: Confirmed) -> tuple[MemberId, ...]:
        return tuple(each.member for each in self.members if each.state is state)


class Item(Answer, frozen=True, kw_only=True):
    """One message of the inbox. `recipients` empty: it was for the whole audience.

    `position` grows with arrival and is never given twice; 0 is a message of this member's own.
    """

    position: int
    publisher: MemberId
    audience: AudienceId
    recipients: tuple[MemberId, ...]
    epoch: int
    seq: int
    flags: tuple[str, ...]
    received_at: datetime
    message: Message


class Page(Answer, frozen=True, kw_only=True):
    """Some items; `position` is the place to go on from, whether there were any or not."""

    items: tuple[Item, ...]
    position: int


class StreamState(StrEnum):
    """Say how a stream stands, the most urgent word first."""

    REFUSED = "REFUSED"
    """The broker does not let this member read (or, on its own stream, write)."""
    MISSING = "MISSING"
    """The topic is not on the cluster."""
    STOPPED = "STOPPED"
    """Our own: the broker holds what this store never made; only a new epoch goes on."""
    EQUIVOCATION = "EQUIVOCATION"
    """Two statements stand for one place."""
    HELD = "HELD"
    """The next statement was sealed by a directory that this node has not seen yet."""
    GAP = "GAP"
    """Statements are missing below the head, or are waited for."""
    WITHHELD = "WITHHELD"
    """Its publisher or another reader knows of more than the broker has given us."""
    TRUNCATED = "TRUNCATED"
    """A new epoch left out statements that we hold."""
    OUTDATED = "OUTDATED"
    """Its publisher still seals to somebody who was removed from the audience."""
    CATCHING_UP = "CATCHING_UP"
    """Much is being read that came while nobody read; what is said of its end is judged then."""
    STALE = "STALE"
    """The next heartbeat is overdue."""
    FULL = "FULL"
    """Our own: so much waits for the broker that nothing more is accepted."""
    UNSENT = "UNSENT"
    """Our own: the broker does not take statements at the moment; they wait."""
    UNCONFIRMED = "UNCONFIRMED"
    """Our own: a reader that is alive elsewhere confirms nothing more."""
    ENDED = "ENDED"
    """Nothing more may come: its publisher or this member left the audience, or the audience is over."""
    EMPTY = "EMPTY"
    """Nothing was said yet."""
    OK = "OK"


class StreamView(Answer, frozen=True, kw_only=True):
    """One stream as this node sees it.

    `seq` -1: nothing yet. `lag` is how many statements are known of and not here; of our own stream,
    how many the broker does not hold, `unsent_bytes` how much that is, and `unsent_since` when the oldest
    of them was signed. `anchored` is where this reader began when not at the start.
    `to_come` is how many records of another's stream the broker says that it holds and that were not read
    yet, `ready_s` in how many seconds those of all streams will be, None while that is not known.
    `checkpoint_seq` is the last checkpoint, -1 if none: up to it the chain is signed with ML-DSA too.
    `confirmed` and `behind` tell, of our own stream, who has confirmed all that asks for it, and
    `unconfirmed` who is behind for long while it is alive elsewhere.
    """

    audience: AudienceId
    publisher: MemberId
    own: bool
    state: StreamState
    detail: str = ""
    epoch: int
    seq: int
    age_s: float | None = None
    lag: int = 0
    unsent_bytes: int = 0
    unsent_since: datetime | None = None
    to_come: int = 0
    ready_s: float | None = None
    gaps: int = 0
    evidence: int = 0
    anchored: int | None = None
    checkpoint_epoch: int = 0
    checkpoint_seq: int = -1
    confirmed: tuple[MemberId, ...] = ()
    behind: tuple[MemberId, ...] = ()
    unconfirmed: tuple[MemberId, ...] = ()


class Quarantined(Answer, frozen=True, kw_only=True):
    """One refused record or message; `proven` if its author signed it. `offset` -1: not from a topic."""

    position: int
    audience: AudienceId
    publisher: MemberId
    offset: int
    proven: bool
    code: str
    detail: str
    kept_at: datetime
    record: bytes


class EvidenceView(Answer, frozen=True, kw_only=True):
    """A signed record that contradicts what is held: EQUIVOCATION, TRUNCATED, or FORKED_CLAIM.

    Of a FORKED_CLAIM the record is that of the witness who named another hash.
    """

    kind: str
    audience: AudienceId
    publisher: MemberId
    epoch: int
    seq: int
    hash: str
    known_hash: str
    kept_at: datetime
    record: bytes


class KeptBack(Answer, frozen=True, kw_only=True):
    """A member's new keys that the member has not vouched for: no effect before `effective_at`."""

    member: MemberId
    change: str
    since: datetime
    effective_at: datetime


class Counts(Answer, frozen=True, kw_only=True):
    """What this store has seen in its life: messages, statements, refusals."""

    published: int
    """Messages of ours that were accepted, receipts apart."""
    unsent: int
    """Statements of ours that the broker is not known to hold."""
    held: int
    """Messages in the inbox."""
    opened: int
    """Statements of others that were opened, receipts among them."""
    not_for_me: int
    """Statements to a list that does not name this member."""
    refused: int
    """Records and messages in quarantine, those no longer kept included."""


class NodeStatus(Answer, frozen=True, kw_only=True):
    """How a node does; `problems` is empty when all is well, else one line for each."""

    federation: str
    member: MemberId
    name: str
    version: str
    pid: int
    started_at: datetime
    bootstrap: str
    broker_answers: bool
    directory_version: int
    directory_standing: str
    directory_expires_at: datetime | None
    certificate_expires_at: datetime | None
    kept_back: tuple[KeptBack, ...]
    counts: Counts
    problems: tuple[str, ...]


def item_json(item: Item) -> dict[str, Any]:
    """Return the item as JSON values, its message as `almenara publish` takes it."""
    fields: dict[str, Any] = {
        name: msgspec.to_builtins(getattr(item, name)) for name in item.__struct_fields__ if name != "message"
    }
    return {**fields, "message": message_json(item.message)}


def parse_item(value: dict[str, Any]) -> Item:
    """Return the item that `item_json` was called on."""
    fields = dict(value)
    received_at = msgspec.convert(fields.pop("received_at"), datetime)
    message = parse_message_object(fields.pop("message"), now=received_at)
    return msgspec.convert({**fields, "received_at": received_at, "message": message}, Item)
