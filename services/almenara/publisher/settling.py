"""May a stream of ours be sent, and may more be said on it? Once the broker was asked what it holds.

    unknown --begin--> held --the broker agrees--> released
                        |---the store was lost, and a person stands by the broker--> released
                        '---the broker holds what the store does not--> stopped

A stream that the store knows may be written while the broker is away: it goes on from there. One of
which the member has spoken and the store knows nothing may not: what it said must be known first.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from almenara.errors import AlmenaraError, Code, Refused, Unavailable
from almenara.model.ids import Stream
from almenara.publisher.tail import settle_tail

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from almenara.bus.kafka import Reader
    from almenara.model.ids import AudienceId, MemberId
    from almenara.publisher.sending import Sending
    from almenara.store.database import Store
    from almenara.store.outbox import OwnHead
    from almenara.trust.directory import Directory

TAIL_WAIT_S = 5.0
"""How long a caller waits for a broker that is just being asked about its stream: it takes 0.1 s."""

log = structlog.get_logger()


class Settling:
    """Ask the broker about each stream of one member before it is sent."""

    def __init__(
        self,
        *,
        member: MemberId,
        store: Store,
        sending: Sending,
        head: Callable[[AudienceId], OwnHead | None],
        adopt: Callable[[OwnHead], None],
        retry_s: float,
    ) -> None:
        self._member = member
        self._store = store
        self._sending = sending
        self._head = head
        self._adopt = adopt
        self._retry_s = retry_s
        self._tried: dict[AudienceId, asyncio.Event] = {}
        self._begun: asyncio.Queue[AudienceId] = asyncio.Queue()
        self._stopped: dict[AudienceId, AlmenaraError] = {}
        self.lost: Collection[AudienceId] = ()  # streams that the member has spoken on and the store lacks

    def begin(self, audience: AudienceId) -> None:
        """Hold a stream until the broker was asked; once for each."""
        if audience not in self._tried:
            self._sending.hold(audience, backlog=self._head(audience) is not None)
            self._tried[audience] = asyncio.Event()
            self._begun.put_nowait(audience)

    def stopped(self, audience: AudienceId) -> AlmenaraError | None:
        """Return why a stream goes on in a new epoch alone, None if it does not stand still."""
        return self._stopped.get(audience)

    async def asked(self, audience: AudienceId) -> None:
        """Return once more may be said on a stream: the broker was asked about it, or was found away.

        After a restore that nobody told of, what is signed before that is signed a second time. Raises
        Refused BROKER_AHEAD where it is stopped, Unavailable BROKER_DOWN where only the broker can tell
        what was said.
        """
        self.begin(audience)
        with suppress(TimeoutError):
            async with asyncio.timeout(TAIL_WAIT_S):
                await self._tried[audience].wait()
        if (stopped := self._stopped.get(audience)) is not None:
            raise Refused(stopped.code, stopped.text)
        if audience in self.lost and self._head(audience) is None:
            raise Unavailable(
                Code.BROKER_DOWN,
                f"stream {audience}: the store knows nothing of what this member has said on it, and the "
                "broker does not answer; it goes on once the broker was asked",
            )

    async def run(self, reader: Reader, directory: Callable[[], Directory]) -> None:
        """Ask about each stream that was begun, for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                audience = await self._begun.get()
                tasks.create_task(self._settle(audience, reader, directory))

    async def _settle(self, audience: AudienceId, reader: Reader, directory: Callable[[], Directory]) -> None:
        tried = self._tried[audience]
        try:
            adopted = await settle_tail(
                reader,
                self._store,
                stream=Stream(audience, self._member),
                head=lambda: self._head(audience),
                directory=directory,
                retry_s=self._retry_s,
                tried=tried,
            )
        except Refused as refusal:
            log.critical("stream.stopped", audience=audience, code=refusal.code, error=refusal.text)
            self._stopped[audience] = refusal
            self._sending.stop(audience)
        else:
            if adopted is not None:
                self._adopt(adopted)
            self._sending.release(audience)
        finally:
            tried.set()
