"""How is a member's store opened, and what is a transaction?

One writer thread a process; a write is one transaction that is on disk when `write` returns
(WAL, synchronous FULL). A crash leaves either the whole of it or nothing. Several processes of
one node share the file: SQLite's own lock orders their transactions.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool

from almenara.errors import AlmenaraError, Code, Misconfigured, Unavailable
from almenara.store import tables

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")

BUSY_TIMEOUT_S = 10.0
"""How long a transaction waits for another process's; theirs take milliseconds."""

LOG_MAX = 64 << 20
"""Bytes of SQLite's log that stay on the disk after a large transaction or a long read: at its usual 4 MB
nothing is cut, so that no commit pays for it."""

# Incremental vacuum is chosen before there is a table, and before the log: later only a VACUUM could.
_PRAGMAS = (
    "auto_vacuum=INCREMENTAL",
    "journal_mode=WAL",
    f"journal_size_limit={LOG_MAX}",
    "synchronous=FULL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
)


class Store:
    """A member's store: chain heads, outbox, inbox, keys, quarantine.

    Open with `Store.create` or `Store.open`; use as an async context manager.
    """

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self.path = path
        self.fault: AlmenaraError | None = None  # why the last write failed, None if it did not
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-reader")

    @classmethod
    def create(cls, path: Path) -> Store:
        """Open the store, making an empty one where there is none."""
        return cls._opened(path, create=True)

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open an existing store; raise Misconfigured STORE_MISSING where there is none."""
        if not path.exists():
            raise Misconfigured(
                Code.STORE_MISSING,
                f"store {path}: there is none; start the node (almenara node run), which makes it",
            )
        return cls._opened(path, create=False)

    @classmethod
    def _opened(cls, path: Path, *, create: bool) -> Store:
        engine = _engine(path)
        try:
            if create:
                path.touch(mode=0o600)  # before SQLite does: its own would be for all to read
            with engine.connect().execution_options(write=create) as connection, connection.begin():
                if create:
                    tables.metadata.create_all(connection)
                _check_version(connection, path)
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
        except OSError as exc:
            engine.dispose()
            raise _not_writable(path) from exc
        except DatabaseError as exc:
            engine.dispose()
            raise _as_ours(exc, path) from exc
        except AlmenaraError:
            engine.dispose()
            raise
        return cls(engine, path)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish what runs, then close the file."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._engine.dispose()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one write transaction in the writer's thread and return its result.

        Raises Unavailable STORE_LOCKED or STORE_FULL; then nothing of it was kept.
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
        return self._transact(work, write=True)

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """Do the same as `read`, in the calling thread."""
        return self._transact(work, write=False)

    def _transact(self, work: Callable[[Connection], T], *, write: bool) -> T:
        try:
            with (
                self._engine.connect().execution_options(write=write) as connection,
                connection.begin(),
            ):
                done = work(connection)
        except DatabaseError as exc:
            error = _as_ours(exc, self.path)
            if write and isinstance(error, AlmenaraError):
                self.fault = error
            raise error from exc
        if write:
            self.fault = None
        return done


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=4,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _settings(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE takes the write lock at once: two writers then queue instead of failing halfway.
        write = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _check_version(connection: Connection, path: Path) -> None:
    if not inspect(connection).has_table(tables.meta.name):
        raise _not_a_store(path)
    found = connection.execute(
        select(tables.meta.c.value).where(tables.meta.c.name == "schema_version")
    ).scalar()
    if found is None:
        connection.execute(
            tables.meta.insert().values(name="schema_version", value=str(tables.SCHEMA_VERSION))
        )
    elif int(found) != tables.SCHEMA_VERSION:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"store {path}: made by schema version {found}, this program knows"
            f" {tables.SCHEMA_VERSION}; use the program that made it",
        )


def _as_ours(exc: DatabaseError, path: Path) -> Exception:
    """Return our error for what a person or time can mend, else the driver's own: a bug."""
    name = getattr(exc.orig, "sqlite_errorname", "")
    match name:
        case _ if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return Unavailable(
                Code.STORE_LOCKED,
                f"store {path}: another process holds its lock for over {BUSY_TIMEOUT_S:.0f} s;"
                " end that process or wait",
            )
        case "SQLITE_FULL" | "SQLITE_IOERR_WRITE" | "SQLITE_IOERR_SHMSIZE":
            return Unavailable(
                Code.STORE_FULL,
                f"store {path}: the disk is full; nothing accepted is lost; free space and it goes on",
                retry_after_s=5.0,
            )
        case "SQLITE_NOTADB" | "SQLITE_CORRUPT":
            return _not_a_store(path)
        case _ if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
            return _not_writable(path)
        case _:
            return exc


def _not_a_store(path: Path) -> Misconfigured:
    return Misconfigured(
        Code.CONFIGURATION, f"store {path}: not a store, or damaged; restore it from a backup"
    )


def _not_writable(path: Path) -> Misconfigured:
    return Misconfigured(
        Code.CONFIGURATION,
        f"store {path}: cannot be written here; give this user the right to write its folder",
    )
