"""What does every message carry around its body?

A message does not name its sender: the sender is who signed the statement that holds it. Absent is
None for times and ids, "" for text and codes, () for lists.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from almenara.model.alert import Part
from almenara.model.bodies import KINDS, Body
from almenara.model.codes import (
    ControlPoint,
    Kind,
    Language,
    OfficeRole,
    Requested,
    Status,
    Tlp,
    WrittenBy,
)
from almenara.model.ids import MemberId
from almenara.model.values import Digest, Instant

EVERY_MEMBER = MemberId("")
"""The member of an action that is asked of all recipients."""


class Handling(Part, frozen=True, kw_only=True):
    """Say who may see a message, for what, on which legal basis, and until when."""

    tlp: Tlp
    purposes: tuple[str, ...] = ()
    originator_control: bool = False
    legal_basis: str = ""
    personal_data: bool = False
    retention_until: Instant | None = None


class Action(Part, frozen=True, kw_only=True):
    """Ask one member, or all of them, to do something at a point of the journey."""

    member: MemberId = EVERY_MEMBER
    requested: Requested
    control_point: ControlPoint = ControlPoint.ABSENT
    feedback_due: Instant | None = None


class Text(Part, frozen=True, kw_only=True):
    """Give title and narrative in one language."""

    lang: Language
    title: str
    narrative: str = ""
    written_by: WrittenBy = WrittenBy.HUMAN


class Attachment(Part, frozen=True, kw_only=True):
    """Refer to a document kept elsewhere, by its hash; `size` is in bytes."""

    name: str
    media_type: str
    sha256: Digest
    size: int


class Message(Part, frozen=True, kw_only=True):
    """Carry one business document; its identity is (publisher, message_id) everywhere.

    `recipients` empty means the whole audience; else the message is sealed to those members alone.
    On the wire the recipients stand once in the batch, and the kind is the branch of the body union.
    """

    message_id: UUID
    reference: str = ""
    version: int = 1
    supersedes: UUID | None = None
    in_reply_to: UUID | None = None
    conversation_id: UUID | None = None
    external_refs: tuple[str, ...] = ()
    status: Status = Status.ACTUAL
    office: str = ""
    role: OfficeRole = OfficeRole.ABSENT
    issued_at: Instant
    valid_from: Instant | None = None
    expires_at: Instant | None = None
    handling: Handling
    recipients: tuple[MemberId, ...] = ()
    actions: tuple[Action, ...] = ()
    texts: tuple[Text, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    body: Body

    @property
    def kind(self) -> Kind:
        """Return which document this is."""
        return KINDS[type(self.body)]


# msgspec (0.22) describes a type to itself when it is first decoded, and the process crashes if two
# threads come to that at once. So it is done while this module is imported, by one thread.
msgspec.json.Decoder(Message)
