"""How is a store in a PostgreSQL database opened, and which of its faults can a person or time mend?

A write locks two rows (`meta`, schema_version and term) before all else, and its transaction is READ
COMMITTED: so writers follow one another as with SQLite's BEGIN IMMEDIATE, none sees less than the one
before it left, and positions show in their order. The term under that lock says whether the writer still
speaks for its member (server_lease.py). SERIALIZABLE would have every caller ready to run again. A read is
one REPEATABLE READ snapshot.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event

from almenara.errors import Code, Misconfigured, Superseded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Engine
    from sqlalchemy.exc import DBAPIError

    from almenara.store.place import Database

LOCK_TIMEOUT_S = 10.0
"""How long a transaction waits for another process's; theirs take milliseconds."""

CONNECT_TIMEOUT_S = 5

IDLE_TIMEOUT_S = 60
"""How long the server waits for the next word within a transaction. A client that vanished would else
hold the write lock; one that opens a large batch meanwhile is silent for seconds."""

SILENT_S, PROBE_S, PROBES = 3, 1, 4
"""After how long a silence the server asks whether a client is there, how often, and how many times."""

VANISHED_S = SILENT_S + PROBE_S * PROBES
"""After how long it gives up one whose machine has gone, with all that its sessions held."""

# A server whose machine has gone answers nothing at all: within some 10 s the connection is given up.
_PATIENCE = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "read-write",  # of several hosts the one that leads, and never a standby
    "application_name": "almenara",
}

_SETTINGS = (
    "SET synchronous_commit = on",
    f"SET lock_timeout = '{LOCK_TIMEOUT_S:.0f}s'",
    f"SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT_S}s'",
    "SET bytea_output = hex",
    "SET standard_conforming_strings = on",
    "SET client_min_messages = warning",
    # Over TCP; its own settings would have it wait for two hours.
    f"SET tcp_keepalives_idle = {SILENT_S}",
    f"SET tcp_keepalives_interval = {PROBE_S}",
    f"SET tcp_keepalives_count = {PROBES}",
    f"SET tcp_user_timeout = {VANISHED_S * 1000}",
)

# Who waits here is given the rows as they stand once it has the lock, not as they stood when it came.
_WRITE_LOCK = "SELECT value FROM meta WHERE name IN ('schema_version', 'term') ORDER BY name FOR UPDATE"

_ABOUT = """
    SELECT current_setting('server_version'), coalesce(sum(pg_total_relation_size(oid)), 0)::bigint
    FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
"""

# While a store is made or changed there may be no row to lock. The number is "almenara" as eight bytes.
_FOUNDING_LOCK = f"SELECT pg_advisory_xact_lock({int.from_bytes(b'almenara')})"

# What the server says before a session stands comes without its code: in these words if it is English.
_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied",
    "is not permitted to log in",
    "certificate",
    "unsupported frontend protocol",
    "invalid connection option",
    "invalid URI",
)

INSTALLING = 'pip install "almenara[postgres]"'


