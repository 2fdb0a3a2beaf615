"""What else can a file prove of a statement: what follows it, who received it, what contradicts it?

    statement <-prev- link <-prev- ... <-prev- the one whose hash a receipt of another member names

A receipt names the hash of the highest statement that a reader holds, and by `prev` that hash is made
of all before it. So what stands in the chain up to there existed when the reader signed its receipt:
the time of a statement is bounded by two members' words, its author's and the reader's. Two
statements of one author that cannot stand in one chain prove EQUIVOCATION by themselves.

Nothing here believes the file: every link and every receipt is proven like the statement itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from almenara.clock import from_micros
from almenara.errors import Code, StatementRefused
from almenara.model.bodies import Receipt, Received
from almenara.model.ids import MemberId, Stream
from almenara.model.messages import Message
from almenara.trust.admit import VerifiedLink, VerifiedStatement, admit_link, proven, read_statement
from almenara.wire.chain import Place
from almenara.wire.messages import decode_batch
from almenara.wire.seal import open_sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from almenara.trust.directory import Directory
    from almenara.wire.messages import Batch


class VerifiedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Another member's word that it holds the chain up to `place`, on its own stream.

    `code` is why it did not open the statement in question, "" if it does not say so. Signed with a key
    that has ended it proves no time: whoever has that key now can write any.
    """

    member: MemberId
    statement: VerifiedStatement
    place: Place
    hash: bytes
    code: str
    before_end: bool
    """Whether the author's key had not ended when the receipt was made."""


def place_of(link: VerifiedLink) -> Place:
    """Return where a statement stands in its stream."""
    return Place(link.head.epoch, link.head.seq)


def proven_statement(
    record: bytes, *, stream: Stream, directory: Directory, now: datetime
) -> VerifiedStatement:
    """Return the statement with its content; a departure of its author since takes nothing back.

    Raises what admit raises, NOT_IN_AUDIENCE apart, and StatementRefused PAYLOAD_TYPE for a heartbeat.
    """
    statement = proven(record, stream=stream, directory=directory, now=now)
    if not isinstance(statement, VerifiedStatement):
        raise StatementRefused(
            Code.PAYLOAD_TYPE, f"record on {stream}: a heartbeat, which carries no message; export again"
        )
    return statement


def opened_by(k_s: bytes, statement: VerifiedStatement) -> Batch:
    """Return what the key of one statement opens; raise StatementRefused as open_sealed, decode_batch."""
    sealed = read_statement(statement).sealed
    return decode_batch(open_sealed(k_s, statement.head, statement.statement.head_bytes, sealed))


def verify_links(
    statement: VerifiedLink, links: Sequence[bytes], *, directory: Directory, now: datetime
) -> tuple[VerifiedLink, ...]:
    """Return the statements that follow, each naming the one before it.

    Raises what admit_link raises, and StatementRefused BROKEN_LINK.
    """
    found: list[VerifiedLink] = []
    before = statement
    for record in links:
        link = admit_link(record, stream=statement.stream, directory=directory, now=now)
        if not _follows(link, before):
            raise StatementRefused(
                Code.BROKEN_LINK,
                f"link {link.stream} {link.head.epoch}/{link.head.seq}: does not follow the one before it; "
                "export the evidence again",
            )
        found.append(link)
        before = link
    return tuple(found)


def verify_receipt(
    record: bytes,
    k_s: bytes,
    *,
    member: MemberId,
    chain: Sequence[VerifiedLink],
    directory: Directory,
    now: datetime,
) -> VerifiedReceipt:
    """Return what a receipt proves of the first statement of `chain`.

    Raises what admit and open_sealed raise, and StatementRefused: CONFLICT for the author's own
    receipt, PAYLOAD_TYPE for a heartbeat, BROKEN_LINK if it names no statement of the chain.
    """
    author, audience = chain[0].stream.publisher, chain[0].stream.audience
    if member == author:
        raise StatementRefused(
            Code.CONFLICT, f"receipt of {member}: the author's own word proves no time; export another's"
        )
    statement = proven_statement(record, stream=Stream(audience, member), directory=directory, now=now)
    places = {place_of(link): link.statement_hash for link in chain}
    for received in receipts_in(opened_by(k_s, statement).messages, author):
        place = Place(received.epoch, received.seq)
        if places.get(place) == received.hash:
            return VerifiedReceipt(
                member=member,
                statement=statement,
                place=place,
                hash=received.hash,
                code=_exception(received, place_of(chain[0])),
                before_end=_is_before_end(statement, chain[0], directory),
            )
    raise StatementRefused(
        Code.BROKEN_LINK,
        f"receipt of {member}: names no statement that the file links to {author}'s; export again",
    )


