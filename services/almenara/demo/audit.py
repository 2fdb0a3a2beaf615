"""Does every member hold exactly what it must? Read from the stores' files, believing no node.

No counter, view or query of the nodes is used. What is held is compared with what the messages
themselves say, every hash is computed again from the signed bytes, and every link of every chain is
followed. Whatever differs is named.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import msgspec

from almenara.demo.chains import ChainReader
from almenara.demo.ledger import Refusal, open_ledger
from almenara.model.ids import MemberId, Stream

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from almenara.demo.chains import Chain, Place
    from almenara.demo.expected import Expected, Injected
    from almenara.demo.ledger import HeldMessage, Ledger
    from almenara.model.ids import AudienceId

Identity = tuple[MemberId, bytes]


class Tallied(msgspec.Struct, frozen=True, kw_only=True):
    """What one store holds, counted row by row; `opened` and `not_for_me` are statements."""

    member: MemberId
    published: int
    held: int
    opened: int
    not_for_me: int
    refused: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit found; it agrees with the messages when there are no discrepancies."""

    published: int
    held_once: int
    held_elsewhere: int
    refused: int
    members: tuple[Tallied, ...]
    refusals: tuple[Refusal, ...]
    discrepancies: tuple[str, ...]

    @property
    def line(self) -> str:
        """Return the last line of a demonstration."""
        return (
            f"demo: {self.published} published, {self.held_once} held once, "
            f"{self.held_elsewhere} held elsewhere, {self.refused} refused"
        )


def audit(
    stores: Mapping[MemberId, Path],
    messages: Sequence[Expected],
    injected: Sequence[Injected],
    audiences: Mapping[AudienceId, Collection[MemberId]],
) -> Verdict:
    """Compare the members' stores with the messages that were to be shared.

    Raises sqlite3.Error for a file that is no store: then there is nothing to judge.
    """
    reader = ChainReader()
    said: dict[MemberId, _Said] = {}
    for member, path in stores.items():
        with open_ledger(member, path) as ledger:
            said[member] = _Said(ledger.outgoing(), reader.read(ledger.own_statements(), holder=member))
    case = _Case(messages, injected, audiences, said)
    for member, path in stores.items():
        with open_ledger(member, path) as ledger:
            case.hear(ledger, reader)
    return case.verdict()


class _Said(NamedTuple):
    """What one member's own store says it published."""

    outgoing: Mapping[bytes, tuple[Stream, Place]]
    chains: Mapping[Stream, Chain]


