"""What can somebody do who has the broker and its strongest certificate, but no member's key?

Two things are tried, both put straight into Kafka as the operator:

    forgery   a withdrawal in a member's name, sealed to all its readers, that would stop the controls
              of its alert everywhere: signed, but with another key
    replay    a genuine record of the member, taken from one stream and put onto another
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from almenara.bus.kafka import Sender
from almenara.clock import to_micros
from almenara.demo.expected import Injected
from almenara.errors import Code
from almenara.model.bodies import RiskAlertWithdrawal
from almenara.model.codes import Tlp, WithdrawalReason
from almenara.model.ids import REGION, AudienceId, Stream
from almenara.model.messages import Handling, Message
from almenara.model.uuid7 import uuid7
from almenara.trust.certificates import client_context
from almenara.trust.keys import create_signing_key
from almenara.trust.signer import make_statement
from almenara.wire.messages import encode_batch, encode_message
from almenara.wire.records import (
    Scope,
    Signature,
    encode_record,
    parse_record,
    parse_statement,
    statement_hash,
)
from almenara.wire.seal import StreamContext, new_sender_key, wrap_all

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime
    from pathlib import Path
    from uuid import UUID

    from almenara.coordinator.federation import Federation
    from almenara.model.ids import MemberId
    from almenara.trust.directory import Directory


def forged_withdrawal(
    genuine: bytes, target: UUID, *, directory: Directory, key_file: Path, now: datetime
) -> bytes:
    """Return a record that would withdraw a message, as if its author had said so next on its stream.

    `genuine` is the record to go on from. The intruder's own key is made in `key_file`.
    """
    record = parse_record(genuine)
    head = parse_statement(record.payload).head
    message = Message(
        message_id=uuid7(now),
        version=2,
        supersedes=target,
        issued_at=now,
        handling=Handling(tlp=Tlp.GREEN),
        body=RiskAlertWithdrawal(target=target, reason=WithdrawalReason.RESOLVED),
    )
    context = StreamContext.of(head)
    sender_key = new_sender_key()
    slots = {key_id: public for key_id, (_, public) in directory.sealing_slots(head.audience).items()}
    own = directory.member(head.publisher).sealing_key
    if own is None:
        raise AssertionError("a member of the demonstration has a sealing key")
    signed = make_statement(
        create_signing_key(key_file, passphrase=None),
        context=context,
        seq=head.seq + 1,
        prev=statement_hash(record.payload),
        issued_at=to_micros(now),
        directory_version=directory.version,
        scope=Scope.AUDIENCE,
        elicits_receipt=True,
        sender_key=sender_key,
        key_wraps=wrap_all(sender_key, context=context, slots=slots, entitled=slots.keys(), own=own.key_id),
        batch=encode_batch((), [encode_message(message)]),
    )
    # It claims the author's key; under its own nobody would look at it twice.
    forged = parse_record(signed.record)
    claimed = Signature(key_id=record.signatures[0].key_id, signature=forged.signatures[0].signature)
    return encode_record(replace(forged, signatures=(claimed,)))


async def inject(
    federation: Federation,
    genuine: bytes,
    target: UUID,
    *,
    publisher: MemberId,
    other: AudienceId,
    audiences: Mapping[AudienceId, Collection[MemberId]],
    key_file: Path,
    now: datetime,
) -> tuple[Injected, Injected]:
    """Put a forgery onto the publisher's region stream and a replay onto its stream of another audience.

    `genuine` is a record of its region stream that carries the message `target`. Raises what the
    broker raises.
    """
    forged = forged_withdrawal(
        genuine, target, directory=federation.published(now).directory, key_file=key_file, now=now
    )
    injected = (
        Injected(
            name="forged withdrawal",
            stream=Stream(REGION, publisher),
            record=forged,
            code=Code.BAD_SIGNATURE,
            readers=frozenset(audiences[REGION]) - {publisher},
        ),
        Injected(
            name="replayed alert",
            stream=Stream(other, publisher),
            record=genuine,
            code=Code.WRONG_STREAM,
            readers=frozenset(audiences[other]) - {publisher},
        ),
    )
    context = client_context(
        certificate=federation.operator_path, key=federation.operator_path, ca=federation.ca_path
    )
    async with Sender(federation.bootstrap(), context, client_id="intruder") as sender:
        for each in injected:
            await sender.send(each.stream.topic(federation.name), [each.record])
    return injected
