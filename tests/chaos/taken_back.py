"""What is due of stores that became earlier ones? What left them before is; what did not leave is nobody's.

    stores, offers, those put aside -> copies and offers without what was taken back -> the auditor

A member whose store was put back does not hold what it said since; its next epoch leaves that out. A
statement of it that left is held by its readers, each with the evidence that it was left out, and its
messages are held once by everyone entitled but their author. One that did not leave is held by nobody.
Both stand in the stores that were put aside, which alone prove what was said. Once this is judged, it is
taken out of copies of the stores, and the rest is judged as if it had never been.
"""

# ruff: noqa: S608 - the queries are this file's own
from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from chaos.store_files import copy_store, rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from almenara.demo.expected import Expected
    from almenara.model.ids import MemberId
    from chaos.load import Offer


class TakenBack(NamedTuple):
    """A store that became an earlier one, and a copy of what it was."""

    member: MemberId
    aside: Path


class Remainder(NamedTuple):
    """What is left to judge, and what was found of that which was taken back."""

    stores: Mapping[MemberId, Path]
    offers: Sequence[Offer]
    due: int
    held: int
    elsewhere: int
    faults: Sequence[str]


class _Said(NamedTuple):
    """A statement that an author's store knows no more."""

    audience: str
    epoch: int
    seq: int
    hash: bytes


def without_taken_back(
    stores: Mapping[MemberId, Path],
    offers: Sequence[Offer],
    taken_back: Sequence[TakenBack],
    wanted: Mapping[bytes, Expected],
    folder: Path,
) -> Remainder:
    """Return copies of the stores, below a folder, and the offers, without what was taken back.

    `wanted` says of each message that was offered, by its id, who is to hold it and how.
    """
    copies = {}
    for member, store in stores.items():
        copies[member] = folder / f"{member}.db"
        copy_store(store, copies[member])
    authors = {
        each.member: _Author(
            each.member, copies, [other.aside for other in taken_back if other.member == each.member]
        )
        for each in taken_back
    }
    faults: list[str] = []
    due = held = elsewhere = 0
    gone: set[bytes] = set()
    for author in authors.values():
        holders = author.take_out()
        faults += author.faults
        for message_id in author.forgotten | holders.keys():
            each, by = wanted.get(message_id), holders.get(message_id, {})
            gone.add(message_id)
            if each is None:
                faults.append(f"message {UUID(bytes=message_id)} of {author.member}: never offered")
                elsewhere += len(by)
                continue
            if not by and message_id not in author.left:
                continue  # it was lost with its store, before anybody had it
            entitled = each.holders
            due += len(entitled)
            held += len(entitled & by.keys())
            elsewhere += len(by.keys() - entitled)
            faults += _misheld(each, by)
    rest = [offer for offer in offers if offer.message.message_id.bytes not in gone]
    return Remainder(copies, rest, due, held, elsewhere, faults)


class _Author:
    """A member whose store became an earlier one, with all stores that it had."""

    def __init__(self, member: MemberId, stores: Mapping[MemberId, Path], aside: Sequence[Path]) -> None:
        self.member = member
        self.faults: list[str] = []
        self._stores = stores
        own = stores[member]
        kept = set(_statements(own))
        self._published = {
            message_id: place
            for message_id, *place in rows(own, "SELECT message_id, audience, epoch, seq FROM outgoing")
        }
        self._disowned = {said for store in aside for said in _statements(store)} - kept
        carried = {
            (message_id, sent)
            for store in aside
            for message_id, sent in rows(
                store,
                "SELECT message_id, coalesce(sent, 0) FROM outgoing"
                " LEFT JOIN outbox USING (audience, epoch, seq) WHERE kind <> 'RECEIPT'",
            )
            if message_id not in self._published
        }
        self.forgotten = {message_id for message_id, _ in carried}
        """Messages that were accepted, and that the store knows no more."""
        self.left = {message_id for message_id, sent in carried if sent}
        """Those of them that the broker is known to have got."""

    def take_out(self) -> Mapping[bytes, Mapping[MemberId, bytes]]:
        """Take what the author gave up out of all stores; return who held which of its messages, and how."""
        holders: defaultdict[bytes, dict[MemberId, bytes]] = defaultdict(dict)
        for member, store in self._stores.items():
            with closing(sqlite3.connect(store)) as connection, connection:
                for message_id, item in self._take_out_of(connection, member):
                    holders[message_id][member] = item
        return holders

    def _take_out_of(self, store: sqlite3.Connection, reader: MemberId) -> Iterator[tuple[bytes, bytes]]:
        held = self._disowned & set(_those(store, "statement", self.member))
        shown = set(_those(store, "evidence", self.member, "AND kind = 'TRUNCATED'"))
        for said in held ^ shown:
            missing = "shown and not held" if said in shown else "held and not shown as evidence"
            name = f"statement {said.epoch}/{said.seq} of {self.member}, which left it out later"
            self.faults.append(f"store of {reader}: {name}: {missing}")
        for audience, epoch, seq, digest in held | shown:
            place = (audience, self.member, epoch, seq)
            at = "WHERE audience = ? AND publisher = ? AND epoch = ? AND seq = ?"
            store.execute(f"DELETE FROM evidence {at} AND hash = ?", (*place, digest))
            store.execute(f"DELETE FROM statement {at} AND hash = ?", (*place, digest))
            found = store.execute(f"SELECT position, message_id, body FROM message {at}", place).fetchall()
            for position, message_id, item in found:
                again = self._published.get(message_id)
                if again is None:
                    store.execute("DELETE FROM message WHERE position = ?", (position,))
                    yield message_id, item
                else:
                    # Offered again it stands elsewhere now, where its readers knew it already.
                    store.execute(
                        "UPDATE message SET audience = ?, epoch = ?, seq = ? WHERE position = ?",
                        (*again, position),
                    )


def _misheld(each: Expected, by: Mapping[MemberId, bytes]) -> Iterator[str]:
    name = f"message {UUID(bytes=each.message_id)} of {each.publisher}, whose store was taken back"
    for reader in sorted(each.holders - by.keys()):
        yield f"{name}: not held by {reader}"
    for reader in sorted(by.keys() - each.holders):
        yield f"{name}: held by {reader}, for whom it is not"
    for reader, item in sorted(by.items()):
        if item != each.item:
            yield f"{name}: its content at {reader} is not what was to be published"


def _statements(store: Path) -> Iterator[_Said]:
    return (_Said(*row) for row in rows(store, "SELECT audience, epoch, seq, hash FROM outbox"))


def _those(store: sqlite3.Connection, table: str, publisher: MemberId, more: str = "") -> Iterator[_Said]:
    query = f"SELECT audience, epoch, seq, hash FROM {table} WHERE publisher = ? {more}"
    return (_Said(*row) for row in store.execute(query, (publisher,)))
