"""Does a filter show all that was asked for and nothing else, in order of arrival?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from almenara.store import inbox, outbox, views
from almenara.store.wanted import InboxFilter
from unit.store.rows import AR, CL, PE, message_row, outgoing, own_head, record

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from almenara.store.database import Store
    from almenara.store.outbox import Outgoing, OwnHead
    from almenara.store.views import InboxEntry

ROWS = (
    message_row(1),
    message_row(2, area="CITES", level="LOW", origin="PE", hs=" 0301 4407 "),
    message_row(3, publisher=AR, level="CRITICAL", hs=" 4407 "),
    message_row(4, kind="CONTROL_RESULT", level="", origin="", hs=""),
    message_row(5, audience="op-condor", level="MEDIUM", hs=" 030199 "),
)


@pytest.fixture
def store(store: Store) -> Store:
    store.write_now(lambda c: inbox.insert_messages(c, ROWS))
    return store


def numbers(entries: list[InboxEntry]) -> list[int]:
    return [int.from_bytes(entry.row.message_id, "big") for entry in entries]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (InboxFilter(), [1, 2, 3, 4, 5]),
        (InboxFilter(areas=("CITES",)), [2]),
        (InboxFilter(areas=("CITES", "DRUGS")), [1, 2, 3, 4, 5]),
        (InboxFilter(min_level="HIGH"), [1, 3]),
        (InboxFilter(min_level="LOW"), [1, 2, 3, 5]),
        (InboxFilter(hs_prefixes=("03",)), [2, 5]),
        (InboxFilter(hs_prefixes=("4407", "0803")), [1, 2, 3]),
        (InboxFilter(hs_prefixes=("07",)), []),
        (InboxFilter(hs_prefixes=("%",)), []),
        (InboxFilter(hs_prefixes=("_",)), []),
        (InboxFilter(origins=("PE",)), [2]),
        (InboxFilter(senders=(AR,)), [3]),
        (InboxFilter(kinds=("CONTROL_RESULT",)), [4]),
        (InboxFilter(audiences=("op-condor",)), [5]),
        (InboxFilter(areas=("DRUGS",), min_level="HIGH", hs_prefixes=("4407",)), [3]),
        (InboxFilter(senders=(CL,)), []),
    ],
    ids=str,
)
def test_a_filter_shows_what_matches_every_field(store: Store, wanted: InboxFilter, found: list[int]) -> None:
    assert numbers(store.read_now(lambda c: views.entries_after(c, wanted, position=0, limit=99))) == found
    newest = store.read_now(lambda c: views.newest_entries(c, wanted, limit=99))
    assert numbers(newest) == found[::-1]


def test_a_follower_gets_each_entry_once(store: Store) -> None:
    seen, position = [], 0
    while page := store.read_now(
        lambda c, after=position: views.entries_after(c, InboxFilter(), position=after, limit=2)  # type: ignore[misc]
    ):
        seen += numbers(page)
        position = page[-1].position
    assert seen == [1, 2, 3, 4, 5]
    assert position == store.read_now(views.last_position)
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(6)]))
    later = store.read_now(lambda c: views.entries_after(c, InboxFilter(), position=position, limit=9))
    assert numbers(later) == [6]


def test_a_follower_gets_few_large_entries_or_one_larger_still(store: Store) -> None:
    sizes = [len(row.body) for row in ROWS]
    for enough, found in ((1, 1), (sizes[0], 1), (sizes[0] + 1, 2), (sum(sizes[:3]), 3), (sum(sizes) + 1, 5)):
        page = store.read_now(
            lambda c, enough=enough: views.entries_after(  # type: ignore[misc]
                c, InboxFilter(), position=0, limit=9, enough_bytes=enough
            )
        )
        assert numbers(page) == [1, 2, 3, 4, 5][:found]
    none = store.read_now(
        lambda c: views.entries_after(c, InboxFilter(), position=5, limit=9, enough_bytes=1)
    )
    assert none == []


def test_an_entry_gives_back_the_row(store: Store) -> None:
    entries = store.read_now(lambda c: views.entries_after(c, InboxFilter(), position=0, limit=9))
    assert tuple(entry.row for entry in entries) == ROWS


def test_an_id_is_found_by_its_beginning_once_whoever_used_it(store: Store) -> None:
    store.write_now(lambda c: inbox.insert_messages(c, [message_row(2, publisher=AR)]))
    whole = ROWS[1].message_id
    assert store.read_now(lambda c: views.ids_named(c, whole.hex().upper())) == [whole]
    assert len(store.read_now(lambda c: views.ids_named(c, "00000000-0000"))) == 5
    assert store.read_now(lambda c: views.ids_named(c, "f" * 32)) == []
    assert store.read_now(lambda c: views.ids_named(c, "000")) == []
    entries = store.read_now(lambda c: views.entries_of(c, whole))
    assert {entry.row.publisher for entry in entries} == {PE, AR}


def test_a_reference_means_of_each_author_the_message_that_came_last(store: Store) -> None:
    heard = [message_row(n, publisher=p, reference="R-1") for n, p in ((11, AR), (12, CL), (13, AR))]
    store.write_now(lambda c: inbox.insert_messages(c, heard))
    head = says_with(store, None, own_head(0), replace(outgoing(21, own_head(0)), reference="R-1"))
    says_with(store, head, own_head(1), replace(outgoing(22, own_head(1)), reference="R-1", accepted_at=2000))
    found = store.read_now(lambda c: views.ids_named(c, "R-1"))
    assert [int.from_bytes(each, "big") for each in found] == [12, 13, 22]
    assert store.read_now(lambda c: views.ids_named(c, "R-")) == []
    assert store.read_now(lambda c: views.ids_named(c, "")) == []


EXPLAINING = {
    "sqlite": ("SELECT 1", "EXPLAIN QUERY PLAN"),
    # Of an empty table the planner reads the whole, unless it is told not to.
    "postgresql": ("SET LOCAL enable_seqscan = off", "EXPLAIN"),
}


def test_an_own_reference_is_found_by_an_index(store: Store) -> None:
    asked = "SELECT 1 FROM outgoing WHERE reference = 'x' ORDER BY accepted_at DESC"

    def plan(connection: Connection) -> str:
        before, explain = EXPLAINING[connection.dialect.name]
        connection.exec_driver_sql(before)
        return str(connection.exec_driver_sql(f"{explain} {asked}").all())

    assert "outgoing_reference" in store.read_now(plan)


def says_with(store: Store, before: OwnHead | None, after: OwnHead, message: Outgoing) -> OwnHead:
    store.write_now(
        lambda c: outbox.append(c, before=before, after=after, records=[record(after)], messages=[message])
    )
    return after
