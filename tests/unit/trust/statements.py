"""Statements of the small federation, right in all or wrong in one thing, for the tests of admission."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from almenara.clock import to_micros
from almenara.model.ids import Stream
from almenara.model.json import parse_message
from almenara.trust.signer import SignedStatement, make_heartbeat, make_statement
from almenara.wire.messages import encode_batch, encode_message
from almenara.wire.records import GENESIS_PREV, Heartbeat, Scope
from almenara.wire.seal import SenderKey, StreamContext, new_sender_key, wrap_all
from unit.trust.federation import KEYS, NOW, PE, REGION, directory

if TYPE_CHECKING:
    from collections.abc import Collection

    from almenara.model.ids import MemberId
    from almenara.model.messages import Message
    from almenara.trust.keys import SigningKey
    from almenara.wire.records import KeyWrap

STREAM = Stream(REGION, PE)
CONTEXT = StreamContext(federation="ams", audience=REGION, publisher=PE, epoch=to_micros(NOW) // 1000)
K = new_sender_key()


def alert(*recipients: MemberId) -> Message:
    document = {
        "kind": "RISK_ALERT",
        "recipients": recipients,
        "handling": {"tlp": "AMBER"},
        "body": {"area": "DRUGS", "level": "HIGH", "urgency": "PRIORITY", "goods": [{"hs": "0803"}]},
    }
    return parse_message(json.dumps(document), now=NOW)


def batch(*recipients: MemberId, count: int = 1) -> bytes:
    return encode_batch(recipients, [encode_message(alert()) for _ in range(count)])


def announcement(
    readers: Collection[MemberId] | None = None, *, key: SenderKey = K, context: StreamContext = CONTEXT
) -> tuple[KeyWrap, ...]:
    """Return slots for the whole region that open for these members and PE, by default for all."""
    slots = directory().sealing_slots(REGION)
    return wrap_all(
        key,
        context=context,
        slots={key_id: public for key_id, (_, public) in slots.items()},
        entitled={key_id for key_id, (member, _) in slots.items() if readers is None or member in readers},
        own=KEYS[PE].sealing.key_id,
    )


def statement(
    signer: MemberId = PE,
    *,
    key: SigningKey | None = None,
    **changes: Any,  # noqa: ANN401 - any argument
) -> SignedStatement:
    """Return PE's statement to the region, signed by another member or key, or with arguments changed."""
    arguments: dict[str, Any] = {
        "context": CONTEXT,
        "seq": 4,
        "prev": GENESIS_PREV,
        "issued_at": to_micros(NOW),
        "directory_version": 1,
        "scope": Scope.AUDIENCE,
        "elicits_receipt": True,
        "sender_key": K,
        "key_wraps": (),
        "batch": BATCH,
    }
    return make_statement(key or KEYS[signer].signing, **{**arguments, **changes})


def heartbeat(signer: MemberId = PE, **changes: Any) -> bytes:  # noqa: ANN401 - any field
    """Return PE's heartbeat in the region, signed by another member or with fields changed."""
    said = Heartbeat(
        federation="ams",
        audience=REGION,
        publisher=PE,
        directory_version=1,
        epoch=CONTEXT.epoch,
        head_seq=4,
        head_hash=bytes(32),
        issued_at=to_micros(NOW),
        next_by=to_micros(NOW) + 30_000_000,
    )
    return make_heartbeat(KEYS[signer].signing, msgspec.structs.replace(said, **changes))


BATCH = batch()
