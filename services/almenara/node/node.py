"""How is a member's node put together, and what runs in it?

    lease -> identity (keys, certificate, root) -> store and directory -> publisher, subscriber, or both

A node of one process is publisher and subscriber over one store. A supervised one (supervise.py) is
a process for each over the same store; the publisher's answers the socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from almenara import clock
from almenara.bus.kafka import Reader, Sender, answers
from almenara.errors import AlmenaraError, Code, Misconfigured, Superseded
from almenara.model import codelists
from almenara.node.housekeeping import Housekeeping
from almenara.node.identity import load_keys, open_member, own_enrolment, require_certificate
from almenara.node.local import Connected, NodeService
from almenara.node.renewal import Renewal
from almenara.node.rotation import put_in_place
from almenara.node.settings import reread
from almenara.node.turn import turn, watch
from almenara.publisher.publisher import Publisher
from almenara.store import highwater, outbox
from almenara.store.database import Store
from almenara.store.lease import lease
from almenara.subscriber.directory import DirectoryFollower
from almenara.subscriber.subscriber import Subscriber
from almenara.trust.admission import read_admission
from almenara.trust.heldkeys import HeldKeys
from almenara.trust.published import folder_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from almenara.node.identity import Identity
    from almenara.node.renewal import Renewable
    from almenara.node.settings import MemberSettings
    from almenara.store.lease import Lease

Work = Callable[..., Coroutine[Any, Any, None]]
"""What runs until the event that it is given as `stopping` is set, and drains."""

Watch = Callable[[], Coroutine[Any, Any, None]]
"""What runs beside, until the node stops."""

_STATE_MODE = 0o700

FAULT_POLL_S = 0.2
"""How soon a process ends once its writes are refused for good: until then callers get the refusal."""

log = structlog.get_logger()


class MemberNode:
    """What runs of one member's node in this process; `open_node` makes one.

    `service` answers for it, None in a process that only receives.
    """

    def __init__(self, works: list[Work], watches: list[Watch], *, service: NodeService | None) -> None:
        self._works = works
        self.watches = watches
        self.service = service

    async def run(self, stopping: asyncio.Event) -> None:
        """Run until `stopping` is set, then drain and return; an unknown bug in any part ends them all.

        So does Superseded: another node of the member has taken over.
        """
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(each()) for each in self.watches]
            for work in self._works:
                tasks.create_task(work(stopping=stopping))
            await stopping.wait()
            for task in watching:
                task.cancel()


@asynccontextmanager
async def sole_node(settings: MemberSettings) -> AsyncIterator[MemberNode]:
    """Take the member's lease and lend the whole node in this process.

    Raises Unavailable STORE_LOCKED naming the process that holds the lease, Misconfigured for what a
    person must put right.
    """
    make_state_folder(settings)
    async with turn(settings) as held:
        if held is None:
            raise AssertionError(str(settings.file))
        async with whole_node(settings, held) as node:
            yield node


@asynccontextmanager
async def whole_node(settings: MemberSettings, held: Lease) -> AsyncIterator[MemberNode]:
    """Lend the whole node in this process, which holds the lease and watches it. Raises Misconfigured."""
    await prepare(settings, term=held.term)
    async with open_node(settings, held.term) as node:
        node.watches.append(partial(watch, held))
        yield node


def make_state_folder(settings: MemberSettings) -> None:
    """Make the folder of store, socket and lease; raise Misconfigured CONFIGURATION if it cannot be."""
    try:
        settings.state.mkdir(mode=_STATE_MODE, parents=True, exist_ok=True)
        settings.lease_path.touch(mode=0o600)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{settings.state}: cannot be written ({exc.strerror}); set `state` to a folder that you own,"
            " with free space",
        ) from exc


async def prepare(settings: MemberSettings, *, term: int | None = None) -> None:
    """Install the admission, make the store, and put a directory in force: the newest there is.

    Where no broker answers it is that of the folder in the settings, else the admission's. The lease
    must be held, and `term` is its own. Doing it again changes nothing. Raises Misconfigured.
    """
    identity = await asyncio.to_thread(open_member, settings, now=clock.now())
    files = read_admission(settings.admission_path).directory
    bootstrap = settings.bootstrap or identity.bootstrap
    async with (
        Store.create(settings.store_place, term=term) as store,
        Reader(bootstrap, identity.context) as reader,
    ):
        await _notice_restore(settings, store)
        follower = _follower(settings, identity, store)
        await follower.load()
        try:
            if follower.current is None and await answers(bootstrap, identity.context):
                # A first directory is taken whole, so it must be the newest: members admitted since
                # the admission was written would else be kept back for a day.
                wait_s = settings.subscriber.first_directory_wait_s
                await follower.start(files, reader=reader, federation=settings.federation, wait_s=wait_s)
            elif settings.directory_files is not None:
                await follower.take(await asyncio.to_thread(folder_files, settings.directory_files))
            elif follower.current is None or follower.current.version < identity.directory.version:
                await follower.take(files)
        except AlmenaraError as error:
            # Too old by now, or an older root of trust than what is held: the broker has the newest.
            log.warning("directory.not_taken", code=error.code, error=error.text)
        if follower.current is not None:
            put_in_place(settings, identity.keys, follower.current)


@asynccontextmanager
async def open_node(
    settings: MemberSettings, term: int | None = None, *, publishing: bool = True, receiving: bool = True
) -> AsyncIterator[MemberNode]:
    """Lend these parts of the node; the lease must be held, and `prepare` done. Raises Misconfigured.

    `term` is that of the lease: nothing is written any more once another has been taken.
    """
    now = clock.now()
    identity = await asyncio.to_thread(open_member, settings, now=now)
    await asyncio.to_thread(codelists.read_all)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store.open(settings.store_place, term=term))
        follower = _follower(settings, identity, store)
        await follower.load()
        bootstrap = settings.bootstrap or identity.bootstrap
        if not settings.bootstrap and follower.current is not None:
            bootstrap = follower.current.bootstrap or bootstrap
        connect = partial(Reader, bootstrap, identity.context)
        certificate = require_certificate(settings, now)
        connected = Connected(bootstrap=bootstrap, context=identity.context, certificate=certificate)
        clients: list[Renewable] = []
        works: list[Work] = []
        watches: list[Watch] = [partial(_until_overtaken, store)]
        service = None
        if publishing:
            publisher = Publisher(
                federation=settings.federation,
                member=settings.member,
                signing_keys=HeldKeys(identity.keys.signing, lambda: load_keys(reread(settings)).signing),
                checkpoint_keys=HeldKeys(identity.keys.checkpoint, lambda: load_keys(settings).checkpoint),
                store=store,
                settings=settings.publisher,
                marks=settings.marks_path,
            )
            await publisher.load()
            sender = await stack.enter_async_context(Sender(bootstrap, identity.context))
            reader = await stack.enter_async_context(connect())
            clients += [sender, reader]
            works.append(partial(publisher.run, sender=sender, reader=reader))
            service = NodeService(settings=settings, store=store, publisher=publisher, connected=connected)
            watches.append(service.watch)
        if receiving:
            subscriber = Subscriber(
                federation=settings.federation,
                member=settings.member,
                sealing_keys=HeldKeys(identity.keys.sealing, lambda: load_keys(settings).sealing),
                store=store,
                follower=follower,
                settings=settings.subscriber,
            )
            reader = await stack.enter_async_context(
                connect(
                    fetch_min=settings.subscriber.fetch_min_bytes,
                    fetch_wait_s=settings.subscriber.fetch_wait_s,
                    request_timeout_s=settings.subscriber.request_timeout_s,
                )
            )
            directory_reader = await stack.enter_async_context(connect())
            clients += [reader, directory_reader]
            works.append(partial(subscriber.run, reader=reader, directory_reader=directory_reader))
            # In the process that answers no caller: it shares the file with the publisher, not its thread.
            housekeeping = Housekeeping(settings=settings, store=store, directory=lambda: follower.current)
            works.append(housekeeping.run)
        renewal = Renewal(
            settings,
            connected=connected,
            certificate=identity.certificate,
            clients=clients,
            directory=lambda: follower.current if receiving else publisher.directory,
            installs=publishing,
        )
        works.append(renewal.run)
        log.info(
            "node.opened",
            member=settings.member,
            federation=settings.federation,
            bootstrap=bootstrap,
            publishing=publishing,
            receiving=receiving,
        )
        yield MemberNode(works, watches, service=service)


async def _until_overtaken(store: Store) -> None:
    """Raise Superseded once a write was refused by it; whoever wrote only waits and tries again."""
    while not isinstance(store.fault, Superseded):  # noqa: ASYNC110 - threads set it
        await asyncio.sleep(FAULT_POLL_S)
    log.critical("node.superseded", code=store.fault.code, error=store.fault.text)
    raise store.fault


async def _notice_restore(settings: MemberSettings, store: Store) -> None:
    """Have streams open a new epoch whose head in the store is below what this member has signed.

    A crash before it is noted notices it again at the next start.
    """
    heads = await store.read(outbox.own_heads)
    marks = highwater.read_marks(settings.marks_path)
    if restored := highwater.behind(heads, marks):
        log.critical("store.restored", audiences=restored)
        await store.write(partial(outbox.require_fresh_epochs, audiences=restored))


def open_epochs(settings: MemberSettings) -> int:
    """Make the next statement of every stream of ours open a new epoch; return how many streams.

    On a stream of which the store knows nothing it will go on from what the broker holds of ours. To
    be done after any restore or loss of the store, while no node runs. Raises Unavailable STORE_LOCKED
    if one does, Misconfigured STORE_MISSING.
    """
    make_state_folder(settings)
    with lease(settings.lease_path, settings.store_place) as held:
        store = Store.open(settings.store_place, term=held.term)
        try:
            store.write_now(outbox.stand_by_broker)
            known = store.write_now(outbox.require_fresh_epochs)
            heads = store.read_now(outbox.own_heads)
            return known + len(highwater.lost(heads, highwater.read_marks(settings.marks_path)))
        finally:
            store.close()


def _follower(settings: MemberSettings, identity: Identity, store: Store) -> DirectoryFollower:
    return DirectoryFollower(
        store=store,
        cache=settings.directory_cache,
        root=identity.root,
        reset_delay=timedelta(seconds=settings.subscriber.reset_delay_s),
        own=own_enrolment(settings),
    )
