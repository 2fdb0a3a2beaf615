"""A list reaches those it names, whatever it holds, and shows nobody whom or how many (THREATS 15)."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from almenara.errors import Code, MessageRefused
from almenara.model.codes import Kind
from almenara.model.uuid7 import uuid7
from almenara.store.quarantine import refusals
from almenara.trust.targets import member_target
from almenara.wire.records import parse_content, parse_record
from almenara.wire.seal import WRAP_BYTES
from unit.model.drafts import DRAFTS
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import AR, CL, ENROLMENTS, NOW, UY, directory, member_file, targets

if TYPE_CHECKING:
    from almenara.model.ids import MemberId
    from almenara.model.messages import Message

pytestmark = pytest.mark.attacks

KNOWN = directory({**targets(), member_target(UY): member_file(ENROLMENTS[UY])})
READERS = (AR, CL, UY)
TOLD = [draft for draft in DRAFTS if draft.kind is not Kind.RECEIPT]
WHOM = [None, *[(member,) for member in READERS], (AR, CL), (CL, UY), (AR, CL, UY)]

Sharing = tuple[int, "tuple[MemberId, ...] | None"]


def numbered(number: int, kind: int) -> Message:
    """Return a message of that kind, updates and replies among them, with an id of its own."""
    identity = uuid7(NOW, entropy=number.to_bytes(10, "big"))
    return replace(TOLD[kind % len(TOLD)], message_id=identity)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(WHOM)), min_size=1, max_size=8))
def test_each_message_is_held_by_those_it_is_for_and_by_nobody_else(shared: list[Sharing]) -> None:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        author = Author()
        sites = {member: ReaderSite(Path(folder), member) for member in READERS}
        due: dict[MemberId, list[object]] = {member: [] for member in READERS}
        announced = []
        for number, (kind, to) in enumerate(shared):
            message = numbered(number, kind)
            record = author.says(message, to=to, known=KNOWN)
            for member in to or READERS:
                due[member].append(message.message_id)
            announced.append(
                [len(slot.wrap) for slot in parse_content(parse_record(record).content).key_wraps]
            )
        assert all(slots in ([], [WRAP_BYTES] * 4) for slots in announced), "all announcements look alike"
        for member, site in sites.items():
            stack.enter_context(closing(site.store))
            site.reads(*author.records, known=KNOWN)
            assert site.ids == due[member]
            assert site.store.read_now(refusals) == [], "what is for others is no fault"


@pytest.mark.parametrize("to", [(), []], ids=["no member", "an empty list"])
def test_an_empty_list_is_refused_and_never_means_everyone(to: tuple[MemberId, ...]) -> None:
    author = Author()
    with pytest.raises(MessageRefused) as refused:
        author.says(alert(1), to=to)
    assert refused.value.code is Code.REQUIRED
    assert author.records == []
