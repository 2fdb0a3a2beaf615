"""After a storm: does every store hold what its callers were told, once, where it belongs, and no more?

Read from the stores' files with sqlite3, believing no node and no counter. A message whose caller was
told that it was accepted must be held once by each who is entitled to it. One whose caller was never
answered may have been accepted or not: its author's store says which, and then the same holds, or nobody
holds it. Chains, gaps, evidence and refusals are judged as the demonstration's audit does; on top come
the places that callers were told, and that readers confirm to every author the statements that it made.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import msgspec

from almenara.demo.audit import audit
from almenara.demo.chains import Place
from almenara.demo.expected import expected
from almenara.demo.ledger import open_ledger
from almenara.demo.samples import Sample
from almenara.model.ids import REGION, MemberId
from chaos.store_files import rows
from chaos.taken_back import without_taken_back

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from almenara.demo.expected import Expected
    from chaos.load import Offer
    from chaos.taken_back import TakenBack


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; copies are of one message in one store."""

    accepted: int
    unanswered: int
    """Of those accepted, how many whose callers were never told."""
    due: int
    """Copies that must be held."""
    held: int
    lost: int
    doubled: int
    elsewhere: int
    faults: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Tell whether nothing was lost, doubled or misdelivered, and nothing else went wrong."""
        return not (self.faults or self.lost or self.doubled or self.elsewhere)


def together(reports: Sequence[Report]) -> Report:
    """Return what several came to."""
    counts = [name for name in Report.__struct_fields__ if name != "faults"]
    return Report(
        faults=tuple(fault for report in reports for fault in report.faults),
        **{name: sum(getattr(report, name) for report in reports) for name in counts},
    )


def judge(
    stores: Mapping[MemberId, Path], offers: Sequence[Offer], taken_back: Sequence[TakenBack] = ()
) -> Report:
    """Compare the stores with what was offered and told; all was shared with the region or a list in it.

    `taken_back` are the stores that became earlier ones meanwhile: what was in them is judged apart.
    """
    if not taken_back:
        return _judge(stores, offers)
    wanted = {offer.message.message_id.bytes: _expected(offer, stores) for offer in offers}
    with TemporaryDirectory(prefix="almenara-audit-") as folder:
        rest = without_taken_back(stores, offers, taken_back, wanted, Path(folder))
        report = _judge(rest.stores, rest.offers)
    return msgspec.structs.replace(
        report,
        due=report.due + rest.due,
        held=report.held + rest.held,
        lost=report.lost + rest.due - rest.held,
        elsewhere=report.elsewhere + rest.elsewhere,
        faults=(*rest.faults, *report.faults),
    )


def _expected(offer: Offer, stores: Collection[MemberId]) -> Expected:
    return expected(Sample(offer.publisher, REGION, offer.message), {REGION: stores})


def _judge(stores: Mapping[MemberId, Path], offers: Sequence[Offer]) -> Report:
    places = {member: _places(member, path) for member, path in stores.items()}
    accepted = [
        offer
        for offer in offers
        if offer.told is not None or offer.message.message_id.bytes in places[offer.publisher]
    ]
    audiences = {REGION: tuple(stores)}
    wanted = [_expected(offer, stores) for offer in accepted]
    verdict = audit(stores, wanted, (), audiences)
    copies = _copies(stores)
    entitled = {(holder, each.item) for each in wanted for holder in each.holders}
    held = sum(copies[copy] > 0 for copy in entitled)
    return Report(
        accepted=len(accepted),
        unanswered=sum(offer.told is None for offer in accepted),
        due=len(entitled),
        held=held,
        lost=len(entitled) - held,
        doubled=sum(count - 1 for count in copies.values()),
        elsewhere=sum(copy not in entitled for copy in copies),
        faults=(
            *verdict.discrepancies,
            *_repeated(copies),
            *_misplaced(accepted, places),
            *_receipts(stores, wanted, places),
        ),
    )


def misshown(
    stores: Mapping[MemberId, Path], shown: Mapping[MemberId, Mapping[tuple[MemberId, UUID], int]]
) -> list[str]:
    """Find followers of an inbox that were not shown each message once, by how often they were."""
    faults = []
    for member, store in stores.items():
        with open_ledger(member, store) as ledger:
            held = {(message.publisher, UUID(bytes=message.message_id)) for message in ledger.inbox()}
        for identity in sorted(held | shown[member].keys()):
            times, want = shown[member].get(identity, 0), int(identity in held)
            if times != want:
                faults.append(
                    f"follower of {member}: was shown {identity[1]} of {identity[0]} {times} times,"
                    f" want {want}"
                )
    return faults


Copy = tuple[MemberId, bytes]
"""Who holds which message, by its bytes: a row may lie about whose they are."""


def _copies(stores: Mapping[MemberId, Path]) -> Counter[Copy]:
    copies: Counter[Copy] = Counter()
    for member, path in stores.items():
        with open_ledger(member, path) as ledger:
            copies.update((member, message.item) for message in ledger.inbox())
    return copies


def _places(member: MemberId, store: Path) -> Mapping[bytes, Place]:
    with open_ledger(member, store) as ledger:
        return {message_id: place for message_id, (_, place) in ledger.outgoing().items()}


def _repeated(copies: Counter[Copy]) -> Iterator[str]:
    for (holder, _), count in copies.items():
        if count > 1:
            yield f"store of {holder}: the same bytes stand in {count} of its rows"


def _misplaced(accepted: Sequence[Offer], places: Mapping[MemberId, Mapping[bytes, Place]]) -> Iterator[str]:
    """Find messages that do not stand where their callers were told."""
    for publisher, message, _, told in accepted:
        stands = places[publisher].get(message.message_id.bytes)
        if told is not None and stands != told:
            yield (
                f"message {message.message_id} of {publisher}: its caller was told {told},"
                f" it stands at {stands}"
            )


class _Claim(NamedTuple):
    """What a witness says that it received of an author's stream, or the author of its own."""

    audience: str
    author: MemberId
    witness: MemberId
    place: Place
    hash: bytes
    excepted: Sequence[object]


