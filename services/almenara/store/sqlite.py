"""How is a store in one SQLite file opened, and which of its faults can a person or time mend?

WAL and synchronous FULL: a transaction is on disk when it has committed. Several processes of one
node share the file, and SQLite's own lock orders their transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event
from sqlalchemy.pool import QueuePool

from almenara.errors import Code, Misconfigured, Unavailable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Connection, Engine
    from sqlalchemy.exc import DBAPIError

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


class SqliteFile:
    """A store in one file, for its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def find(self) -> None:
        """Return if the file is there; raise Misconfigured STORE_MISSING. SQLite would make one."""
        if not self._path.exists():
            raise self.missing()

    def make(self) -> None:
        """Make the file; raise Misconfigured if it cannot be."""
        try:
            self._path.touch(mode=0o600)  # before SQLite does: its own would be for all to read
        except OSError as exc:
            raise self._not_writable() from exc

    def settle(self) -> None:
        """See to it that the file is for its owner alone; raise Misconfigured if that cannot be."""
        try:
            if self._path.stat().st_mode & 0o077:
                self._path.chmod(0o600)
        except OSError as exc:
            raise self._not_writable() from exc

    def engine(self) -> Engine:
        """Return the engine; nothing is opened yet."""
        engine = create_engine(
            f"sqlite:///{self._path}",
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

    def options(self, purpose: str) -> Mapping[str, Any]:
        """Return how a transaction for that purpose is begun."""
        return {"write": purpose != "read"}

    def about(self, connection: Connection) -> tuple[str, int]:
        """Return which database it is and how many bytes the store takes, its log apart."""
        version = connection.exec_driver_sql("SELECT sqlite_version()").scalar()
        return f"SQLite {version}", self._path.stat().st_size

    def missing(self) -> Misconfigured:
        """Return what to say where there is no store."""
        return Misconfigured(
            Code.STORE_MISSING,
            f"store {self.name}: there is none; start the node (almenara node run), which makes it",
        )

    def without_tables(self) -> Misconfigured:
        """Return what to say of a file that holds no store's tables."""
        return self._not_a_store()

    def fault(self, exc: DBAPIError) -> Exception:
        """Return our error for what a person or time can mend, else the driver's own: a bug."""
        name = getattr(exc.orig, "sqlite_errorname", "")
        match name:
            case _ if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                return Unavailable(
                    Code.STORE_LOCKED,
                    f"store {self.name}: another process holds its lock for over {BUSY_TIMEOUT_S:.0f} s;"
                    " end that process or wait",
                )
            case "SQLITE_FULL" | "SQLITE_IOERR_WRITE" | "SQLITE_IOERR_SHMSIZE":
                return Unavailable(
                    Code.STORE_FULL,
                    f"store {self.name}: the disk is full; nothing accepted is lost; free space and it goes"
                    " on",
                    retry_after_s=5.0,
                )
            case "SQLITE_NOTADB" | "SQLITE_CORRUPT":
                return self._not_a_store()
            case _ if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
                return self._not_writable()
            case _:
                return exc

    def _not_a_store(self) -> Misconfigured:
        return Misconfigured(
            Code.CONFIGURATION, f"store {self.name}: not a store, or damaged; restore it from a backup"
        )

    def _not_writable(self) -> Misconfigured:
        return Misconfigured(
            Code.CONFIGURATION,
            f"store {self.name}: cannot be written here; give this user the right to write its folder",
        )
