"""Which receipts of others, and which links to them, prove when a statement stood in its chain?

Of each other reader the first receipt whose statement holds receipts alone: its key discloses nothing
else. A receipt names a place and a hash; what the store holds there must have that hash, and every
statement from the one in question up to there must be held, or the receipt proves nothing of it.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from almenara.errors import Code, Refused
from almenara.model.ids import MemberId, Stream
from almenara.node.opening import Found, open_found
from almenara.store import inbox, outbox, quarantine
from almenara.trust.admit import admit_link
from almenara.trust.evidence import receipts_in, verify_rival
from almenara.trust.exportfile import Receipted
from almenara.wire.chain import Place
from almenara.wire.records import parse_record, parse_statement, statement_hash, without_content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.store.inbox import ChainRow
    from almenara.store.outbox import OwnHead
    from almenara.trust.directory import Directory
    from almenara.wire.records import Head

LINKS_MAX = 10_000
"""Statements between one and its receipt: a day of one every nine seconds; a file of 5 MB."""

SCAN_MAX = 2_000
"""Statements of a reader in which its receipt is looked for: they come within seconds, or never."""

EARLIER_US = 3_600_000_000
"""How long before a statement a receipt of it can have come: topics are read side by side."""


class Proof(NamedTuple):
    """What stands in the file beside a statement."""

    links: tuple[bytes, ...] = ()
    receipts: tuple[Receipted, ...] = ()


class _Word(NamedTuple):
    place: Place
    receipted: Receipted


def proof_of(
    connection: Connection,
    found: Found,
    *,
    receipts: bool,
    member: MemberId,
    directory: Directory,
    now: datetime,
) -> Proof:
    """Return what stands in the file beside the statement.

    With `receipts` the first one of each other reader that covers it, and the links to what they name
    and to the next checkpoint, if there is one: up to it all is signed with ML-DSA too.
    If the statement's key has ended, the links also lead to one signed with a key that has not: its
    author stands by all before it.
    """
    words = _words(connection, found, member=member, directory=directory, now=now) if receipts else []
    wanted = {word.place for word in words}
    ended = _is_ended(found.record, directory)
    # Most streams get a checkpoint a day: where none has followed, nothing is looked for to the end.
    open_end = receipts and _last_checkpoint(connection, found, member) > (found.epoch, found.seq)
    links: list[bytes] = []
    reached, useful = {Place(found.epoch, found.seq)}, 0
    for place, record in islice(_following(connection, found, member), LINKS_MAX):
        if wanted <= reached and not ended and not open_end:
            break
        links.append(without_content(record))
        reached.add(place)
        stands = ended and not _is_ended(record, directory)
        closes = open_end and _head(record).checkpoint
        if stands or closes or place in wanted:
            useful = len(links)
        ended, open_end = ended and not stands, open_end and not closes
    return Proof(
        links=tuple(links[:useful]),
        receipts=tuple(word.receipted for word in words if word.place in reached),
    )


def rival_of(
    connection: Connection, stream: Stream, *, directory: Directory, now: datetime
) -> tuple[bytes, bytes]:
    """Return two statements of a stream, without content, that cannot stand in one chain.

    Raises Refused UNKNOWN_MESSAGE if the store holds no two such statements.
    """
    for row in quarantine.evidence_of(connection):
        if (row.kind, row.audience, row.publisher) != (quarantine.EQUIVOCATION, *stream):
            continue
        # What is held contradicts it at its own place, or names another one there from above.
        for place in (inbox.place_of(connection, stream, row.known_hash), (row.epoch, row.seq + 1)):
            held = None if place is None else inbox.record_at(connection, stream, *place)
            if held is None:
                continue
            pair = without_content(held), without_content(row.record)
            with suppress(Refused):
                verify_rival(
                    admit_link(pair[0], stream=stream, directory=directory, now=now),
                    pair[1],
                    directory=directory,
                    now=now,
                )
                return pair
    raise Refused(
        Code.UNKNOWN_MESSAGE,
        f"stream {stream}: no two statements are held that contradict each other; see: almenara streams",
    )


def _words(
    connection: Connection, found: Found, *, member: MemberId, directory: Directory, now: datetime
) -> list[_Word]:
    readers = inbox.publishers_in(connection, found.audience) - {found.publisher, member}
    words = (
        _first_word(connection, found, reader, member=member, directory=directory, now=now)
        for reader in sorted(readers)
    )
    return [word for word in words if word is not None]


def _first_word(
    connection: Connection,
    found: Found,
    reader: MemberId,
    *,
    member: MemberId,
    directory: Directory,
    now: datetime,
) -> _Word | None:
    """Return the reader's first word on the statement, if there is one in a statement of receipts alone."""
    stream = Stream(found.audience, reader)
    start = Place(found.epoch, found.seq)
    for kept in inbox.opened_since(connection, stream, found.at - EARLIER_US, limit=SCAN_MAX):
        if _head(kept.record).elicits_receipt:
            continue
        told = Found(
            audience=found.audience,
            publisher=reader,
            epoch=kept.epoch,
            seq=kept.seq,
            record=kept.record,
            at=found.at,
        )
        try:
            opened = open_found(connection, told, member=member, directory=directory, now=now)
        except Refused:
            continue  # its key is purged, or its author's key no longer counts: it proves nothing now
        for received in receipts_in([each.message for each in opened.messages], found.publisher):
            place = Place(received.epoch, received.seq)
            if place >= start and _hash_at(connection, found, place, member) == received.hash:
                return _Word(place, Receipted(member=reader, record=kept.record, k_s=opened.k_s))
    return None


def _hash_at(connection: Connection, found: Found, place: Place, member: MemberId) -> bytes | None:
    if found.publisher == member:
        said = outbox.statement_at(connection, found.audience, *place)
        return None if said is None else said.hash
    return inbox.hash_at(connection, found.stream, *place)


def _following(connection: Connection, found: Found, member: MemberId) -> Iterator[tuple[Place, bytes]]:
    """Yield the statements after this one in order, as long as each names the one before."""
    place, before = Place(found.epoch, found.seq), statement_hash(parse_record(found.record).payload)
    while True:
        following = (
            outbox.statement_after(connection, found.audience, place)
            if found.publisher == member
            else inbox.statement_after(connection, found.stream, place)
        )
        if following is None or _head(following.record).prev != before:
            return
        place, before = Place(following.epoch, following.seq), following.hash
        yield place, following.record


def _last_checkpoint(connection: Connection, found: Found, member: MemberId) -> tuple[int, int]:
    row: ChainRow | OwnHead | None
    if found.publisher == member:
        row = outbox.own_heads(connection).get(found.audience)
    else:
        row = inbox.chains(connection).get(found.stream)
    return (0, -1) if row is None else (row.checkpoint_epoch, row.checkpoint_seq)


def _is_ended(record: bytes, directory: Directory) -> bool:
    _, key = directory.signer(parse_record(record).signatures[0].key_id)
    return key.valid_until is not None


def _head(record: bytes) -> Head:
    return parse_statement(parse_record(record).payload).head