class _Case:
    """Everything found so far, and what is wrong with it."""

    def __init__(
        self,
        messages: Sequence[Expected],
        injected: Sequence[Injected],
        audiences: Mapping[AudienceId, Collection[MemberId]],
        said: Mapping[MemberId, _Said],
    ) -> None:
        self._wanted: dict[Identity, Expected] = {
            (each.publisher, each.message_id): each for each in messages
        }
        self._injected = injected
        self._audiences = audiences
        self._said = said
        self._copies: Counter[tuple[Identity, MemberId]] = Counter()
        self._elsewhere = 0
        self._members: list[Tallied] = []
        self._refusals: list[Refusal] = []
        self._faults: list[str] = []
        for each in messages:
            self._faults += self._unpublished(each)
        for member, own in said.items():
            self._faults += self._unasked(member, own)
            self._faults += [fault for chain in own.chains.values() for fault in chain.faults]

    def hear(self, ledger: Ledger, reader: ChainReader) -> None:
        """Judge one member's store."""
        member = ledger.member
        chains = reader.read(ledger.statements(), holder=member)
        refusals = ledger.refusals()
        held = 0
        for message in ledger.inbox():
            held += 1
            self._take(message, member, chains)
        for stream, chain in chains.items():
            self._faults += chain.faults
            self._faults += self._foreign(stream, chain, member)
        self._faults += self._short(chains, member)
        self._faults += self._unrefused(ledger, refusals)
        if gaps := ledger.open_gaps():
            self._faults.append(f"{member}: {gaps} gaps are open")
        if contradictions := ledger.contradictions():
            self._faults.append(f"{member}: {contradictions} records contradict what it holds")
        self._refusals += refusals
        codes = Counter(link.code for chain in chains.values() for link in chain.links.values())
        tallied = Tallied(
            member=member,
            published=len(self._said[member].outgoing),
            held=held,
            opened=codes[""],
            not_for_me=codes["NOT_FOR_ME"],
            refused=len(refusals),
        )
        self._members.append(tallied)

    def verdict(self) -> Verdict:
        """Return what was found once every store was judged."""
        held_once = 0
        faults = list(self._faults)
        for identity, each in self._wanted.items():
            wrong = [
                (holder, self._copies[identity, holder])
                for holder in sorted(each.holders)
                if self._copies[identity, holder] != 1
            ]
            held_once += not wrong
            faults += [f"{_name(each)}: held {count} times by {holder}, want once" for holder, count in wrong]
        return Verdict(
            published=sum(len(own.outgoing) for own in self._said.values()),
            held_once=held_once,
            held_elsewhere=self._elsewhere,
            refused=sum(self._refused_by_all(each) for each in self._injected),
            members=tuple(self._members),
            refusals=tuple(self._refusals),
            discrepancies=tuple(faults),
        )

    def _unpublished(self, each: Expected) -> Iterator[str]:
        """Find out whether a message was not published, or where it should not be."""
        own = self._said.get(each.publisher)
        found = None if own is None else own.outgoing.get(each.message_id)
        if found is None:
            yield f"{_name(each)}: not published"
        elif found[0].audience != each.audience:
            yield f"{_name(each)}: published to {found[0].audience}, want {each.audience}"

    def _unasked(self, member: MemberId, own: _Said) -> Iterator[str]:
        for message_id in own.outgoing:
            if (member, message_id) not in self._wanted:
                yield f"message {UUID(bytes=message_id)} of {member}: published, and not asked for"

    def _take(self, held: HeldMessage, member: MemberId, chains: Mapping[Stream, Chain]) -> None:
        """Judge one message of an inbox: its holder, its content, and the statement that carried it."""
        identity = (held.publisher, held.message_id)
        self._copies[identity, member] += 1
        each = self._wanted.get(identity)
        if each is None or member not in each.holders:
            self._elsewhere += 1
        if each is None:
            name = f"message {UUID(bytes=held.message_id)} of {held.publisher}"
            self._faults.append(f"{name}: held by {member}, and never asked for")
            return
        if member not in each.holders:
            self._faults.append(f"{_name(each)}: held by {member}, for whom it is not")
        if held.item != each.item or held.recipients != each.recipients:
            self._faults.append(f"{_name(each)}: its content at {member} is not what was to be published")
        chain = chains.get(held.stream)
        carrier = None if chain is None else chain.links.get(held.place)
        if held.stream.audience != each.audience or carrier is None or carrier.code:
            self._faults.append(f"{_name(each)}: no statement at {member} carried it")

    def _foreign(self, stream: Stream, chain: Chain, member: MemberId) -> Iterator[str]:
        """Find streams that are not for the member, and statements that their author never made."""
        members = self._audiences.get(stream.audience, ())
        if member not in members or stream.publisher not in members:
            yield f"stream {stream}: {member} holds statements of it, and may not read it"
        author = self._said.get(stream.publisher)
        made = author.chains.get(stream) if author else None
        for place, link in chain.links.items():
            own = made.links.get(place) if made else None
            if own is None or own.hash != link.hash:
                yield f"stream {stream}: {member} holds {place}, which {stream.publisher} never made"

    def _short(self, chains: Mapping[Stream, Chain], member: MemberId) -> Iterator[str]:
        """Find streams that end before the last message that the member must hold of them."""
        last: dict[Stream, Place] = {}
        for each in self._wanted.values():
            found = self._said[each.publisher].outgoing.get(each.message_id)
            if found is not None and member in each.holders:
                stream, place = found
                last[stream] = max(last.get(stream, place), place)
        for stream, place in last.items():
            chain = chains.get(stream)
            if chain is None or chain.end < place:
                yield f"stream {stream}: {member} does not hold it up to {place}"

    def _unrefused(self, ledger: Ledger, refusals: Sequence[Refusal]) -> Iterator[str]:
        """Find injected records that a reader took or did not see, and refusals of anything else."""
        member = ledger.member
        rest = Counter((refusal.stream, refusal.record, refusal.code) for refusal in refusals)
        for each in self._injected:
            if member not in each.readers:
                continue
            if rest.pop((each.stream, each.record, each.code), 0) != 1:
                yield f"{each.name}: {member} did not refuse it once with {each.code}"
            if ledger.holds_record(each.stream, each.record):
                yield f"{each.name}: {member} took it into {each.stream}"
        for stream, _, code in rest:
            yield f"stream {stream}: {member} refused a record with {code} that nobody had put there"

    def _refused_by_all(self, each: Injected) -> bool:
        return each.readers == {
            refusal.member
            for refusal in self._refusals
            if (refusal.stream, refusal.record, refusal.code) == (each.stream, each.record, each.code)
        }


def _name(each: Expected) -> str:
    reference = f" ({each.reference})" if each.reference else ""
    return f"message {UUID(bytes=each.message_id)} of {each.publisher}{reference}"
