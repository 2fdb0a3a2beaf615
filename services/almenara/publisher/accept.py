"""May this message be published, to whom, and who should confirm it? Decided before it waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from almenara.errors import Code, Fault, MessageRefused
from almenara.model.codes import BARRED_WHEN_CLOSED, Kind
from almenara.model.json import shaped
from almenara.model.rules import check
from almenara.publisher.groups import Accepted, stands_alone
from almenara.wire.messages import content_hash, encode_message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from almenara.model.ids import AudienceId, MemberId
    from almenara.model.messages import Message
    from almenara.trust.directory import Audience, Directory


def accept(
    message: Message,
    *,
    member: MemberId,
    audience: AudienceId,
    to: Sequence[MemberId] | None,
    directory: Directory,
    now: datetime,
) -> Accepted:
    """Return the message ready for a statement; `to` None means the whole audience.

    Raises MessageRefused with every rule fault, or with the faults of audience and recipients;
    StatementRefused for an unknown audience. An empty list is refused: it never means everyone.
    """
    entry = directory.audience(audience)
    recipients = tuple(sorted(set(message.recipients if to is None else to)))
    faults = list(_audience_faults(entry, message, member, now))
    if to is not None and not recipients:
        faults.append(Fault(Code.REQUIRED, "$.recipients", "an empty list reaches nobody; name a member"))
    if to is not None and message.recipients and set(message.recipients) != set(recipients):
        faults.append(
            Fault(Code.CONFLICT, "$.recipients", "the message names other recipients than the call; drop one")
        )
    faults.extend(_recipient_faults(entry, recipients, member, directory))
    message = shaped(msgspec.structs.replace(message, recipients=recipients))
    try:
        check(message, now=now, audience=audience)
    except MessageRefused as refusal:
        faults.extend(refusal.faults)
    if faults:
        raise MessageRefused(list(dict.fromkeys(faults)))
    item = encode_message(message)
    readers = recipients or sorted(entry.members)
    return Accepted(
        audience=audience,
        recipients=recipients,
        expected=tuple(reader for reader in readers if reader != member),
        message_id=message.message_id.bytes,
        content=content_hash(item, audience, recipients),
        kind=message.kind,
        reference=message.reference,
        item=item,
        elicits_receipt=message.kind is not Kind.RECEIPT,
        alone=stands_alone(message),
    )


def may_confirm(
    audience: AudienceId, *, member: MemberId, directory: Directory | None, now: datetime
) -> bool:
    """Tell whether receipts may be published to an audience: not once it is over, or left."""
    entry = directory.audiences.get(audience) if directory is not None else None
    return entry is not None and member in entry.members and not entry.is_over(now)


def _audience_faults(entry: Audience, message: Message, member: MemberId, now: datetime) -> Sequence[Fault]:
    if member not in entry.members:
        return [
            Fault(
                Code.NOT_IN_AUDIENCE,
                "$.audience",
                f"{member} is not in audience {entry.id}; see the directory",
            )
        ]
    if entry.ends_at is not None and entry.is_over(now):
        return [
            Fault(
                Code.AUDIENCE_CLOSED,
                "$.audience",
                f"{entry.id} closed, and its retention ended {entry.ends_at:%Y-%m-%d %H:%MZ}; nothing more"
                " reaches it, name another audience",
            )
        ]
    barred = message.kind in BARRED_WHEN_CLOSED
    if barred and entry.opens_at is not None and now < entry.opens_at:
        return [
            Fault(Code.AUDIENCE_CLOSED, "$.audience", f"{entry.id} opens {entry.opens_at:%Y-%m-%d %H:%MZ}")
        ]
    if barred and entry.closes_at is not None and now >= entry.closes_at:
        return [
            Fault(
                Code.AUDIENCE_CLOSED,
                "$.audience",
                f"{entry.id} closed {entry.closes_at:%Y-%m-%d %H:%MZ}; results and withdrawals go on, new"
                " alerts and profiles do not",
            )
        ]
    return []


def _recipient_faults(
    entry: Audience, recipients: Sequence[MemberId], member: MemberId, directory: Directory
) -> Sequence[Fault]:
    faults = []
    for index, recipient in enumerate(recipients):
        path = f"$.recipients[{index}]"
        if recipient not in directory.members:
            faults.append(Fault(Code.UNKNOWN_MEMBER, path, f"no member {recipient} in the directory"))
        elif recipient == member:
            faults.append(Fault(Code.CONFLICT, path, f"{recipient} is the author; it keeps its own copy"))
        elif recipient not in entry.members:
            faults.append(Fault(Code.NOT_IN_AUDIENCE, path, f"{recipient} is not in audience {entry.id}"))
    return faults
