"""What is refused before it waits, with which words, and who is expected to confirm the rest?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from almenara.errors import Code, MessageRefused, StatementRefused
from almenara.model.codes import BARRED_WHEN_CLOSED, Kind, Language, Tlp
from almenara.model.ids import AudienceId, MemberId
from almenara.model.messages import Text
from almenara.publisher.accept import accept, may_confirm
from almenara.trust.targets import audience_target
from almenara.wire.messages import MESSAGE_MAX, decode_batch, decode_message, encode_batch
from unit.model.drafts import ALERT, DRAFTS, PROFILE, RESULT, changed, handled
from unit.trust.federation import AR, CL, CONDOR, NOW, PE, REGION, UY, audience_file, directory, targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from almenara.model.messages import Message
    from almenara.publisher.groups import Accepted
    from almenara.trust.directory import Directory

HOUR = timedelta(hours=1)


def taken(
    message: Message = ALERT,
    *,
    member: MemberId = PE,
    audience: AudienceId = REGION,
    to: Sequence[MemberId] | None = None,
    known: Directory | None = None,
) -> Accepted:
    return accept(message, member=member, audience=audience, to=to, directory=known or directory(), now=NOW)


def faults(**arguments: Any) -> list[tuple[Code, str]]:  # noqa: ANN401 - arguments of `taken`
    with pytest.raises(MessageRefused) as refusal:
        taken(**arguments)
    return [(fault.code, fault.path) for fault in refusal.value.faults]


def lasting(**times: Any) -> Directory:  # noqa: ANN401 - fields of an audience's file
    return directory({**targets(), audience_target(CONDOR): audience_file(PE, AR, **times)})


def test_a_message_to_an_audience_is_expected_of_all_others() -> None:
    accepted = taken()
    assert accepted.recipients == ()
    assert accepted.expected == (AR, CL)
    assert decode_message(accepted.item, ()) == ALERT


def test_a_list_is_sorted_named_once_and_expected_of_its_members() -> None:
    accepted = taken(to=[CL, AR, CL])
    assert accepted.recipients == accepted.expected == (AR, CL)


def test_the_messages_own_list_counts_where_the_call_names_none() -> None:
    assert taken(replace(ALERT, recipients=(CL,))).recipients == (CL,)
    assert taken(replace(ALERT, recipients=(CL,)), to=[CL]).recipients == (CL,)


CASES = {
    "an empty list is not everyone": ({"to": []}, [(Code.REQUIRED, "$.recipients")]),
    "two lists that differ": (
        {"message": replace(ALERT, recipients=(AR,)), "to": [CL]},
        [(Code.CONFLICT, "$.recipients")],
    ),
    "a member nobody knows": ({"to": [AR, MemberId("ZZ")]}, [(Code.UNKNOWN_MEMBER, "$.recipients[1]")]),
    "the author itself": ({"to": [AR, PE]}, [(Code.CONFLICT, "$.recipients[1]")]),
    "a member outside the audience": (
        {"audience": CONDOR, "to": [AR, CL]},
        [(Code.NOT_IN_AUDIENCE, "$.recipients[1]")],
    ),
    "an author outside the audience": (
        {"member": CL, "audience": CONDOR},
        [(Code.NOT_IN_AUDIENCE, "$.audience")],
    ),
    "an author outside the federation": ({"member": UY}, [(Code.NOT_IN_AUDIENCE, "$.audience")]),
    "RED to the whole audience": (
        {"message": handled(ALERT, tlp=Tlp.RED)},
        [(Code.RED_NEEDS_LIST, "$.recipients")],
    ),
    "all faults at once, the rules' among them": (
        {
            "message": replace(changed(ALERT, origin="QQ"), reference="x" * 200),
            "to": [MemberId("ZZ"), PE],
        },
        [
            (Code.CONFLICT, "$.recipients[0]"),
            (Code.UNKNOWN_MEMBER, "$.recipients[1]"),
            (Code.FORMAT, "$.reference"),
            (Code.UNKNOWN_CODE, "$.body.origin"),
        ],
    ),
}


@pytest.mark.parametrize(("arguments", "wanted"), CASES.values(), ids=CASES.keys())
def test_refused(arguments: dict[str, Any], wanted: list[tuple[Code, str]]) -> None:
    assert faults(**arguments) == wanted


def test_red_to_a_list_goes() -> None:
    assert taken(handled(ALERT, tlp=Tlp.RED), to=[AR]).alone


def test_an_unknown_audience_is_refused_by_name() -> None:
    with pytest.raises(StatementRefused, match="audience nowhere") as refusal:
        taken(audience=AudienceId("nowhere"))
    assert refusal.value.code == Code.UNKNOWN_AUDIENCE


@pytest.mark.parametrize("times", [{"closes_at": NOW}, {"closes_at": NOW - HOUR}], ids=["now", "an hour ago"])
def test_a_closed_operation_takes_results_but_no_alerts_or_profiles(times: dict[str, Any]) -> None:
    known = lasting(**times)
    for message in (ALERT, PROFILE):
        assert faults(message=message, audience=CONDOR, known=known) == [(Code.AUDIENCE_CLOSED, "$.audience")]
    assert taken(RESULT, audience=CONDOR, known=known).kind == Kind.CONTROL_RESULT


def test_every_kind_but_alerts_and_profiles_goes_on_after_the_close() -> None:
    known = lasting(closes_at=NOW)
    going = {m.kind for m in DRAFTS if m.kind not in BARRED_WHEN_CLOSED}
    assert going == {taken(m, audience=CONDOR, known=known).kind for m in DRAFTS if m.kind in going}
    assert len(going) == 7


def test_nothing_reaches_an_audience_that_is_over() -> None:
    ended = lasting(closes_at=NOW - timedelta(days=30))
    for message in (ALERT, RESULT, *(m for m in DRAFTS if m.kind == Kind.RECEIPT)):
        found = faults(message=message, audience=CONDOR, known=ended)
        assert (Code.AUDIENCE_CLOSED, "$.audience") in found
    assert may_confirm(REGION, member=PE, directory=ended, now=NOW)
    assert may_confirm(CONDOR, member=PE, directory=ended, now=NOW - HOUR)
    assert not may_confirm(CONDOR, member=PE, directory=ended, now=NOW)
    assert not may_confirm(CONDOR, member=CL, directory=directory(), now=NOW)
    assert not may_confirm(AudienceId("nowhere"), member=PE, directory=directory(), now=NOW)
    assert not may_confirm(REGION, member=PE, directory=None, now=NOW)


def test_an_operation_still_open_takes_alerts() -> None:
    assert taken(audience=CONDOR, known=lasting(closes_at=NOW + HOUR)).audience == CONDOR


def test_only_receipts_elicit_no_receipt() -> None:
    assert {m.kind for m in DRAFTS if not taken(m).elicits_receipt} == {Kind.RECEIPT}


def with_narrative(length: int) -> Message:
    return replace(ALERT, texts=(Text(lang=Language("es"), title="Largo", narrative="x" * length),))


def test_a_message_has_as_many_bytes_as_a_reader_takes_and_no_more() -> None:
    length = MESSAGE_MAX - 1_000
    length += MESSAGE_MAX - len(taken(with_narrative(length)).item)
    largest = taken(with_narrative(length)).item
    assert len(largest) == MESSAGE_MAX
    assert decode_batch(encode_batch((), [largest])).items == (largest,)
    assert faults(message=with_narrative(length + 1)) == [(Code.OVERSIZE, "$")]


def test_the_content_tells_who_it_is_for() -> None:
    """The same id must always mean the same, so the readers are part of what it means."""
    contents = {
        taken().content,
        taken(to=[AR]).content,
        taken(to=[AR, CL]).content,
        taken(audience=CONDOR).content,
        taken(replace(ALERT, reference="PE-2026-000999")).content,
    }
    assert len(contents) == 5
    assert taken().content == taken().content
