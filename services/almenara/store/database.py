"""How is a member's store opened, and what is a transaction?

One writer thread a process; a write is one transaction that is on disk when `write` returns. A crash
leaves either the whole of it or nothing. Several processes of one node share the store: its database
orders their transactions (sqlite.py, postgres.py).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Self, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from almenara.errors import AlmenaraError, Code, Misconfigured, Superseded
from almenara.store import migrations, tables
from almenara.store.postgres import PostgresDatabase
from almenara.store.sqlite import SqliteFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Any

    from sqlalchemy import Connection, Engine

    from almenara.store.place import Place

T = TypeVar("T")

Purpose = Literal["read", "write", "found"]
"""What a transaction is for; "found" makes or upgrades the tables."""

log = structlog.get_logger()


class Backend(Protocol):
    """What differs between a store in a file and one on a server."""

    name: str

    def find(self) -> None:
        """Raise Misconfigured STORE_MISSING where that shows without opening it."""

    def make(self) -> None:
        """Make what must be there before it is opened; raise Misconfigured if that cannot be."""

    def settle(self) -> None:
        """Put its rights in order; raise Misconfigured if that cannot be."""

    def engine(self) -> Engine:
        """Return the engine; nothing is opened yet."""
        ...

    def options(self, purpose: Purpose) -> Mapping[str, Any]:
        """Return how a transaction for that purpose is begun."""
        ...

    def about(self, connection: Connection) -> tuple[str, int]:
        """Return which database it is and how many bytes the store takes there."""
        ...

    def without_tables(self) -> Misconfigured:
        """Return what to say where there are no tables of a store."""
        ...

    def fault(self, exc: DBAPIError) -> Exception:
        """Return our error for what a person or time can mend, else the driver's own: a bug."""
        ...


def _tell(version: int, summary: str) -> None:
    log.info("store.upgrading", version=version, step=summary)


class Store:
    """A member's store: chain heads, outbox, inbox, keys, quarantine.

    Open with `Store.create` or `Store.open`; use as an async context manager.
    """

    def __init__(self, backend: Backend, place: Place) -> None:
        self._backend = backend
        self._engine = backend.engine()
        self.place = place
        self.fault: AlmenaraError | None = None  # why the last write failed, None if it did not
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-reader")

    @classmethod
    def create(
        cls, place: Place, *, term: int | None = None, tell: Callable[[int, str], None] = _tell
    ) -> Store:
        """Open the store, making an empty one where there is none and upgrading an older one in place.

        For whoever holds the member's lease. `tell` hears of each step of an upgrade before it is taken.
        """
        backend = _backend(place, term)
        backend.make()
        store = cls(backend, place)
        with store._or_closed():
            store._transact(_found_if_missing, "found")
            before = migrations.upgrade(store._engine, tell)
            if before < tables.SCHEMA_VERSION:
                log.info("store.migrated", store=backend.name, before=before, now=tables.SCHEMA_VERSION)
        store._check()
        return store

    @classmethod
    def open(cls, place: Place, *, term: int | None = None) -> Store:
        """Open an existing store; raise Misconfigured STORE_MISSING where there is none.

        `term` is that of the lease under which it is written. Raises Misconfigured CONFIGURATION for one of
        another version.
        """
        backend = _backend(place, term)
        backend.find()
        store = cls(backend, place)
        store._check()
        return store

    def _check(self) -> None:
        with self._or_closed():
            found = self.read_now(migrations.version_of)
            if found is None:
                raise self._backend.without_tables()
            if found != tables.SCHEMA_VERSION:
                raise _other_version(self._backend.name, found)
            self._backend.settle()

    @contextmanager
    def _or_closed(self) -> Iterator[None]:
        """Close the store again when it cannot be opened, and say why in our words."""
        try:
            yield
        except DBAPIError as exc:
            self.close()
            raise self._backend.fault(exc) from exc
        except AlmenaraError:
            self.close()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish what runs, then close the file or the connections."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._engine.dispose()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one write transaction in the writer's thread and return its result.

        Raises Unavailable STORE_LOCKED or STORE_FULL; then nothing of it was kept, nor ever will be of
        what is written here once it is Superseded. Unavailable STORE_AWAY says that a server went away:
        all of it was kept or nothing, and only what the store holds when it is asked again tells which.
        """
        return await self.in_writer(lambda: self.write_now(work))

    async def in_writer(self, work: Callable[[], T]) -> T:
        """Run `work` in the writer's thread; its `write_now` calls follow one another there."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent snapshot in a reader's thread and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, work)

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """Do the same as `write`, in the calling thread."""
        return self._transact(work, "write")

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """Do the same as `read`, in the calling thread."""
        return self._transact(work, "read")

    def _transact(self, work: Callable[[Connection], T], purpose: Purpose) -> T:
        options = self._backend.options(purpose)
        try:
            with self._engine.connect().execution_options(**options) as connection, connection.begin():
                done = work(connection)
        except DBAPIError as exc:
            error = self._backend.fault(exc)
            if purpose == "write" and isinstance(error, AlmenaraError):
                self.fault = error
            raise error from exc
        except Superseded as error:
            self.fault = error
            raise
        if purpose == "write":
            self.fault = None
        return done


class About(NamedTuple):
    """What a store is: `version` of its schema, and `size` in bytes."""

    name: str
    server: str
    version: int
    size: int


def describe(place: Place) -> About:
    """Return what stands at a place, of whatever version; raise Misconfigured STORE_MISSING."""
    backend = _backend(place)
    backend.find()
    store = Store(backend, place)
    try:
        server, size, version = store.read_now(lambda c: (*backend.about(c), migrations.version_of(c)))
    finally:
        store.close()
    if version is None:
        raise backend.without_tables()
    return About(backend.name, server, version, size)


def _backend(place: Place, term: int | None = None) -> Backend:
    return SqliteFile(place) if isinstance(place, Path) else PostgresDatabase(place, term)


def _found_if_missing(connection: Connection) -> None:
    if migrations.version_of(connection) is None:
        migrations.found_store(connection)


def _other_version(name: str, found: int) -> Misconfigured:
    remedy = (
        "use the program that made it"
        if found > tables.SCHEMA_VERSION
        else "upgrade it: almenara store migrate, or start the node, which does the same"
    )
    return Misconfigured(
        Code.CONFIGURATION,
        f"store {name}: made by schema version {found}, this program knows {tables.SCHEMA_VERSION}; {remedy}",
    )
