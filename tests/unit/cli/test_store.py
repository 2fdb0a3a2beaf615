"""`almenara store` as a person types it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete

from almenara import clock
from almenara.cli.checks import Verdict, retention, trusted_directory
from almenara.node.settings import load_settings
from almenara.store import outbox as outboxes
from almenara.store.database import Store
from almenara.store.lease import folder_lease
from almenara.store.tables import SCHEMA_VERSION, outbox
from unit.cli.member_site import message
from unit.cli.test_bad_input import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from almenara.store.place import Database
    from unit.cli.member_site import MemberSite


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text("a long sentence\n")
    file.chmod(0o600)
    return file


def test_a_lost_store_comes_back_and_says_what_to_do_next(site: MemberSite, passphrase: Path) -> None:
    file = site.folder / "PE-store.backup"
    shown = site.almenara("store", "backup", "--output", file, "--passphrase-file", passphrase)
    assert shown.status == 0
    assert f"rows in {file}" in shown.out
    before = own_epoch(site)
    shutil.rmtree(site.state)
    shown = site.almenara("store", "restore", file, "--passphrase-file", passphrase)
    assert shown.status == 0, shown.err
    assert "1 stream to open a new epoch" in shown.out
    assert "almenara node run" in shown.out
    assert own_epoch(site) == before
    site.publish()
    assert own_epoch(site) > before


def test_a_newer_store_stays_unless_it_is_forced(site: MemberSite, passphrase: Path) -> None:
    file = site.folder / "PE-store.backup"
    site.almenara("store", "backup", "--output", file, "--passphrase-file", passphrase)
    site.publish()
    shown = site.almenara("store", "restore", file, "--passphrase-file", passphrase)
    assert shown.status == 2
    assert "newer than" in shown.fault
    assert "--force" in shown.fault
    shown = site.almenara("store", "restore", file, "--passphrase-file", passphrase, "--force")
    assert shown.status == 0
    (aside,) = site.state.glob("almenara.db.replaced-*")
    assert str(aside) in shown.out


def test_restore_refuses_while_a_node_runs_and_a_file_that_is_none(
    site: MemberSite, passphrase: Path
) -> None:
    file = site.folder / "PE-store.backup"
    site.almenara("store", "backup", "--output", file, "--passphrase-file", passphrase)
    with folder_lease(site.state / "node.lock"):
        shown = site.almenara("store", "restore", file, "--passphrase-file", passphrase)
    assert shown.status == 3
    assert "[STORE_LOCKED]" in shown.fault
    assert site.almenara("store", "restore", site.config, "--passphrase-file", passphrase).status == 2


def forget(connection: Connection) -> None:
    connection.execute(delete(outbox))


def test_of_a_message_whose_retention_is_over_nobody_says_who_confirmed_it(site: MemberSite) -> None:
    """Its readers have forgotten what they excepted: their later words would read as a yes."""
    identity = site.publish()
    assert site.almenara("sent", "show", identity).status == 0
    site.write(forget)
    shown = site.almenara("sent", "show", identity)
    assert shown.status == 1
    assert "its retention is over" in shown.fault


def test_doctor_says_what_goes_next_and_warns_where_it_does_not_go(site: MemberSite) -> None:
    settings = load_settings(site.config, environ={})
    now = clock.now()
    site.receive(message())
    known = trusted_directory(settings)
    assert known is not None
    found = retention(settings, known.directory(), now)
    assert found.verdict is Verdict.OK
    assert "region keeps 90 days and 7" in found.seen
    assert f"the oldest of region goes {now + timedelta(days=97):%Y-%m-%d}" in found.seen
    found = retention(settings, known.directory(), now + timedelta(days=99))
    assert found.verdict is Verdict.WARN
    assert found.remedy.startswith("region: a running node trims it")


def own_epoch(site: MemberSite) -> int:
    return int(next(r["epoch"] for r in site.almenara("streams", "-o", "json").json if r["own"]))


def older(site: MemberSite) -> None:
    """Make the store one of version 1."""
    with closing(sqlite3.connect(site.state / "almenara.db")) as connection:
        for table in ("owed", "unread"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DROP INDEX outgoing_accepted")
        connection.execute("DROP INDEX message_received")
        connection.execute("ALTER TABLE sender_key DROP COLUMN kept_at")
        connection.execute("UPDATE meta SET value = '1' WHERE name = 'schema_version'")
        connection.commit()


def test_a_store_is_shown_with_its_version(site: MemberSite) -> None:
    shown = site.almenara("store", "show", "-o", "json").json[0]
    assert shown["place"].endswith("almenara.db")
    assert shown["database"].startswith("SQLite 3")
    assert shown["schema"] == shown["program"] == SCHEMA_VERSION
    assert shown["bytes"] > 0


def test_an_older_store_is_shown_refused_and_upgraded_once(site: MemberSite) -> None:
    older(site)
    assert site.almenara("store", "show", "-o", "json").json[0]["schema"] == 1
    one_line(
        site.almenara("inbox", "list"), 2, "schema version 1", "almenara store migrate", "[CONFIGURATION]"
    )
    shown = site.almenara("store", "migrate")
    assert shown.status == 0
    first, last = shown.out.splitlines()
    assert first.startswith("version 2: ")
    assert f"upgraded from schema version 1 to {SCHEMA_VERSION}" in last
    assert site.almenara("inbox", "list").status == 0
    again = site.almenara("store", "migrate")
    assert (again.status, "nothing to do" in again.out) == (0, True)


def test_a_store_is_not_upgraded_under_a_node_that_runs(site: MemberSite) -> None:
    older(site)
    with folder_lease(site.state / "node.lock"):
        one_line(site.almenara("store", "migrate"), 3, "node.lock", "[STORE_LOCKED]")
    assert site.almenara("store", "show", "-o", "json").json[0]["schema"] == 1


@pytest.mark.postgres
def test_a_store_on_a_server_is_shown_without_its_password(
    site: MemberSite, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = database.url.replace("postgres@", "postgres:hush@")
    monkeypatch.setenv("ALMENARA_STORE", secret)
    shown = site.almenara("store", "show", "-o", "json")
    assert shown.json[0]["place"] == database.name
    assert shown.json[0]["database"].startswith("PostgreSQL")
    doctor = site.almenara("doctor", "-o", "json")
    (line,) = [row for row in doctor.json if row["check"] == "store"]
    assert line["verdict"] == "ok"
    assert database.name in line["seen"]
    assert "hush" not in shown.out + shown.err + doctor.out + doctor.err


@pytest.mark.postgres
def test_a_member_speaks_out_of_a_store_on_a_server_and_backs_it_up(
    site: MemberSite, passphrase: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.folder / "PE" / "keys" / "said.json").unlink(missing_ok=True)
    monkeypatch.setenv("ALMENARA_STORE", database.url)
    identity = site.publish()
    assert site.almenara("sent", "show", identity).status == 0
    stored = Store.open(database)
    (head,) = stored.read_now(outboxes.own_heads).values()
    stored.close()
    assert head.seq == 0, "a store of its own, not the file's"
    file = site.folder / "PE-store.backup"
    shown = site.almenara("store", "backup", "--output", file, "--passphrase-file", passphrase)
    assert shown.status == 0, shown.err
    refused = site.almenara("store", "restore", file, "--passphrase-file", passphrase)
    one_line(refused, 2, database.name, "almenara epoch open", "[CONFIGURATION]")
    monkeypatch.delenv("ALMENARA_STORE")
    shown = site.almenara("store", "restore", file, "--passphrase-file", passphrase, "--force")
    assert shown.status == 0, shown.err
    assert site.almenara("sent", "show", identity).status == 0, "what PostgreSQL held stands in a file now"
