"""When do messages flow again? With the last of all ways that an event may have cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import new_alert
from almenara.model.ids import MemberId
from chaos.flow import Flow
from chaos.load import Offer

if TYPE_CHECKING:
    from uuid import UUID

PE, AR, CL = MemberId("PE"), MemberId("AR"), MemberId("CL")


def flow(*passed: tuple[MemberId, MemberId, float, float]) -> Flow:
    """Return the flow of messages from an author to a reader, each with when it was offered and shown."""
    offers = []
    shown: dict[MemberId, dict[tuple[MemberId, UUID], float]] = {PE: {}, AR: {}, CL: {}}
    for author, reader, offered_at, seen_at in passed:
        offer = Offer(author, new_alert(), offered_at, None)
        offers.append(offer)
        shown[reader][author, offer.message.message_id] = seen_at
    return Flow(offers, shown)


ALL_WAYS = [(author, reader) for author in (PE, AR, CL) for reader in (PE, AR, CL) if author != reader]


def test_the_slowest_way_counts() -> None:
    late = {(PE, AR): 17.0}
    found = flow(*((*way, 11.0, late.get(way, 12.0)) for way in ALL_WAYS))
    assert found.again(10.0, None) == 7.0
    assert found.again(10.0, CL) == 2.0


def test_what_was_offered_before_proves_nothing() -> None:
    found = flow(*((*way, 9.0, 15.0) for way in ALL_WAYS))
    assert found.again(10.0, None) is None


def test_the_first_to_come_counts_whichever_was_offered_first() -> None:
    found = flow(*((*way, 11.0, 20.0) for way in ALL_WAYS), *((*way, 12.0, 13.0) for way in ALL_WAYS))
    assert found.again(10.0, None) == 3.0


def test_one_way_without_a_message_has_not_recovered() -> None:
    found = flow(*((*way, 11.0, 12.0) for way in ALL_WAYS if way != (PE, AR)))
    assert found.again(10.0, None) is None
    assert found.again(10.0, CL) == 2.0
