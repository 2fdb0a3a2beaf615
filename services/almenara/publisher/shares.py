"""What did a member miss that had no sealing key, and how is it handed the keys once it has one?

    K announced, a member KEYLESS --> owed --the directory lists its sealing key--> shared, settled

Its slots are made up for: one receipt, sealed to it alone, holds what each would have held. A list that
leaves it out is noise here as in an announcement. Of a member that joined later nothing is owed, for a
new K begins with every join. A crash before the debts are settled shares twice, which changes nothing.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from almenara import clock
from almenara.errors import AlmenaraError
from almenara.model.bodies import Receipt, SharedKey
from almenara.model.codes import Tlp
from almenara.model.messages import Handling, Message
from almenara.model.uuid7 import uuid7
from almenara.model.values import Digest
from almenara.store import owed
from almenara.wire.seal import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from datetime import datetime

    from almenara.model.ids import AudienceId, MemberId
    from almenara.store.database import Store
    from almenara.store.owed import Debt
    from almenara.trust.directory import Directory

KEYS_MAX = 500
"""Keys a receipt: at 72 bytes each 36,000, below the cap of a message."""

VALIDITY = timedelta(days=1)

log = structlog.get_logger()


async def share_owed_keys(
    store: Store,
    publish: Callable[[Message, AudienceId, MemberId], Awaitable[object]],
    *,
    member: MemberId,
    directory: Callable[[], Directory | None],
    may_publish: Callable[[AudienceId], bool],
    stopping: asyncio.Event,
    poll_s: float,
) -> None:
    """Share what is owed whenever the directory has changed; what fails is tried again."""
    served: Directory | None = None
    while not stopping.is_set():
        await asyncio.sleep(poll_s)
        known = directory()
        if known is None or known is served:
            continue
        try:
            due = payable(await store.read(owed.owed_to), directory=known, member=member, now=clock.now())
            for reader, audience in due:
                if may_publish(audience):
                    await _share(store, publish, reader, audience, publisher=member)
        except AlmenaraError as error:
            log.warning("keys.not_shared", code=error.code, error=error.text)
            continue
        if all(may_publish(audience) for _, audience in due):
            served = known


def payable(
    owed_to: Iterable[tuple[MemberId, AudienceId]], *, directory: Directory, member: MemberId, now: datetime
) -> list[tuple[MemberId, AudienceId]]:
    """Return who can be sealed to by now, in audiences that are not over, of which `member` is too."""
    keyed = {
        (reader, audience.id)
        for audience in directory.audiences_of(member, now=now)
        for reader in audience.members - directory.keyless(audience.id)
    }
    return sorted(keyed.intersection(owed_to))


async def _share(
    store: Store,
    publish: Callable[[Message, AudienceId, MemberId], Awaitable[object]],
    reader: MemberId,
    audience: AudienceId,
    *,
    publisher: MemberId,
) -> None:
    oldest = partial(owed.debts, member=reader, audience=audience, publisher=publisher, limit=KEYS_MAX)
    while debts := await store.read(oldest):
        await publish(share_message(debts, now=clock.now()), audience, reader)
        await store.write(partial(owed.settle, rows=[debt.owed for debt in debts]))
        log.info("keys.shared", audience=audience, member=reader, keys=len(debts))


def share_message(debts: Sequence[Debt], *, now: datetime) -> Message:
    """Return the receipt that hands these keys on, noise for those of lists that leave the reader out."""
    return Message(
        message_id=uuid7(now),
        issued_at=now,
        expires_at=now + VALIDITY,
        handling=Handling(tlp=Tlp.RED),
        body=Receipt(
            keys=tuple(
                SharedKey(
                    epoch=debt.owed.epoch,
                    sender_key=Digest(debt.owed.key_id),
                    key=Digest(debt.key if debt.owed.entitled else os.urandom(KEY_BYTES)),
                )
                for debt in debts
            )
        ),
    )
