"""Which accepted messages may share a statement, and where is a statement cut?

Group commit: whatever waits for one stream and one set of recipients goes into one statement, so
that under load one signature, one disk flush and one Kafka record carry hundreds. At rest one
message is one statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from almenara.model.codes import Tlp
from almenara.model.ids import AudienceId, MemberId
from almenara.wire.seal import BATCH_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from almenara.model.messages import Message

STATEMENT_MESSAGES_MAX = 512
"""Messages a statement (DESIGN 3): beyond it a signature's cost a message is already noise."""

BATCH_OVERHEAD = 64
"""Bytes a batch needs beside its items and recipients: marker, fingerprint, block counts."""

RECIPIENT_BYTES = 20
"""Bytes one recipient takes in a batch at most: `X-` and 16 letters, and a length."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A message that passed every check of its author's node, encoded, on its way to a statement."""

    audience: AudienceId
    recipients: tuple[MemberId, ...]
    expected: tuple[MemberId, ...]
    message_id: bytes
    content: bytes
    kind: str
    reference: str
    item: bytes
    elicits_receipt: bool
    alone: bool


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Messages for one statement: same stream, same recipients, within one bucket.

    A checkpoint has none.
    """

    audience: AudienceId
    recipients: tuple[MemberId, ...]
    elicits_receipt: bool
    messages: tuple[Accepted, ...]
    checkpoint: bool = False


def stands_alone(message: Message) -> bool:
    """Tell whether a message gets a statement of its own: RED and personal data do."""
    return message.handling.tlp is Tlp.RED or message.handling.personal_data


def grouped(waiting: Iterable[Accepted]) -> Iterator[Group]:
    """Yield the groups, each stream's and list's messages in the order they were accepted."""
    open_groups: dict[tuple[AudienceId, tuple[MemberId, ...], bool], list[Accepted]] = {}
    sizes: dict[tuple[AudienceId, tuple[MemberId, ...], bool], int] = {}
    for message in waiting:
        key = (message.audience, message.recipients, message.elicits_receipt)
        group = open_groups.setdefault(key, [])
        size = sizes.get(key, 0) + len(message.item)
        full = len(group) >= STATEMENT_MESSAGES_MAX or size > room(message.recipients)
        if group and (message.alone or group[0].alone or full):
            yield _closed(key, group)
            open_groups[key] = group = []
        if not group:
            sizes[key] = 0
        group.append(message)
        sizes[key] += len(message.item)
    for key, group in open_groups.items():
        yield _closed(key, group)


def room(recipients: Sequence[MemberId]) -> int:
    """Return how many bytes of messages fit one statement to these recipients."""
    return BATCH_MAX - BATCH_OVERHEAD - RECIPIENT_BYTES * len(recipients)


def _closed(key: tuple[AudienceId, tuple[MemberId, ...], bool], messages: list[Accepted]) -> Group:
    return Group(audience=key[0], recipients=key[1], elicits_receipt=key[2], messages=tuple(messages))