class PostgresDatabase:
    """A store in one database, or in the first schema of its search path.

    With a `term` it is written for as long as no other has been taken since; without one, by a person.
    """

    def __init__(self, place: Database, term: int | None = None) -> None:
        self._place = place
        self._term = term
        self.name = place.name

    def find(self) -> None:
        """Return; whether the store is there shows once it is connected."""

    def make(self) -> None:
        """Return; a person made the database, and its tables come with the first transaction."""

    def settle(self) -> None:
        """Return; who may read it is the server's to know."""

    def engine(self) -> Engine:
        """Return the engine; nothing is opened yet. Raises Misconfigured without the driver."""
        if importlib.util.find_spec("psycopg") is None:
            raise Misconfigured(
                Code.CONFIGURATION, f"store {self.name}: psycopg is not installed; run {INSTALLING}"
            )
        url = self._place.parsed()
        patience = {key: value for key, value in _PATIENCE.items() if key not in url.query}
        engine = create_engine(url, pool_size=4, pool_pre_ping=True, connect_args=patience)

        @event.listens_for(engine, "connect")
        def _settings(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver is not imported
            connection.adapters.register_dumper(str, _escaping())
            connection.execute("; ".join(_SETTINGS))
            connection.commit()

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            match connection.get_execution_options().get("purpose"):
                case "write":
                    locked = connection.exec_driver_sql(_WRITE_LOCK).scalars().all()
                    if self._term is not None and locked[1:] != [str(self._term)]:
                        raise superseded(self.name)
                case "found":
                    connection.exec_driver_sql(_FOUNDING_LOCK)
                case _:
                    pass  # a snapshot locks nothing

        return engine

    def options(self, purpose: str) -> Mapping[str, Any]:
        """Return how a transaction for that purpose is begun."""
        if purpose == "read":
            return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return {"isolation_level": "READ COMMITTED", "purpose": purpose}

    def about(self, connection: Connection) -> tuple[str, int]:
        """Return which database it is and how many bytes the store takes, indexes and all."""
        version, size = connection.exec_driver_sql(_ABOUT).one()
        return f"PostgreSQL {version}", size

    def missing(self) -> Misconfigured:
        """Return what to say where there is no store."""
        return Misconfigured(
            Code.STORE_MISSING,
            f"store {self.name}: the database holds none; start the node (almenara node run), which makes it",
        )

    def without_tables(self) -> Misconfigured:
        """Return what to say of a database that holds no store's tables."""
        return self.missing()

    def fault(self, exc: DBAPIError) -> Exception:
        """Return our error for what a person or time can mend, else the driver's own: a bug."""
        said = _said(exc)
        match getattr(exc.orig, "sqlstate", None) or "":
            case "55P03" | "40001" | "40P01":
                return Unavailable(
                    Code.STORE_LOCKED,
                    f"store {self.name}: another process holds its lock for over {LOCK_TIMEOUT_S:.0f} s;"
                    " end that process or wait",
                )
            case "53100":
                return Unavailable(
                    Code.STORE_FULL,
                    f"store {self.name}: the server's disk is full; nothing accepted is lost; free space"
                    " there and it goes on",
                    retry_after_s=5.0,
                )
            case "25006":
                return self._refused(said, "let this user write, and name the server that leads")
            case "42501" | "3F000" | "28000" | "28P01" | "3D000":
                return self._refused(said, "give this user that right in the database")
            case "XX001" | "XX002":
                return self._refused(said, "it is damaged: restore it from a backup")
            case state if state.startswith(("08", "53", "57", "58")) or state in {"25P03", "25P04"}:
                return self._away(said)
            case "" if not exc.connection_invalidated and any(words in said for words in _REFUSALS):
                return self._refused(
                    said, "correct store or its passfile in member.toml, or make user and database there"
                )
            case "" if exc.connection_invalidated or _is_operational(exc):
                return self._away(said)
            case _:
                return exc

    def _away(self, said: str) -> Unavailable:
        return Unavailable(
            Code.STORE_AWAY,
            f"store {self.name}: the server does not answer ({said}); nothing accepted is lost; it goes on"
            " when the server is back",
        )

    def _refused(self, said: str, remedy: str) -> Misconfigured:
        return Misconfigured(Code.CONFIGURATION, f"store {self.name}: refused ({said}); {remedy}")


def superseded(name: str, holder: str = "another node") -> Superseded:
    """Return what to say where this process no longer speaks for its member."""
    return Superseded(
        Code.STORE_LOCKED,
        f"store {name}: {holder} speaks for this member by now; this node ends, and nothing accepted is lost;"
        " ask that one",
    )


def _said(exc: DBAPIError) -> str:
    """Return what driver or server said, in one line."""
    return " ".join(str(exc.orig).split()).replace(";", ",")


def _is_operational(exc: DBAPIError) -> bool:
    import psycopg

    return isinstance(exc.orig, psycopg.OperationalError | psycopg.InterfaceError)


def _escaping() -> type:
    """Return how text is written: PostgreSQL holds no NUL, and a fault may show what others wrote."""
    from psycopg.types.string import StrDumperUnknown

    class Escaping(StrDumperUnknown):
        def dump(self, obj: str) -> Any:  # noqa: ANN401 - a buffer of the driver's choice
            return super().dump(obj.replace("\0", "\\x00"))

    return Escaping
