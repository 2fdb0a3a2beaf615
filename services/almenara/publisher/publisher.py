"""How does a member publish? Accept, seal, sign, commit, answer, send.

    publish() --> waiting --(one writer takes all that waits)--> sealed, signed, committed --> answered
                                                                    |
                                                                    +--> sent to the broker, in order

Crash points: before the commit nothing was promised and nothing left; after it the signed bytes
stand in the store and are sent, or sent again, as they are. A statement is never signed twice.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from almenara import clock
from almenara.crash import Point, crash_point
from almenara.errors import AlmenaraError, Code, Misconfigured, Refused, Unavailable
from almenara.publisher.accept import accept, may_confirm
from almenara.publisher.checkpoints import LOOK_INTERVAL_S, due
from almenara.publisher.commit import commit
from almenara.publisher.receipts import confirm_what_was_received
from almenara.publisher.room import Queue, outbox_full
from almenara.publisher.sealing import Sealer
from almenara.publisher.sending import Sending
from almenara.publisher.settling import Settling
from almenara.publisher.shares import share_owed_keys
from almenara.publisher.waiting import Waiting
from almenara.store import directory as directory_row
from almenara.store import highwater, outbox
from almenara.trust.continuity import directory_from_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from almenara.bus.kafka import Reader, Sender
    from almenara.model.ids import AudienceId, MemberId
    from almenara.model.messages import Message
    from almenara.publisher.groups import Accepted, Group
    from almenara.publisher.settings import PublisherSettings
    from almenara.store.database import Store
    from almenara.store.outbox import Outgoing, OwnHead
    from almenara.trust.directory import Directory
    from almenara.trust.heldkeys import HeldKeys
    from almenara.trust.keys import CheckpointKey
    from almenara.trust.keyuri import Signer

MARK_INTERVAL_S = 1.0
"""How soon what the broker took is marked at rest; under load the marks ride with the next commit."""

log = structlog.get_logger()


class Publisher:
    """Publish for one member. `publish` may be called from any number of tasks while `run` runs."""

    def __init__(
        self,
        *,
        federation: str,
        member: MemberId,
        signing_keys: HeldKeys[Signer],
        store: Store,
        settings: PublisherSettings,
        marks: Path,
        checkpoint_keys: HeldKeys[CheckpointKey] | None = None,
    ) -> None:
        self._federation = federation
        self._member = member
        self._store = store
        self._settings = settings
        self._sealer = Sealer(
            federation=federation, member=member, signing_keys=signing_keys, checkpoint_keys=checkpoint_keys
        )
        self._sending = Sending(federation=federation, member=member, store=store, retry_s=settings.retry_s)
        self._waiting = Queue()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._heads: dict[AudienceId, OwnHead] = {}
        self._marks_file = marks
        self._marked: dict[AudienceId, OwnHead] = {}
        self._settling = Settling(
            member=member,
            store=store,
            sending=self._sending,
            head=self._head,
            adopt=self._adopt,
            retry_s=settings.retry_s,
        )
        self._directory: Directory | None = None
        self._verified_at = 0
        self._next_look = 0.0
        self._closing = False
        self._in_doubt = False

    # -- what callers use --------------------------------------------------------------------

    async def publish(
        self, message: Message, *, audience: AudienceId, to: Sequence[MemberId] | None = None
    ) -> Outgoing:
        """Accept a message durably and return where it stands.

        When this returns, the signed bytes are on disk and will reach the broker whatever crashes.
        The same message again returns the same place. Raises MessageRefused with all faults, Refused
        MESSAGE_ID_REUSED, Unavailable OUTBOX_FULL while too much waits already, Unavailable when the
        directory or the store cannot take it.
        """
        accepted = self.check(message, audience=audience, to=to)
        await self._settling.asked(audience)
        if self._closing:
            raise _stopping()
        if accepted.elicits_receipt:
            self._waiting.require_room()
            if (full := self._full(audience)) is not None:
                raise full
        answer: asyncio.Future[Outgoing] = asyncio.get_running_loop().create_future()
        self._waiting.put(Waiting(accepted, answer))
        self._idle.clear()
        self._wake.set()
        return await answer

    def check(
        self, message: Message, *, audience: AudienceId, to: Sequence[MemberId] | None = None
    ) -> Accepted:
        """Return the message as it would be published, or raise what `publish` would raise of it."""
        now = clock.now()
        directory = self._publishable_directory()
        return accept(message, member=self._member, audience=audience, to=to, directory=directory, now=now)

    @property
    def directory(self) -> Directory | None:
        """Return the directory by which this publisher seals, None before the first was verified."""
        return self._directory

    def require_directory(self) -> Directory:
        """Return the directory; raise Unavailable DIRECTORY_MISSING before the first was verified."""
        if self._directory is None:
            raise Unavailable(
                Code.DIRECTORY_MISSING, "directory: none verified yet; is the broker reachable?"
            )
        return self._directory

    def fault(self, audience: AudienceId) -> AlmenaraError | None:
        """Return why statements of a stream do not leave at the moment, None when they do.

        A full outbox is the reason to tell where the broker is away; its refusal says more.
        """
        fault = self._settling.stopped(audience) or self._sending.fault(audience)
        return fault if isinstance(fault, Refused) else self._full(audience) or fault

    def unsent_bytes(self, audience: AudienceId) -> int:
        """Return how many bytes of a stream's statements wait for the broker."""
        return self._sending.unsent_bytes(audience)

    def _full(self, audience: AudienceId) -> Unavailable | None:
        return outbox_full(
            audience, self._sending.unsent_bytes(audience), most=self._settings.outbox_max_bytes
        )

    # -- the daemon --------------------------------------------------------------------------

    async def load(self) -> None:
        """Take up where the store stands: directory and heads of this member's streams."""
        self._heads = await self._store.read(outbox.own_heads)
        for audience, unsent_bytes in (await self._store.read(outbox.unsent_bytes)).items():
            self._sending.left(audience, unsent_bytes)
        self._marked = self._heads
        self._settling.lost = highwater.lost(self._heads, highwater.read_marks(self._marks_file))
        await self._reload_directory()
        mine = () if self._directory is None else self._directory.audiences_of(self._member, now=clock.now())
        for audience in sorted({*self._heads, *self._settling.lost, *(each.id for each in mine)}):
            self._settling.begin(audience)

    def _head(self, audience: AudienceId) -> OwnHead | None:
        return self._heads.get(audience)

    def _adopt(self, head: OwnHead) -> None:
        self._heads = self._heads | {head.audience: head}

    async def run(self, *, sender: Sender, reader: Reader, stopping: asyncio.Event) -> None:
        """Publish until `stopping` is set, then drain what was accepted and return.

        The broker may be away at any time: what is accepted waits in the store.
        """
        async with asyncio.TaskGroup() as tasks:
            endless = [
                tasks.create_task(self._write()),
                tasks.create_task(self._watch_store()),
                tasks.create_task(self._send(sender, reader)),
                tasks.create_task(self._heartbeats()),
                tasks.create_task(self._mark()),
                tasks.create_task(
                    confirm_what_was_received(
                        self._store,
                        lambda receipt, audience: self.publish(receipt, audience=audience),
                        may_publish=self._may_say,
                        stopping=stopping,
                        poll_s=self._settings.store_poll_s,
                        interval_s=self._settings.receipt_interval_s,
                    )
                ),
                tasks.create_task(
                    share_owed_keys(
                        self._store,
                        lambda share, audience, reader: self.publish(share, audience=audience, to=[reader]),
                        member=self._member,
                        directory=lambda: self._directory,
                        may_publish=self._may_say,
                        stopping=stopping,
                        poll_s=self._settings.store_poll_s,
                    )
                ),
            ]
            try:
                await stopping.wait()
                self._closing = True
                await self._idle.wait()
                # What the broker does not take in time is sent after the next start.
                await self._sending.finish(self._settings.drain_s)
                await self._mark_sent()
                await self._write_marks()
            finally:
                self._closing = True
                for waiting in self._waiting:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(_stopping())
                for task in endless:
                    task.cancel()

    async def _write(self) -> None:
        look_s = min(LOOK_INTERVAL_S, self._settings.checkpoint_interval_s)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(look_s):
                    await self._wake.wait()
            self._wake.clear()
            self._idle.clear()
            while self._waiting:
                taken = list(self._waiting)
                try:
                    await self._commit(taken)
                except AlmenaraError as error:
                    log.warning("publish.failed", messages=len(taken), code=error.code, error=error.text)
                    for waiting in taken:
                        if not waiting.answer.done():
                            waiting.answer.set_exception(error)
                self._waiting.let_go(len(taken))
            await self._checkpoint()
            self._idle.set()

    def _may_say(self, audience: AudienceId) -> bool:
        """Tell whether receipts and checkpoints may be said now.

        They can wait until the tail was seen, and while the broker takes nothing: the next says as much,
        and in a long absence they would fill the disk.
        """
        silent = self._sending.holds(audience) or self._sending.fault(audience) is not None
        return not silent and may_confirm(
            audience, member=self._member, directory=self._directory, now=clock.now()
        )

    async def _checkpoint(self) -> None:
        """Commit the checkpoints that are due; what fails is tried again at a later look."""
        interval_s = self._settings.checkpoint_interval_s
        time = asyncio.get_running_loop().time()
        if self._directory is None or self._closing or time < self._next_look:
            return
        self._next_look = time + min(LOOK_INTERVAL_S, interval_s)
        heads = [
            head
            for head in self._heads.values()
            if self._settling.stopped(head.audience) is None and self._may_say(head.audience)
        ]
        groups = due(heads, interval=timedelta(seconds=interval_s), now=clock.now())
        if not groups or self._sealer.checkpoint_key(self._directory) is None:
            return
        try:
            await self._commit([], groups)
        except AlmenaraError as error:
            log.warning("checkpoint.failed", code=error.code, error=error.text)

    async def _commit(self, taken: list[Waiting], checkpoints: Sequence[Group] = ()) -> None:
        """Seal, sign and commit what was taken in one transaction, then answer and send it."""
        crash_point(Point.OUTBOX_TAKEN)
        if self._in_doubt:
            await self._ask_store()
        acknowledged = self._sending.acknowledgements()
        work = partial(
            commit,
            self._store,
            self._sealer,
            [waiting.accepted for waiting in taken],
            checkpoints=checkpoints,
            acknowledged=acknowledged,
            heads=self._heads,
            directory=self._publishable_directory(),
            now=clock.now(),
        )
        try:
            committed = await self._store.in_writer(work)
        except Unavailable as error:
            self._in_doubt = error.code is Code.STORE_AWAY
            raise
        self._sending.marked(acknowledged)
        self._heads = self._heads | committed.heads
        for waiting in taken:
            if not waiting.answer.done():
                waiting.tell(committed.placed[waiting.accepted.message_id])
        crash_point(Point.OUTBOX_ANSWERED)
        for audience, records in committed.records.items():
            self._sending.committed(audience, records)

    async def _ask_store(self) -> None:
        """Take up the heads after the store went away in a commit: it kept the whole of it or nothing.

        It is asked in a write, which waits for a commit that its server has not finished yet.
        """
        heads = await self._store.write(outbox.own_heads)
        for audience in sorted(name for name, head in heads.items() if head != self._heads.get(name)):
            log.info("stream.committed_unseen", audience=audience)
            self._sending.leave_to_store(audience)
        self._heads = heads
        self._in_doubt = False

    async def _watch_store(self) -> None:
        """Load the directory again when the subscriber has verified a newer one."""
        while True:
            await asyncio.sleep(self._settings.store_poll_s)
            try:
                await self._reload_directory()
            except Unavailable as error:
                log.warning("directory.not_reloaded", code=error.code, error=error.text)

    async def _reload_directory(self) -> None:
        verified_at = await self._store.read(directory_row.verified_at)
        if verified_at == self._verified_at:
            return
        targets = await self._store.read(directory_row.load)
        if targets is not None:
            directory = directory_from_bytes(targets)
            entry = directory.members.get(self._member)
            if entry is not None:
                await self._sealer.signing_keys.take_up(entry.signing_key_ids())
                await self._sealer.checkpoint_keys.take_up([key.key_id for key in entry.checkpoint_keys[:1]])
            self._directory = directory
            self._verified_at = verified_at

    def _publishable_directory(self) -> Directory:
        directory = self.require_directory()
        directory.require_publishable(clock.now())
        return directory

    async def _send(self, sender: Sender, reader: Reader) -> None:
        """Send each stream, once the broker was seen to hold nothing of it that the store does not."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settling.run(reader, self._publishable_directory))
            await self._sending.run(sender)

    async def _heartbeats(self) -> None:
        """Say on every stream of ours, on time, where its head stands."""
        while True:
            if self._directory is not None:
                await self._beat(self._directory, clock.now())
            await asyncio.sleep(self._settings.heartbeat_interval_s)

    async def _beat(self, directory: Directory, now: datetime) -> None:
        settings = self._settings
        next_by = now + timedelta(seconds=settings.heartbeat_interval_s + settings.heartbeat_grace_s)
        sign = partial(self._sealer.heartbeat, directory=directory, now=now, next_by=next_by)
        for audience in directory.audiences_of(self._member, now=now):
            if self._settling.stopped(audience.id) is not None:
                continue
            try:
                # In the thread that signs statements too: a token may take its time.
                record = await self._store.in_writer(partial(sign, audience.id, self._heads.get(audience.id)))
            except (Unavailable, Misconfigured) as error:
                log.warning("heartbeat.unsigned", code=error.code, error=error.text)
                return
            if not self._sending.holds(audience.id):
                self._sending.line(audience.id).heartbeat(record)

    async def _mark(self) -> None:
        while True:
            await asyncio.sleep(MARK_INTERVAL_S)
            await self._mark_sent()
            await self._write_marks()

    async def _write_marks(self) -> None:
        """Note beside the store how far was spoken: it tells a restored store from one that is whole."""
        heads = self._heads
        if heads is not self._marked:
            await asyncio.to_thread(highwater.write_marks, self._marks_file, heads)
            crash_point(Point.MARKS_WRITTEN)
            self._marked = heads

    async def _mark_sent(self) -> None:
        """Mark what the broker took; while the store cannot be written, a later time will do."""
        acknowledged = self._sending.acknowledgements()
        if not acknowledged:
            return

        def mark(connection: Connection) -> None:
            outbox.mark_sent(connection, acknowledged)
            crash_point(Point.OUTBOX_MARKING)

        try:
            await self._store.write(mark)
        except Unavailable as error:
            log.warning("outbox.not_marked", code=error.code, error=error.text)
        else:
            crash_point(Point.OUTBOX_MARKED)
            self._sending.marked(acknowledged)


def _stopping() -> Unavailable:
    return Unavailable(Code.NODE_DOWN, "node: it is stopping; send it again when it is back")
