"""What must each member hold when all is done? Computed from the messages alone, before any is sent.

to a list     its members hold it, nobody else
to no list    all members of the audience but the author hold it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.wire.messages import encode_message

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from almenara.demo.samples import Sample


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it must stand in the inbox of each of its holders, and in no other."""

    publisher: MemberId
    message_id: bytes
    audience: AudienceId
    reference: str
    recipients: frozenset[MemberId]
    holders: frozenset[MemberId]
    item: bytes
    """The message's own bytes, as a store keeps them."""


class Injected(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was put straight into Kafka: every reader of the stream must refuse it."""

    name: str
    stream: Stream
    record: bytes
    code: str
    readers: frozenset[MemberId]


def expected(sample: Sample, audiences: Mapping[AudienceId, Collection[MemberId]]) -> Expected:
    """Return how a message must stand with the members of these audiences."""
    message = sample.message
    recipients = frozenset(message.recipients)
    return Expected(
        publisher=sample.sender,
        message_id=message.message_id.bytes,
        audience=sample.audience,
        reference=message.reference,
        recipients=recipients,
        holders=(recipients or frozenset(audiences[sample.audience])) - {sample.sender},
        item=encode_message(message),
    )
