"""When is a stream's history signed for the time after Ed25519, and how?

Once a day a stream that has said something gets a checkpoint: a statement in its chain, without a
message, signed with the member's ML-DSA key too. By the chain's hashes it covers all before it. A
stream at rest gets none, and a member without a checkpoint key makes none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.clock import from_micros
from almenara.publisher.groups import Group

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from almenara.store.outbox import OwnHead

LOOK_INTERVAL_S = 60.0
"""How often the publisher looks whether a checkpoint is due; a minute is nothing beside a day."""


def due(heads: Iterable[OwnHead], *, interval: timedelta, now: datetime) -> list[Group]:
    """Return the checkpoints that are due: of streams whose oldest uncovered statement is that old."""
    return [
        Group(audience=head.audience, recipients=(), elicits_receipt=False, messages=(), checkpoint=True)
        for head in heads
        if head.uncovered_since and from_micros(head.uncovered_since) + interval <= now
    ]