def require_standing(
    statement: VerifiedLink, links: Sequence[VerifiedLink], receipts: Sequence[VerifiedReceipt]
) -> None:
    """Return if the author's key, or what follows in its chain, or a reader's word shows it is its own.

    A key that has ended may be in other hands, with any date. Its author stands by the statement if it
    signed one that follows with a key still in force; and what a reader with such a key held before the
    end existed then. Raises StatementRefused KEY_NOT_VALID otherwise.
    """
    if not all(each.ended for each in (statement, *links)):
        return
    if any(not each.statement.ended and each.before_end for each in receipts):
        return
    raise StatementRefused(
        Code.KEY_NOT_VALID,
        f"statement {statement.stream} {statement.head.epoch}/{statement.head.seq}: signed with a key that "
        "has ended, and nothing shows that its author stands by it; export it again as evidence",
    )


def receipts_in(messages: Iterable[object], author: MemberId) -> Iterator[Received]:
    """Yield what the receipts among these messages say of one author's stream."""
    for message in messages:
        if isinstance(message, Message) and isinstance(message.body, Receipt):
            yield from (each for each in message.body.received if each.publisher == author)


def verify_rival(
    statement: VerifiedLink, record: bytes, *, directory: Directory, now: datetime
) -> VerifiedLink:
    """Return another statement of the same author that cannot stand in one chain with this one.

    Raises what admit_link raises, and StatementRefused: CONFLICT if both can stand in one chain,
    KEY_NOT_VALID for a key that has ended.
    """
    rival = admit_link(record, stream=statement.stream, directory=directory, now=now)
    if statement.ended or rival.ended:
        raise StatementRefused(
            Code.KEY_NOT_VALID,
            f"statements of {statement.stream}: signed with a key that has ended, which others may hold; "
            "they prove nothing against their author",
        )
    if not (_same_place(statement, rival) or _denies(statement, rival) or _denies(rival, statement)):
        raise StatementRefused(
            Code.CONFLICT,
            f"statements {statement.head.epoch}/{statement.head.seq} and {rival.head.epoch}/{rival.head.seq} "
            f"of {statement.stream}: both can stand in one chain; they prove nothing against their author",
        )
    return rival


def _follows(link: VerifiedLink, before: VerifiedLink) -> bool:
    here, there = place_of(link), place_of(before)
    beside = here == Place(there.epoch, there.seq + 1) or (here.epoch > there.epoch and here.seq == 0)
    return beside and link.head.prev == before.statement_hash


def _same_place(one: VerifiedLink, other: VerifiedLink) -> bool:
    return place_of(one) == place_of(other) and one.statement_hash != other.statement_hash


def _denies(above: VerifiedLink, below: VerifiedLink) -> bool:
    """Tell whether the statement next above names another one at the place of the one below."""
    next_above = Place(below.head.epoch, below.head.seq + 1)
    return place_of(above) == next_above and above.head.prev != below.statement_hash


def _exception(received: Received, place: Place) -> str:
    if received.epoch != place.epoch:
        return ""
    return next((each.code for each in received.excepted if each.first_seq <= place.seq <= each.last_seq), "")


def _is_before_end(receipt: VerifiedStatement, statement: VerifiedLink, directory: Directory) -> bool:
    _, key = directory.signer(statement.key_id)
    return key.valid_until is None or from_micros(receipt.head.issued_at) < key.valid_until
