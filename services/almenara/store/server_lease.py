"""Which of several nodes over one PostgreSQL store speaks for the member? The one whose session has its lock.

    waiting --the lock is free, the term is raised--> holding --it closes, or dies--> the lock is free
                                                      |    ^
                                    the session ended |    | the lock is free, and the term still ours
                                                      v    |
                                                       lost --the term is another's--> Superseded

The lock is an advisory one on the oid of the store's table `meta`: one for each store of a database, and no
number of our own. The server frees it when the session ends: at once when its process dies, within
VANISHED_S when its machine does. A lock alone does not hold back who was stopped and wakes. So whoever takes
it raises the term, a row of `meta` that every write locks and compares with its own (postgres.py).
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from almenara.errors import Code, Unavailable
from almenara.store import migrations
from almenara.store.postgres import PostgresDatabase, superseded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from almenara.store.place import Database

_NAME = "SELECT set_config('application_name', %(name)s, false)"

# The session is silent between two looks. PostgreSQL 13 does not know the setting.
_IDLE = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"

_TABLE = "to_regclass(quote_ident(current_schema()) || '.meta')"

_THERE = f"SELECT {_TABLE} IS NOT NULL"

_TRY = f"SELECT pg_try_advisory_lock({_TABLE}::oid::bigint)"

_RAISE = """
    INSERT INTO meta (name, value) VALUES ('term', '1')
    ON CONFLICT (name) DO UPDATE SET value = (meta.value::bigint + 1)::text
    RETURNING value::bigint
"""

_TERM = "SELECT value::bigint FROM meta WHERE name = 'term'"

_HOLDER = """
    SELECT coalesce(nullif(application_name, ''), 'session ' || pid), host(client_addr)
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = $table::oid AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""".replace("$table", _TABLE)


class ServerLease:
    """The lock of one store. Its calls wait for the server, and may come from any thread."""

    def __init__(self, place: Database) -> None:
        self._backend = PostgresDatabase(place)
        self._engine: Engine | None = None
        self._session: Connection | None = None
        self._one_at_a_time = Lock()
        self._held = False
        self.term: int | None = None

    def reach(self) -> None:
        """Connect, and leave the lock alone. Raises Unavailable STORE_AWAY, Misconfigured."""
        with self._connected():
            pass

    def take(self, *, found: bool = False) -> None:
        """Take the lock and raise the term.

        With `found` makes the tables where there are none; without it there is then nothing to hold, and
        `term` stays None. Raises Unavailable STORE_LOCKED naming the holder, STORE_AWAY, Misconfigured.
        """
        with self._connected() as session:
            if not session.exec_driver_sql(_THERE).scalar():
                if not found:
                    return
                self._found()
            if not session.exec_driver_sql(_TRY).scalar():
                raise Unavailable(
                    Code.STORE_LOCKED,
                    f"store {self._backend.name}: {holder_of(session)} runs this member's node; use that one,"
                    " or end it",
                )
            self.term = session.exec_driver_sql(_RAISE).scalar_one()
            self._held = True

    def confirm(self) -> bool:
        """Tell whether the lock is ours, after taking it again where the session has ended.

        False: a session that ended holds it still, or another node takes it just now. Raises Superseded
        when another has taken over, Unavailable STORE_AWAY, Misconfigured.
        """
        with self._connected() as session:
            if self._held:
                session.exec_driver_sql("SELECT 1")
                return True
            # In this order: nobody raises the term without the lock.
            taken = bool(session.exec_driver_sql(_TRY).scalar())
            if session.exec_driver_sql(_TERM).scalar() != self.term:
                raise superseded(self._backend.name, holder_of(session))
            self._held = taken
            return taken

    def close(self) -> None:
        """Give the lock back and end the session."""
        with self._one_at_a_time:
            if self._session is not None:
                with suppress(DBAPIError):  # the session has ended, and the lock with it
                    self._session.exec_driver_sql("SELECT pg_advisory_unlock_all()")
            self._drop()

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """Lend the session; what goes wrong with it ends it, and the next call makes another."""
        with self._one_at_a_time:
            try:
                yield self._session or self._connect()
            except DBAPIError as exc:
                self._drop()
                raise self._backend.fault(exc) from exc

    def _connect(self) -> Connection:
        self._engine = self._backend.engine()
        self._session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._session.exec_driver_sql(_NAME, {"name": f"almenara {socket.gethostname()} {os.getpid()}"})
        self._session.exec_driver_sql(_IDLE)
        return self._session

    def _drop(self) -> None:
        self._held = False
        if self._session is not None:
            with suppress(DBAPIError):
                self._session.close()
        if self._engine is not None:
            self._engine.dispose()
        self._engine = self._session = None

    def _found(self) -> None:
        if self._engine is None:
            raise AssertionError(self._backend.name)
        founding = self._engine.connect().execution_options(**self._backend.options("found"))
        with founding as connection, connection.begin():
            if migrations.version_of(connection) is None:
                migrations.found_store(connection)


def holder_of(connection: Connection) -> str:
    """Return who holds the lock of the store now, as its server knows it."""
    found = connection.exec_driver_sql(_HOLDER).first()
    if found is None:
        return "another node"
    name, address = found
    return f"{name} ({address})" if address else str(name)