def _receipts(
    stores: Mapping[MemberId, Path],
    wanted: Sequence[Expected],
    places: Mapping[MemberId, Mapping[bytes, Place]],
) -> Iterator[str]:
    """Find words about a stream that its author's statements belie, and readers that have not confirmed."""
    said = {member: _said(path) for member, path in stores.items()}
    last: dict[MemberId, Place] = {}
    for each in wanted:
        place = places[each.publisher].get(each.message_id)
        if place is not None:
            last[each.publisher] = max(last.get(each.publisher, place), place)
    for member, path in stores.items():
        confirmed: dict[MemberId, Place] = {}
        for claim in _claims(path):
            if said[claim.author].get((claim.audience, claim.place)) != claim.hash:
                yield (
                    f"store of {member}: {claim.witness} names another statement at {claim.place} of"
                    f" {claim.audience} than {claim.author} made"
                )
            if claim.excepted:
                yield f"store of {member}: {claim.witness} excepts statements of {claim.author}"
            if claim.author == member != claim.witness:
                confirmed[claim.witness] = claim.place
        for reader in stores:
            reached = confirmed.get(reader)
            if reader != member and member in last and (reached is None or reached < last[member]):
                yield f"store of {member}: {reader} has confirmed {reached}, want {last[member]}"


def _said(store: Path) -> Mapping[tuple[str, Place], bytes]:
    found = rows(store, "SELECT audience, epoch, seq, hash FROM outbox")
    return {(audience, Place(epoch, seq)): digest for audience, epoch, seq, digest in found}


def _claims(store: Path) -> Iterator[_Claim]:
    query = "SELECT audience, publisher, witness, epoch, seq, hash, excepted FROM claim WHERE seq >= 0"
    for audience, author, witness, epoch, seq, digest, excepted in rows(store, query):
        place = Place(epoch, seq)
        yield _Claim(audience, MemberId(author), MemberId(witness), place, digest, json.loads(excepted))
