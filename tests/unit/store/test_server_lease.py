"""Of several nodes over one store on a server one speaks, and whoever was overtaken is held back for good."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import NullPool

from almenara.errors import Code, Superseded, Unavailable
from almenara.node import turn
from almenara.store import postgres
from almenara.store.database import Store
from almenara.store.lease import lease
from almenara.store.place import Database, database
from almenara.store.server_lease import ServerLease
from unit.store.rows import names, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from postgres_cluster import Cluster

pytestmark = pytest.mark.postgres

PATIENCE_S = 60.0

TAKEN_OVER_S = 15
"""What is promised from the death of a machine to the next node that speaks."""

STARTED_S = 5
"""How long a node takes from the lease to its socket on a quiet machine: it was measured to be 3 s."""


@contextmanager
def holding(place: Database) -> Iterator[ServerLease]:
    with closing(ServerLease(place)) as made:
        made.take()
        yield made


def taken(server: ServerLease) -> None:
    """Take the lock once it is free."""
    end = time.monotonic() + PATIENCE_S
    while server.term is None:
        with suppress(Unavailable):
            server.take()
        assert time.monotonic() < end, "it is not free"


def until_one_waits(connection: Connection) -> None:
    """Return once a session waits for another's lock."""
    end = time.monotonic() + PATIENCE_S
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    while connection.execute(waiting).scalar() != 1:
        assert time.monotonic() < end, "nobody waits"
        time.sleep(0.01)
        connection.execute(text("SELECT pg_stat_clear_snapshot()"))


@pytest.fixture
def made(database: Database) -> Database:
    Store.create(database).close()
    return database


def test_a_second_machine_is_refused_and_told_who_holds_it(made: Database, tmp_path: Path) -> None:
    with (
        lease(tmp_path / "one.lock", made) as held,
        pytest.raises(Unavailable, match=rf"almenara \S+ {os.getpid()} runs this member's node") as refusal,
        lease(tmp_path / "two.lock", made),
    ):
        pass
    assert refusal.value.code is Code.STORE_LOCKED
    with lease(tmp_path / "two.lock", made) as next_one:
        assert held.term is not None
        assert next_one.term == held.term + 1


def test_the_folders_lock_keeps_a_second_node_of_one_machine_out_as_ever(
    made: Database, tmp_path: Path
) -> None:
    path = tmp_path / "node.lock"
    with lease(path, made), pytest.raises(Unavailable, match=f"process {os.getpid()} "), lease(path, made):
        pass


def test_where_there_is_no_store_there_is_nothing_to_hold_until_it_is_made(cluster: Cluster) -> None:
    place = cluster.make()
    with closing(ServerLease(place)) as server:
        terms = []
        for found in (False, True):
            server.take(found=found)
            terms.append(server.term)
        assert terms == [None, 1]
        with closing(Store.open(place, term=1)) as store:
            store.write_now(lambda c: put(c, "a"))
    cluster.drop(place)


def test_stores_in_two_schemas_of_one_database_have_each_a_lock(made: Database, cluster: Cluster) -> None:
    name = made.parsed().database or ""
    cluster.run("CREATE SCHEMA other", database=name)
    try:
        second = database(f"{made.url}&options=-csearch_path%3Dother")
        with closing(ServerLease(second)) as other, holding(made):
            other.take(found=True)
            assert other.term == 1
    finally:
        cluster.run("DROP SCHEMA other CASCADE", database=name)


def test_whoever_was_overtaken_writes_nothing_more_and_still_reads(made: Database, cluster: Cluster) -> None:
    with holding(made) as first, closing(Store.open(made, term=first.term)) as old:
        old.write_now(lambda c: put(c, "before"))
        cluster.end_lease(made)
        with closing(ServerLease(made)) as second:
            taken(second)
            with closing(Store.open(made, term=second.term)) as new:
                with pytest.raises(Superseded):
                    old.write_now(lambda c: put(c, "too late"))
                with pytest.raises(Superseded, match="nothing accepted is lost") as refusal:
                    old.write_now(lambda c: put(c, "too late again"))
                assert refusal.value.code is Code.STORE_LOCKED
                assert old.fault is refusal.value
                new.write_now(lambda c: put(c, "after"))
                assert names(old) == names(new) == {"before", "after"}
            with pytest.raises(Unavailable, match="the server does not answer"):
                first.confirm()  # its session has ended
            with pytest.raises(Superseded, match=rf"almenara \S+ {os.getpid()} speaks"):
                first.confirm()


