"""When may this node speak for its member, and until when? Of several nodes over one store one has its turn.

    the folder's lock --> the server's lock is free --> its turn --the term is another's--> Superseded
                             '--another node has it--> stands by, and asks again every POLL_S

Where the store is a file there is one folder, and its lock is all. A node that stands by has read nothing
of the store: what the other one leaves, it takes up as it would after a crash of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from almenara.errors import AlmenaraError, Code, Superseded, Unavailable
from almenara.node.notify import notify
from almenara.store.lease import FolderLease, Lease, folder_lease
from almenara.store.server_lease import ServerLease

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from almenara.model.ids import MemberId
    from almenara.node.settings import MemberSettings

POLL_S = 1.0
"""How often a node that stands by asks for the lock, and one that has it whether it still does."""

HOLDER_FIRST_S = 3.0
"""How long a node that stands by leaves the lock alone once a server that was away answers again: whoever
held it before takes it again within some POLL_S, and no work has to move."""

log = structlog.get_logger()


@asynccontextmanager
async def turn(
    settings: MemberSettings, *, stopping: asyncio.Event | None = None
) -> AsyncIterator[Lease | None]:
    """Take the member's lease and lend it; its state folder must be there.

    With `stopping` it stands by while a node elsewhere holds the lease, and lends None when that is set
    first. Without it raises Unavailable STORE_LOCKED naming the holder, as for a node of the same folder in
    any case. Raises Misconfigured, Unavailable STORE_AWAY.
    """
    with folder_lease(settings.lease_path) as folder:
        settings.ready_path.unlink(missing_ok=True)  # that of a node which was killed
        place = settings.store_place
        if isinstance(place, Path):
            yield Lease(folder, None)
            return
        with closing(ServerLease(place)) as server:
            if stopping is None:
                await asyncio.to_thread(server.take, found=True)
            elif not await _taken(server, folder, member=settings.member, stopping=stopping):
                yield None
                return
            log.info("node.lease_taken", member=settings.member, term=server.term)
            yield Lease(folder, server)


async def _taken(
    server: ServerLease, folder: FolderLease, *, member: MemberId, stopping: asyncio.Event
) -> bool:
    """Return True once the lease is taken, False when `stopping` is set before.

    Raises what the store raises at the first attempt; one that stands by waits for its server too.
    """
    waits_for, away = "", False
    while True:
        try:
            if away:
                await asyncio.to_thread(server.reach)
                if await _stops(stopping, HOLDER_FIRST_S):
                    return False
            await asyncio.to_thread(server.take, found=True)
        except Unavailable as error:
            away = error.code is not Code.STORE_LOCKED
            if not waits_for and away:
                raise
            if error.text != waits_for:
                waits_for = error.text
                folder.say(f" stands by: {waits_for.partition(';')[0]}")
                log.info("node.standby", member=member, code=error.code, error=error.text)
                notify(f"READY=1\nSTATUS=stands by: {waits_for}")
        else:
            folder.say()
            return True
        if await _stops(stopping, POLL_S):
            return False


async def _stops(stopping: asyncio.Event, within_s: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await stopping.wait()
    return stopping.is_set()


async def watch(held: Lease) -> None:
    """See for ever that the lease is still held, and take it again where the server was started anew.

    Raises Superseded when another node has taken over.
    """
    fault: str | None = None
    while held.server is not None:
        await asyncio.sleep(POLL_S)
        try:
            held_now = await asyncio.to_thread(held.server.confirm)
        except Superseded as error:
            log.critical("node.superseded", term=held.term, code=error.code, error=error.text)
            raise
        except AlmenaraError as error:
            if fault != error.code:
                fault = error.code
                log.warning("node.lease_in_doubt", code=error.code, error=error.text)
        else:
            if held_now and fault is not None:
                fault = None
                log.info("node.lease_kept", term=held.term)
    await asyncio.get_running_loop().create_future()
