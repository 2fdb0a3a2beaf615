"""Does every accepted message stand in exactly one statement, in order, and within its bounds?"""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from almenara.model.codes import Tlp
from almenara.model.ids import AudienceId, MemberId
from almenara.publisher.groups import (
    STATEMENT_MESSAGES_MAX,
    Accepted,
    grouped,
    room,
    stands_alone,
)
from almenara.wire.messages import encode_batch
from almenara.wire.padding import BUCKETS, pad
from unit.model.drafts import ALERT, handled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from almenara.publisher.groups import Group

REGION, CONDOR = AudienceId("region"), AudienceId("op-condor")
LONGEST = MemberId("X-" + "Z" * 16)
LISTS = ((), (MemberId("AR"),), (MemberId("AR"), MemberId("CL")), (LONGEST,))


def an_accepted(
    number: int,
    *,
    size: int = 100,
    alone: bool = False,
    audience: AudienceId = REGION,
    recipients: tuple[MemberId, ...] = (),
    elicits_receipt: bool = True,
) -> Accepted:
    return Accepted(
        audience=audience,
        recipients=recipients,
        expected=(),
        message_id=number.to_bytes(16, "big"),
        content=bytes(32),
        kind="RISK_ALERT",
        reference="",
        item=bytes(min(size, room(recipients))),
        elicits_receipt=elicits_receipt,
        alone=alone,
    )


@st.composite
def queues(draw: st.DrawFn) -> list[Accepted]:
    """Return what waits: mostly small messages in runs, some of them large, some alone."""
    waiting: list[Accepted] = []
    for _ in range(draw(st.integers(1, 12))):
        size = draw(st.sampled_from([1, 900, 20_000, room(()) // 2, room(()) // 2 + 1, room(())]))
        like = an_accepted(
            0,
            size=size,
            alone=draw(st.integers(0, 5)) == 0,
            audience=draw(st.sampled_from([REGION, CONDOR])),
            recipients=draw(st.sampled_from(LISTS)),
            elicits_receipt=draw(st.booleans()),
        )
        count = draw(st.sampled_from([1, 2, 40, 511, 512, 513])) if size < 1000 else draw(st.integers(1, 30))
        waiting += [replace(like, message_id=(len(waiting) + n).to_bytes(16, "big")) for n in range(count)]
    return waiting


def key(message: Accepted) -> tuple[AudienceId, tuple[MemberId, ...], bool]:
    return message.audience, message.recipients, message.elicits_receipt


def ids(groups: Iterable[Group]) -> list[list[int]]:
    return [[int.from_bytes(m.message_id, "big") for m in group.messages] for group in groups]


@settings(max_examples=150, deadline=None)
@given(queues())
def test_no_group_exceeds_its_bounds_and_every_message_stands_once_in_order(waiting: list[Accepted]) -> None:
    groups = list(grouped(waiting))
    for group in groups:
        assert {key(m) for m in group.messages} == {
            (group.audience, group.recipients, group.elicits_receipt)
        }, "nothing goes to readers it was not meant for"
        assert 1 <= len(group.messages) <= STATEMENT_MESSAGES_MAX
        batch = encode_batch(group.recipients, [m.item for m in group.messages])
        assert len(pad(batch)) <= BUCKETS[-1]
        assert len(group.messages) == 1 or not any(m.alone for m in group.messages)
    for each in {key(m) for m in waiting}:
        sent = [m for group in groups for m in group.messages if key(m) == each]
        assert sent == [m for m in waiting if key(m) == each]


@settings(max_examples=60, deadline=None)
@given(queues())
def test_groups_are_as_few_as_their_order_allows(waiting: list[Accepted]) -> None:
    """What can share a statement does: otherwise a burst would cost a signature a message."""
    groups = sorted(grouped(waiting), key=lambda g: (g.audience, g.recipients, g.elicits_receipt))
    for _, same in groupby(groups, key=lambda g: (g.audience, g.recipients, g.elicits_receipt)):
        neighbours = list(same)
        for left, right in pairwise(neighbours):
            size = sum(len(m.item) for m in left.messages) + len(right.messages[0].item)
            full = len(left.messages) == STATEMENT_MESSAGES_MAX or size > room(left.recipients)
            assert full or left.messages[-1].alone or right.messages[0].alone


def test_a_message_that_stands_alone_parts_those_before_from_those_after() -> None:
    waiting = [an_accepted(0), an_accepted(1), an_accepted(2, alone=True), an_accepted(3), an_accepted(4)]
    assert ids(grouped(waiting)) == [[0, 1], [2], [3, 4]]


def test_two_that_stand_alone_do_not_share() -> None:
    assert ids(grouped([an_accepted(0, alone=True), an_accepted(1, alone=True)])) == [[0], [1]]


def test_the_five_hundred_and_thirteenth_opens_a_new_statement() -> None:
    groups = list(grouped(an_accepted(n, size=1) for n in range(STATEMENT_MESSAGES_MAX + 1)))
    assert [len(group.messages) for group in groups] == [STATEMENT_MESSAGES_MAX, 1]


def test_nothing_waiting_makes_nothing() -> None:
    assert list(grouped([])) == []


def test_red_and_personal_data_stand_alone() -> None:
    assert stands_alone(handled(ALERT, tlp=Tlp.RED))
    assert stands_alone(handled(ALERT, personal_data=True))
    assert not any(stands_alone(handled(ALERT, tlp=tlp)) for tlp in Tlp if tlp is not Tlp.RED)