def test_a_write_that_waits_while_another_takes_over_is_refused(made: Database) -> None:
    """It began before, and has the lock after: what counts is how the rows stand then."""
    with holding(made) as first, closing(Store.open(made, term=first.term)) as old:
        refused: list[Superseded] = []

        def write() -> None:
            with pytest.raises(Superseded) as caught:
                old.write_now(lambda c: put(c, "too late"))
            refused.append(caught.value)

        writing = threading.Thread(target=write)
        with create_engine(made.parsed(), poolclass=NullPool).begin() as other:
            other.execute(text("UPDATE meta SET value = (value::bigint + 1)::text WHERE name = 'term'"))
            writing.start()
            until_one_waits(other)
        writing.join(PATIENCE_S)
        assert len(refused) == 1
        assert names(old) == set()


def test_the_term_is_raised_behind_the_write_that_is_under_way(made: Database, cluster: Cluster) -> None:
    with (
        holding(made) as first,
        closing(Store.open(made, term=first.term)) as old,
        closing(ServerLease(made)) as second,
    ):
        taking = threading.Thread(target=taken, args=(second,))

        def slow(connection: Connection) -> None:
            put(connection, "before")
            cluster.end_lease(made)
            taking.start()
            until_one_waits(connection)

        old.write_now(slow)
        taking.join(PATIENCE_S)
        assert first.term is not None
        assert second.term == first.term + 1
        assert names(old) == {"before"}
        with pytest.raises(Superseded):
            old.write_now(lambda c: put(c, "too late"))


def test_a_session_that_ended_is_made_good_with_the_same_term(made: Database, cluster: Cluster) -> None:
    with holding(made) as server, closing(Store.open(made, term=server.term)) as store:
        term = server.term
        assert server.confirm()
        cluster.end_lease(made)
        with pytest.raises(Unavailable) as away:
            server.confirm()
        assert away.value.code is Code.STORE_AWAY
        end = time.monotonic() + PATIENCE_S
        while not server.confirm():
            assert time.monotonic() < end, "it is not free"
        assert server.term == term
        store.write_now(lambda c: put(c, "a"))
        with (
            closing(ServerLease(made)) as second,
            pytest.raises(Unavailable, match="runs this member's node"),
        ):
            second.take()


def test_a_lock_that_another_takes_just_now_is_in_doubt_until_the_term_tells(
    made: Database, cluster: Cluster
) -> None:
    with holding(made) as server:
        cluster.end_lease(made)
        with pytest.raises(Unavailable):
            server.confirm()
        with create_engine(made.parsed(), poolclass=NullPool).connect() as other:
            other.execute(text("SELECT pg_advisory_lock('meta'::regclass::oid::bigint)"))
            assert not server.confirm()
            other.execute(text("UPDATE meta SET value = (value::bigint + 1)::text WHERE name = 'term'"))
            other.commit()
            with pytest.raises(Superseded):
                server.confirm()


def test_a_write_asks_for_lock_and_term_in_one_statement(made: Database) -> None:
    with holding(made) as server, closing(Store.open(made, term=server.term)) as store:
        said: list[str] = []

        def count(*arguments: Any) -> None:  # noqa: ANN401 - as SQLAlchemy calls it
            said.append(arguments[2])

        store.read_now(lambda c: event.listen(c.engine, "before_cursor_execute", count))
        store.write_now(lambda c: c.exec_driver_sql("SELECT 1"))
        assert [each.split()[0] for each in said] == ["SELECT", "SELECT"]
        assert said[0].endswith("FOR UPDATE")


def test_over_a_network_the_server_asks_whether_its_client_is_still_there(
    made: Database, cluster: Cluster
) -> None:
    with closing(Store.open(cluster.over_tcp(made))) as store:
        shown = [
            store.read_now(lambda c, n=name: c.exec_driver_sql(f"SHOW tcp_{n}").scalar())  # type: ignore[misc]
            for name in ("keepalives_idle", "keepalives_interval", "keepalives_count", "user_timeout")
        ]
    said = (postgres.SILENT_S, postgres.PROBE_S, postgres.PROBES, postgres.VANISHED_S * 1000)
    assert shown == [str(each) for each in said]


def test_a_machine_that_is_gone_is_followed_in_time() -> None:
    """What the server waits for it, a look of whoever stands by, and a start together keep the promise."""
    assert postgres.VANISHED_S + turn.POLL_S + STARTED_S < TAKEN_OVER_S
