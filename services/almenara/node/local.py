"""What does a node answer from its store and its publisher? The questions of service.py, in its process."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from msgspec.structs import replace

from almenara import clock
from almenara.bus.kafka import require_answer
from almenara.clock import from_micros
from almenara.errors import AlmenaraError, MessageRefused, Unavailable
from almenara.model.ids import MemberId, Stream
from almenara.node import confirmations, health, watch
from almenara.node.answers import (
    Accepted,
    EvidenceView,
    Item,
    NodeStatus,
    Page,
    Preview,
    Quarantined,
)
from almenara.node.backlog import Backlog, Progress, look
from almenara.node.evidence import proof_of, rival_of
from almenara.node.lateness import Waiting, late, waiting
from almenara.node.opening import find_statement, not_kept, open_found, unknown_message
from almenara.node.page import PAGE_MAX, item_of, page_of
from almenara.store import directory as directory_row
from almenara.store import outbox, quarantine, views, witness
from almenara.trust.continuity import TrustedDirectory
from almenara.trust.exported import directory_files
from almenara.trust.exportfile import ExportedRecord
from almenara.wire.avro import canonical_form
from almenara.wire.messages import encode_batch
from almenara.wire.padding import choose_bucket

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.model.ids import AudienceId
    from almenara.model.messages import Message
    from almenara.node.answers import Confirmations, StreamState, StreamView
    from almenara.node.settings import MemberSettings
    from almenara.publisher.publisher import Publisher
    from almenara.store.database import Store
    from almenara.store.outbox import Outgoing
    from almenara.store.wanted import InboxFilter
    from almenara.trust.admission import MemberCertificate

LOOK_S = 0.05
"""How often a waiting question looks into the store: one index read of some 50 microseconds."""

WAIT_MAX_S = 60.0
"""A question waits no longer than this; whoever wants more asks again."""

log = structlog.get_logger()


class Connected:
    """How this node reaches the broker, and as whom; renewal.py changes both while the node runs."""

    def __init__(self, *, bootstrap: str, context: ssl.SSLContext, certificate: MemberCertificate) -> None:
        self.bootstrap = bootstrap
        self.context = context
        self.certificate = certificate


class NodeService:
    """Answer for one member, in the process that publishes for it. See `service.Node` for each method."""

    def __init__(
        self, *, settings: MemberSettings, store: Store, publisher: Publisher, connected: Connected
    ) -> None:
        self._settings = settings
        self._member = settings.member
        self._store = store
        self._publisher = publisher
        self._connected = connected
        self._started_at = clock.now()
        self._behind: Waiting = {}
        self._backlogs: Mapping[Stream, Backlog] = {}

    async def publish(
        self, message: Message, *, audience: AudienceId, to: Sequence[MemberId] | None = None
    ) -> Accepted:
        """Accept a message durably."""
        placed = await self._publisher.publish(message, audience=audience, to=to)
        return Accepted(
            message_id=UUID(bytes=placed.message_id),
            audience=placed.audience,
            epoch=placed.epoch,
            seq=placed.seq,
            expected=placed.expected,
        )

    async def check(
        self, message: Message, *, audience: AudienceId, to: Sequence[MemberId] | None = None
    ) -> Preview:
        """Return what publishing the message would do."""
        accepted = self._publisher.check(message, audience=audience, to=to)
        return Preview(
            message_id=message.message_id,
            kind=accepted.kind,
            audience=audience,
            recipients=accepted.recipients,
            expected=accepted.expected,
            bytes=len(accepted.item),
            bucket=choose_bucket(len(encode_batch(accepted.recipients, [accepted.item]))),
        )

    async def confirmations(self, message_id: UUID, *, wait_s: float = 0.0) -> Confirmations:
        """Return who has confirmed a message of ours."""
        until = asyncio.get_running_loop().time() + min(wait_s, WAIT_MAX_S)
        while True:
            found = await self._store.read(lambda connection: self._confirmations(connection, message_id))
            if not found.waiting or asyncio.get_running_loop().time() >= until:
                return found
            await asyncio.sleep(LOOK_S)

    def _confirmations(self, connection: Connection, message_id: UUID) -> Confirmations:
        message = outbox.outgoing_by_id(connection, [message_id.bytes]).get(message_id.bytes)
        if message is None:
            raise unknown_message(message_id)
        # Its readers forget what they excepted of it: their later words would read as a yes.
        if outbox.statement_at(connection, message.audience, message.epoch, message.seq) is None:
            raise not_kept(Stream(message.audience, self._member), message.epoch, message.seq)
        directory = self._publisher.directory
        known = directory is not None and message.audience in directory.audiences
        return confirmations.confirmations(
            message,
            words=witness.words_on_own(connection, self._member, audience=message.audience),
            decisions=witness.decisions(connection, self._member, message.message_id),
            keyless=directory.keyless(message.audience) if directory and known else frozenset(),
        )

    async def inbox(
        self, wanted: InboxFilter, *, after: int | None = None, limit: int = 100, wait_s: float = 0.0
    ) -> Page:
        """Return the newest items, or those after a position."""
        limit = min(limit, PAGE_MAX)
        until = asyncio.get_running_loop().time() + min(wait_s, WAIT_MAX_S)
        while True:
            page = await self._store.read(partial(page_of, wanted=wanted, after=after, limit=limit))
            if after is None or page.items or asyncio.get_running_loop().time() >= until:
                return page
            after = page.position
            await asyncio.sleep(LOOK_S)

    async def show(self, message_id: UUID) -> tuple[Item, ...]:
        """Return the messages with that id, ours too."""

        def work(connection: Connection) -> tuple[Item, ...]:
            found = [item_of(entry) for entry in views.entries_of(connection, message_id.bytes)]
            ours = outbox.outgoing_by_id(connection, [message_id.bytes]).get(message_id.bytes)
            if ours is not None:
                found.append(self._own_item(connection, ours))
            if not found:
                raise unknown_message(message_id)
            return tuple(found)

        return await self._store.read(work)

    def _own_item(self, connection: Connection, message: Outgoing) -> Item:
        message_id = UUID(bytes=message.message_id)
        found = find_statement(connection, message_id, member=self._member, publisher=self._member)
        opened = open_found(
            connection,
            found,
            member=self._member,
            directory=self._publisher.require_directory(),
            now=clock.now(),
        )
        said = next(
            each.message
            for each in opened.messages
            if not isinstance(each.message, MessageRefused) and each.message.message_id == message_id
        )
        return Item(
            position=0,
            publisher=self._member,
            audience=message.audience,
            recipients=opened.recipients,
            epoch=message.epoch,
            seq=message.seq,
            flags=(),
            received_at=from_micros(message.accepted_at),
            message=said,
        )

    async def find(self, name: str) -> tuple[UUID, ...]:
        """Return the ids of messages that begin with these hexadecimal digits, or have this reference."""
        return tuple(UUID(bytes=i) for i in await self._store.read(partial(views.ids_named, name=name)))

    async def export(
        self,
        message_id: UUID,
        *,
        publisher: MemberId | None = None,
        disclose: bool = False,
        receipts: bool = False,
    ) -> ExportedRecord:
        """Return the signed record that carried a message, with what proves it offline."""
        directory = self._publisher.require_directory()
        now = clock.now()

        def work(connection: Connection) -> ExportedRecord:
            found = find_statement(connection, message_id, member=self._member, publisher=publisher)
            k_s = None
            if disclose:
                k_s = open_found(connection, found, member=self._member, directory=directory, now=now).k_s
            proof = proof_of(
                connection, found, receipts=receipts, member=self._member, directory=directory, now=now
            )
            return replace(
                self._exported(connection, found.stream, found.record, now=now),
                k_s=k_s,
                schema=canonical_form("Batch").decode() if disclose else "",
                links=proof.links,
                receipts=proof.receipts,
            )

        return await self._store.read(work)

    async def export_rival(self, audience: AudienceId, publisher: MemberId) -> ExportedRecord:
        """Return two statements of a stream that prove EQUIVOCATION."""
        directory = self._publisher.require_directory()
        now = clock.now()

        def work(connection: Connection) -> ExportedRecord:
            stream = Stream(audience, publisher)
            held, rival = rival_of(connection, stream, directory=directory, now=now)
            return replace(self._exported(connection, stream, held, now=now), rival=rival)

        return await self._store.read(work)

    def _exported(
        self, connection: Connection, stream: Stream, record: bytes, *, now: datetime
    ) -> ExportedRecord:
        trusted = TrustedDirectory.from_bytes(directory_row.load(connection) or b"")
        return ExportedRecord(
            audience=stream.audience,
            publisher=stream.publisher,
            record=record,
            root=self._settings.root_path.read_bytes(),
            directory=directory_files(self._settings.directory_cache, trusted.targets.targets),
            directory_at=from_micros(directory_row.verified_at(connection)),
            exported_at=now,
        )

    async def streams(self) -> tuple[StreamView, ...]:
        """Return how every stream stands."""
        return self._views(await self._facts())

    async def _facts(self) -> watch.Facts:
        directory = self._publisher.directory
        now = clock.now()
        return await self._store.read(
            lambda connection: watch.facts(connection, self._member, directory, now=now)
        )

    def _views(self, found: watch.Facts) -> tuple[StreamView, ...]:
        now, after = clock.now(), timedelta(seconds=self._settings.publisher.unconfirmed_after_s)
        return watch.views(
            found,
            directory=self._publisher.directory,
            faults={stream.audience: self._publisher.fault(stream.audience) for stream in found.own},
            unsent_bytes={
                stream.audience: self._publisher.unsent_bytes(stream.audience) for stream in found.own
            },
            now=now,
            withheld_after=timedelta(seconds=self._settings.subscriber.withheld_after_s),
            late=late(self._behind, found, now=now, after=after),
            backlogs=self._backlogs,
        )

    async def watch(self) -> None:
        """Log changes of the streams' states, and keep receipts that contradict, for ever."""
        states: Mapping[Stream, StreamState] = {}
        progress = Progress()
        while True:
            try:
                found = await self._facts()
                if (directory := self._publisher.directory) is not None:
                    self._behind = waiting(self._behind, found, directory=directory, now=clock.now())
                self._backlogs = look(self._backlogs, found, now=clock.now())
                shown = self._views(found)
                states = watch.report(states, shown)
                progress.tell(shown, now=clock.now())
                if forks := watch.forks(found):
                    await self._store.write(partial(watch.keep_forks, words=forks, now=clock.now()))
            except Unavailable as error:
                log.warning("streams.unwatched", code=error.code, error=error.text)
            await asyncio.sleep(self._settings.subscriber.watch_interval_s)

    async def quarantine(self, *, limit: int = 100) -> tuple[Quarantined, ...]:
        """Return the newest refusals."""
        rows = await self._store.read(
            lambda connection: quarantine.newest_refusals(connection, limit=min(limit, PAGE_MAX))
        )
        return tuple(
            Quarantined(
                position=kept.position,
                audience=row.audience,
                publisher=row.publisher,
                offset=row.offset,
                proven=row.proven,
                code=row.code,
                detail=row.detail,
                kept_at=from_micros(row.kept_at),
                record=row.record,
            )
            for kept in rows
            for row in (kept.refusal,)
        )

    async def evidence(self) -> tuple[EvidenceView, ...]:
        """Return all that proves a contradiction."""
        rows = await self._store.read(quarantine.evidence_of)
        return tuple(
            EvidenceView(
                kind=row.kind,
                audience=row.audience,
                publisher=row.publisher,
                epoch=row.epoch,
                seq=row.seq,
                hash=row.hash.hex(),
                known_hash=row.known_hash.hex(),
                kept_at=from_micros(row.kept_at),
                record=row.record,
            )
            for row in rows
        )

    async def status(self) -> NodeStatus:
        """Return how the node does."""
        now = clock.now()
        directory = self._publisher.directory
        connected = self._connected
        broker = ""
        try:
            await require_answer(connected.bootstrap, connected.context)
        except AlmenaraError as error:
            broker = error.text
        delay = timedelta(seconds=self._settings.subscriber.reset_delay_s)
        kept_back = await self._store.read(lambda connection: health.kept_back(connection, delay))
        entry = directory.members.get(self._member) if directory else None
        return NodeStatus(
            federation=self._settings.federation,
            member=self._member,
            name=entry.name if entry else "",
            version=version("almenara"),
            pid=os.getpid(),
            started_at=self._started_at,
            bootstrap=connected.bootstrap,
            broker_answers=not broker,
            directory_version=directory.version if directory else 0,
            directory_standing=directory.standing(now).value if directory else "",
            directory_expires_at=directory.expires.first if directory else None,
            certificate_expires_at=connected.certificate.expires,
            kept_back=kept_back,
            counts=await self._store.read(health.counts),
            problems=health.problems(
                broker=broker,
                store=self._store.fault,
                directory=directory,
                certificate=connected.certificate,
                kept_back=kept_back,
                streams=await self.streams(),
                now=now,
            ),
        )
