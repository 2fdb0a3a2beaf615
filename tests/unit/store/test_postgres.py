"""Does a store on a server keep its word: in order, through its absence, without a password shown?"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from almenara.bus.received import Received
from almenara.errors import AlmenaraError, Code, Misconfigured, Unavailable
from almenara.model.ids import Stream
from almenara.store import inbox, postgres, quarantine, views
from almenara.store.database import Store, describe
from almenara.store.place import Database, database, holds_password
from almenara.store.wanted import InboxFilter
from postgres_cluster import Cluster
from unit.store.rows import PE, REGION, message_row, names, put, refusal
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import NOW, directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection

pytestmark = pytest.mark.postgres

SECRET = "p/s@w:rd"
PATIENCE_S = 60.0


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store.create(database)
    yield made
    made.close()


@pytest.fixture
def mortal() -> Iterator[Cluster]:
    """Return a server that the test may kill; what it has committed is on disk."""
    made = Cluster(fsync=True)
    try:
        made.start()
        yield made
    finally:
        made.remove()


def held(store: Store) -> int:
    return store.read_now(views.last_position)


def test_a_follower_passes_over_no_message_that_a_slower_writer_commits_later(
    database: Database,
) -> None:
    """A position is drawn within the write lock, so no higher one shows before it."""
    one, two, reader = (Store.create(database) for _ in range(3))
    drawn, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        inbox.insert_messages(connection, [message_row(1)])
        drawn.set()
        assert go_on.wait(PATIENCE_S)

    first = threading.Thread(target=one.write_now, args=(slow,))
    first.start()
    assert drawn.wait(PATIENCE_S)
    second = threading.Thread(
        target=two.write_now, args=(lambda c: inbox.insert_messages(c, [message_row(2)]),)
    )
    second.start()
    with create_engine(database.parsed(), poolclass=NullPool).begin() as looking:
        end = time.monotonic() + PATIENCE_S
        waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        while looking.execute(waiting).scalar() != 1:
            assert time.monotonic() < end, "the second writer does not wait"
            time.sleep(0.01)
            looking.execute(text("SELECT pg_stat_clear_snapshot()"))
    assert held(reader) == 0
    go_on.set()
    first.join(PATIENCE_S)
    second.join(PATIENCE_S)
    found = reader.read_now(lambda c: views.entries_after(c, InboxFilter(), position=0, limit=9))
    assert [(e.position, int.from_bytes(e.row.message_id, "big")) for e in found] == [(1, 1), (2, 2)]
    for each in (one, two, reader):
        each.close()


def test_writers_of_several_processes_leave_positions_in_the_order_of_their_commits(
    database: Database,
) -> None:
    writers = [Store.create(database) for _ in range(4)]
    reader = Store.create(database)
    seen: list[int] = []

    def write(number: int) -> None:
        for each in range(25):
            writers[number].write_now(
                lambda c, n=number * 100 + each: inbox.insert_messages(c, [message_row(n)])  # type: ignore[misc]
            )

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE_S
    while len(seen) < 100:
        assert time.monotonic() < end
        after = seen[-1] if seen else 0
        found = reader.read_now(
            lambda c, a=after: views.entries_after(c, InboxFilter(), position=a, limit=7)  # type: ignore[misc]
        )
        seen += [entry.position for entry in found]
    for thread in threads:
        thread.join(PATIENCE_S)
    assert seen == sorted(seen)
    assert len(set(seen)) == 100, "a follower got each, in order, while they were written"
    for each in (*writers, reader):
        each.close()


def test_a_lock_held_elsewhere_is_waited_for_then_named(
    database: Database, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_SETTINGS", ("SET lock_timeout = '200ms'",))
    impatient = Store.open(database)

    def hold(_: Connection) -> None:
        with pytest.raises(Unavailable, match="another process holds its lock") as refusal:
            impatient.write_now(lambda c: put(c, "a"))
        assert refusal.value.code is Code.STORE_LOCKED
        assert names(impatient) == set(), "reading goes on"

    store.write_now(hold)
    impatient.write_now(lambda c: put(c, "a"))
    impatient.close()


def test_a_missing_store_is_named_with_what_makes_it(cluster: Cluster) -> None:
    place = cluster.make()
    for ask in (Store.open, describe):
        with pytest.raises(Misconfigured, match="almenara node run") as refusal:
            ask(place)
        assert refusal.value.code is Code.STORE_MISSING
    cluster.drop(place)


def test_what_others_wrote_into_a_fault_is_kept_whatever_it_is(store: Store) -> None:
    nul = refusal(1, proven=True)
    nul = type(nul)(**{name: getattr(nul, name) for name in nul.__struct_fields__} | {"detail": "a\0b"})
    store.write_now(lambda c: quarantine.keep(c, [nul]))
    (kept,) = store.read_now(quarantine.refusals)
    assert kept.detail == "a\\x00b"


def test_numbers_of_others_may_be_as_long_as_the_wire_lets_them(store: Store) -> None:
    most = 2**63 - 1
    row = inbox.ChainRow(audience=REGION, publisher=PE, epoch=most, seq=most, directory_version=most)
    store.write_now(lambda c: inbox.save_chains(c, [row]))
    assert store.read_now(inbox.chains) == {Stream(REGION, PE): row}


def test_a_server_that_goes_and_comes_is_waited_for_and_nothing_is_kept_in_part(mortal: Cluster) -> None:
    place = mortal.make()
    store = Store.create(place)
    store.write_now(lambda c: put(c, "before"))

    def cut_off(connection: Connection) -> None:
        put(connection, "in the middle")
        mortal.kill()
        put(connection, "behind it")

    with pytest.raises(Unavailable, match="nothing accepted is lost") as refusal:
        store.write_now(cut_off)
    assert refusal.value.code is Code.STORE_AWAY
    for work in (store.read_now, store.write_now):
        with pytest.raises(Unavailable) as refusal:
            work(lambda c: put(c, "while it is away"))
        assert refusal.value.code is Code.STORE_AWAY
    with pytest.raises(Unavailable) as refusal:
        Store.open(place)
    assert refusal.value.code is Code.STORE_AWAY
    mortal.start()
    assert names(store) == {"before"}
    store.write_now(lambda c: put(c, "after"))
    assert names(store) == {"before", "after"}
    mortal.stop()
    mortal.start()
    assert names(store) == {"before", "after"}, "an orderly restart is not even noticed"
    store.close()


def test_a_read_only_server_is_named(cluster: Cluster) -> None:
    place = cluster.make()
    Store.create(place).close()
    cluster.run(f"ALTER DATABASE {place.parsed().database} SET default_transaction_read_only = on")
    with pytest.raises(AlmenaraError) as refusal:
        Store.open(place)
    # One that takes no writes is a standby to libpq, and a standby may be promoted any moment.
    assert refusal.value.code is Code.STORE_AWAY
    assert "read-only" in refusal.value.text
    cluster.drop(place)


def test_a_session_that_becomes_read_only_is_a_fault_of_configuration(store: Store) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        put(connection, "a")

    with pytest.raises(Misconfigured, match="let this user write"):
        store.write_now(work)


def fault_of(place: Database) -> AlmenaraError:
    with pytest.raises(AlmenaraError) as refusal:
        Store.create(place)
    return refusal.value


def test_a_wrong_password_is_named_and_no_text_shows_one(cluster: Cluster, database: Database) -> None:
    cluster.run("DROP ROLE IF EXISTS locked")
    cluster.run("CREATE ROLE locked LOGIN PASSWORD 'right'")
    cluster.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database=database.parsed().database or "")
    name = database.parsed().database or ""
    wrong = fault_of(cluster.place(name, user="locked", password=SECRET))
    none = fault_of(cluster.place(name, user="locked"))
    for fault in (wrong, none):
        assert isinstance(fault, Misconfigured)
        assert "password" in fault.text
        assert "member.toml" in fault.text
        assert name in fault.text
    assert SECRET not in wrong.text
    assert "p%2Fs" not in wrong.text
    right = cluster.place(name, user="locked", password="right")
    denied = fault_of(right)
    assert isinstance(denied, Misconfigured)
    assert "permission denied" in denied.text


def test_a_database_or_user_that_is_not_there_is_named(cluster: Cluster) -> None:
    for place in (cluster.place("nowhere"), cluster.place("postgres", user="nobody-at-all")):
        fault = fault_of(place)
        assert isinstance(fault, Misconfigured)
        assert "does not exist" in fault.text


def test_a_server_that_is_not_there_is_waited_for(cluster: Cluster) -> None:
    fault = fault_of(database(f"postgresql://pe@/pe?host={cluster.folder}/none"))
    assert isinstance(fault, Unavailable)
    assert fault.code is Code.STORE_AWAY


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://pe:p@ss:w@rd@h/db",
        "postgresql://pe:hush/@h:port/db",
        "postgresql://pe:hush@h",
        "mysql://pe:hush@h/db",
        "postgresql://pe@h/db?password=hush",
        "hush",
        "postgresql://pe:12/hush@h@h/db",
    ],
)
def test_a_url_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(Misconfigured, match="not the URL of a PostgreSQL database") as refusal:
        database(url)
    assert "hush" not in refusal.value.text
    assert "w@rd" not in refusal.value.text
    assert refusal.value.__cause__ is None


def test_a_place_shows_where_it_is_and_no_password() -> None:
    place = database("postgresql://pe:hush@db.example.org:5433/pe?sslmode=require")
    assert str(place) == "postgresql://pe@db.example.org:5433/pe"
    assert "hush" not in repr(place)
    assert place.parsed().password == "hush"
    assert holds_password(place.url)
    assert not holds_password("postgresql://pe@h/db")


def test_a_store_tells_its_server_and_size(database: Database, store: Store) -> None:
    about = describe(database)
    assert about.server.startswith("PostgreSQL 1")
    before = about.size
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(n) for n in range(500)]))
    assert describe(database).size > before > 0


def cut_in_commit(store: Store, cluster: Cluster, work: Callable[[Connection], None]) -> None:
    """Commit, and lose the server's answer: it had done it, and the client cannot know."""

    def commit_and_vanish(connection: Connection) -> None:
        work(connection)
        connection.exec_driver_sql("COMMIT")
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        cluster.run(f"SELECT pg_terminate_backend({pid})")

    with pytest.raises(Unavailable) as refusal:
        store.write_now(commit_and_vanish)
    assert refusal.value.code is Code.STORE_AWAY


def test_a_reader_whose_commit_was_not_answered_asks_the_store_and_delivers_once(
    tmp_path: Path, database: Database, cluster: Cluster
) -> None:
    author, site = Author(), ReaderSite(tmp_path, place=database)
    first, second = author.says(alert(1)), author.says(alert(2))
    numbered = [
        (site.stream, Received("topic", offset, value, 0)) for offset, value in enumerate((first, second))
    ]

    def absorb(connection: Connection) -> None:
        site.absorber.absorb(connection, numbered, directory=directory(), now=NOW)

    cut_in_commit(site.store, cluster, absorb)
    site.absorber.in_doubt()
    assert site.reads(first, second).delivered == 0
    assert site.reads((2, author.says(alert(3)))).delivered == 1
    assert len(site.inbox) == 3
    site.store.close()
