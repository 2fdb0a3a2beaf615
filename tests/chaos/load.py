"""Who publishes and reads during a storm? Callers and followers of the SDK, over each node's socket.

A stubborn caller offers the same message until it is told that it was accepted. A fickle one asks once,
waits a moment and gives up: it never learns what became of its message. A follower reads the inbox as it
grows and goes on where it was when its node comes back.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from alerts import new_alert
from almenara.demo.chains import Place
from almenara.errors import AlmenaraError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from almenara.client import Bus
    from almenara.model.ids import MemberId
    from almenara.model.messages import Message

CALLERS = 2
"""Callers of each member; each waits for its answer before it offers more."""

BURST, BURST_SHARE = 15, 0.08
"""So many messages at once in some calls: they share statements."""

LIST_SHARE = 0.15
FICKLE_SHARE = 0.15

FICKLE_PATIENCE_S = (0.002, 0.05)
"""From before the message is on disk to well after."""

RETRY_S = 0.1


class Offer(NamedTuple):
    """A message that was offered to its author's node; `told` is where it stands, None if never told."""

    publisher: MemberId
    message: Message
    offered_at: float
    told: Place | None


class Callers:
    """Publish for all members until `finish`; each caller so often a second when it is answered at once."""

    def __init__(self, seed: int, buses: Mapping[MemberId, Bus], *, calls_per_s: float) -> None:
        self._seed = seed
        self._buses = buses
        self._calls_per_s = calls_per_s
        self._finishing = asyncio.Event()
        self.offers: list[Offer] = []
        self.faults: list[str] = []

    def finish(self) -> None:
        """Offer nothing new; stubborn callers still wait for their answers."""
        self._finishing.set()

    async def run(self) -> None:
        """Let every caller call until `finish` and until it has its answers."""
        async with asyncio.TaskGroup() as tasks:
            for member in self._buses:
                for number in range(CALLERS):
                    tasks.create_task(self._call(member, Random(f"{self._seed} {member} {number}")))

    async def _call(self, member: MemberId, random: Random) -> None:
        while not self._finishing.is_set():
            count = BURST if random.random() < BURST_SHARE else 1
            async with asyncio.TaskGroup() as tasks:
                for _ in range(count):
                    tasks.create_task(self._offer(member, *self._draw(member, random)))
            await asyncio.sleep(random.expovariate(self._calls_per_s))

    def _draw(self, member: MemberId, random: Random) -> tuple[Message, float | None]:
        """Return a message and how long its caller waits, None for a stubborn one."""
        others = [other for other in self._buses if other != member]
        listed = random.random() < LIST_SHARE
        recipients = (random.choice(others),) if listed else ()
        patience_s = random.uniform(*FICKLE_PATIENCE_S) if random.random() < FICKLE_SHARE else None
        return new_alert(recipients=recipients), patience_s

    async def _offer(self, member: MemberId, message: Message, patience_s: float | None) -> None:
        offered_at = time.monotonic()
        told = None
        try:
            async with asyncio.timeout(patience_s):
                told = await self._publish(member, message, stubborn=patience_s is None)
        except TimeoutError:
            pass
        except AlmenaraError as error:
            self.faults.append(f"message {message.message_id} of {member}: {error}")
        finally:
            self.offers.append(Offer(member, message, offered_at, told))

    async def _publish(self, member: MemberId, message: Message, *, stubborn: bool) -> Place | None:
        while True:
            try:
                handle = await self._buses[member].publish(message)
            except Unavailable:
                if not stubborn:
                    return None
                await asyncio.sleep(RETRY_S)
            else:
                return Place(handle.accepted.epoch, handle.accepted.seq)


class Follower:
    """Read one member's inbox as it grows; `first_at` says when it was first shown a message."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._shown: list[tuple[int, tuple[MemberId, UUID]]] = []
        self._reading = asyncio.timeout(None)
        self.position = 0
        self.first_at: dict[tuple[MemberId, UUID], float] = {}

    @property
    def shown(self) -> Counter[tuple[MemberId, UUID]]:
        """Return how often it was shown each message."""
        return Counter(identity for _, identity in self._shown)

    def go_back(self, position: int) -> None:
        """Follow a store that became an earlier one: what that does not hold any more it will show again."""
        self._shown = [shown for shown in self._shown if shown[0] <= position]
        self.position = min(self.position, position)
        with suppress(RuntimeError):  # it waits for its node: then it begins anew in any case
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Read for ever; a node that is away is asked again from the same position."""
        while True:
            try:
                async with asyncio.timeout(None) as self._reading:
                    async for item in self._bus.subscribe(after=self.position):
                        identity = (item.publisher, item.message.message_id)
                        self._shown.append((item.position, identity))
                        self.first_at.setdefault(identity, time.monotonic())
                        self.position = item.position
            except (Unavailable, TimeoutError):
                await asyncio.sleep(RETRY_S)
