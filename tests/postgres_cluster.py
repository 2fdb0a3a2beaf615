"""A private PostgreSQL server for tests: on a socket and a port of its own, unprivileged, and nothing left.

`fsync` is off unless it is asked for: of what a test kills, the machine is never one.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from almenara.bus import bound
from almenara.store.place import Database, database
from chaos.proxy import HOST, free_port

START_S = 60.0
ADMIN = "postgres"

_EMPTY = """
    DO $$
    DECLARE found record; filled boolean;
    BEGIN
      PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
      FOR found IN SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', found.name) INTO filled;
        IF filled AND found.name <> 'meta' THEN EXECUTE format('DELETE FROM %I', found.name); END IF;
      END LOOP;
      DELETE FROM meta WHERE name <> 'schema_version';
      PERFORM setval(oid, 1, false) FROM pg_class WHERE relkind = 'S';
    END $$
"""

# A role that needs a password, before everybody else who is let in.
_HBA = """
local all locked scram-sha-256
local all all trust
local replication all trust
host all all {address}/32 trust
"""


def programs() -> Path | None:
    """Return the folder of the server's programs: Debian keeps it off the PATH, one for each version."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    return found[-1].parent if found else None


def _unprivileged() -> dict[str, Any]:
    """Return whom to be: the server refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise AssertionError("neither postgres nor nobody is a user of this machine")


class Cluster:
    """One server; `start`, `stop` and `kill` at will, `remove` at the end."""

    def __init__(self, *, fsync: bool = False, address: str = HOST) -> None:
        found = programs()
        if found is None:
            raise AssertionError("no PostgreSQL here")
        self._programs = found
        self._as = _unprivileged()
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="almenara-pg-"))
        if self._as:
            os.chown(self.folder, self._as["user"], self._as["group"])
        self._data = self.folder / "data"
        command = [str(found / "initdb"), "-D", str(self._data), "-U", ADMIN, "-E", "UTF8", "--locale=C"]
        subprocess.run([*command, "--no-sync"], check=True, capture_output=True, cwd="/", **self._as)
        self.address, self.port = address, free_port()
        (self._data / "pg_hba.conf").write_text(_HBA.format(address=address))
        settings = {
            "listen_addresses": f"'{address}'",
            "port": str(self.port),
            "unix_socket_directories": f"'{self.folder}'",
            "max_connections": "100",
            "shared_buffers": "32MB",
            "fsync": "on" if fsync else "off",
            "autovacuum": "off",
            "jit": "off",
            "log_min_messages": "fatal",
        }
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [str(self._programs / "postgres"), "-D", str(self._data)]
        if self._as:
            # Whoever becomes another user is asked once more to end with us, and Python is not for all.
            user, group = f"--reuid={self._as['user']}", f"--regid={self._as['group']}"
            command = ["setpriv", "--pdeathsig=KILL", user, group, "--clear-groups", *command]
        else:
            command = bound.command(command)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        end = time.monotonic() + START_S
        while self._psql("SELECT 1", check=False) != 0:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server and every session at once, in order."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End the server as a power cut would, but for what the kernel has yet to write."""
        self._end(signal.SIGQUIT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_S)
            self._process = None

    def remove(self) -> None:
        """End the server and delete all that it held."""
        self.kill()
        shutil.rmtree(self.folder)

    def run(self, statement: str, *, database: str = ADMIN) -> None:
        """Run SQL as the server's administrator."""
        self._psql(statement, database=database)

    def make(self) -> Database:
        """Make an empty database and return its place."""
        name = f"member_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return self.place(name)

    def empty(self, place: Database) -> None:
        """Make a store as if it were new, and end every session of whoever used it: that costs 10 ms."""
        self.run(_EMPTY, database=place.parsed().database or "")

    def end_lease(self, place: Database) -> None:
        """End the session that holds the lease of a store, as a network does that forgets a connection."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND datname = current_database()",
            database=place.parsed().database or "",
        )

    def end_sessions(self, place: Database) -> None:
        """End every session of a database, as a restart of the server does."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            database=place.parsed().database or "",
        )

    def end_transactions(self, place: Database) -> None:
        """End every session that holds a transaction open and says nothing: its process is stopped."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE state LIKE 'idle in transaction%' AND datname = current_database()",
            database=place.parsed().database or "",
        )

    def drop(self, place: Database) -> None:
        """Drop a database, whoever is connected to it."""
        self.run(f"DROP DATABASE {place.parsed().database} WITH (FORCE)")

    def place(self, name: str, *, user: str = ADMIN, password: str = "") -> Database:
        """Return the place of a database for a user."""
        secret = f":{quote(password, safe='')}" if password else ""
        return database(f"postgresql://{user}{secret}@/{name}?host={self.folder}&port={self.port}")

    def over_tcp(self, place: Database, port: int | None = None) -> Database:
        """Return the same database as it is reached from another machine, or through a proxy's port."""
        name = place.parsed().database
        return database(f"postgresql://{ADMIN}@{self.address}:{port or self.port}/{name}?sslmode=disable")

    def _psql(self, statement: str, *, database: str = ADMIN, check: bool = True) -> int:
        where = ["-h", str(self.folder), "-p", str(self.port)]
        command = ["psql", *where, "-U", ADMIN, "-d", database, "-qAt", "-c", statement]
        command[0] = str(self._programs / command[0])
        return subprocess.run(command, check=check, capture_output=True, cwd="/", **self._as).returncode
