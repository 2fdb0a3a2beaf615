"""Rules 1, 4, 5, 8 and 9 of DOMAIN.md, on messages of every kind."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from msgspec.structs import replace

from almenara.errors import Code, Fault, MessageRefused
from almenara.model.alert import Goods
from almenara.model.bodies import Condition, Decision, Excepted, Finding, Received, SharedKey
from almenara.model.codes import (
    Area,
    Combination,
    Comparison,
    Completeness,
    DecisionState,
    Kind,
    Language,
    Mode,
    Outcome,
    Requested,
    Tlp,
    WithdrawalReason,
)
from almenara.model.fields import TABLES
from almenara.model.ids import MemberId
from almenara.model.messages import Action, Attachment, Message, Text
from almenara.model.rules import CLOCK_TOLERANCE, check, check_answer
from almenara.model.values import Digest
from strategies import instants, messages
from unit.model.drafts import (
    ALERT,
    AR,
    DRAFTS,
    LATER,
    NOW,
    OPERATION,
    PE,
    PROFILE,
    RECEIPT,
    REQUEST,
    RESPONSE,
    RESULT,
    UPDATE,
    WITHDRAWAL,
    an_id,
    changed,
    handled,
)

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def faults(message: Message, now: datetime) -> tuple[Fault, ...]:
    try:
        check(message, now=now)
    except MessageRefused as refusal:
        return refusal.faults
    return ()


def attached(**fields: Any) -> Message:  # noqa: ANN401 - any field
    whole = {"name": "scan", "media_type": "image/png", "sha256": Digest(bytes(32)), "size": 1}
    return replace(ALERT, attachments=(Attachment(**{**whole, **fields}),))


def received(**fields: Any) -> Message:  # noqa: ANN401 - any field
    whole = {"publisher": PE, "epoch": 1, "seq": 7, "hash": Digest(bytes(32))}
    return changed(RECEIPT, received=(Received(**{**whole, **fields}),))


def excepted(first_seq: int, last_seq: int) -> Message:
    return received(excepted=(Excepted(first_seq=first_seq, last_seq=last_seq, code="KEY_MISSING"),))


DECISION = Decision(publisher=PE, message_id=an_id(1), state=DecisionState.ACCEPTED, at=NOW)


def decided(state: DecisionState, code: str = "") -> Message:
    return changed(RECEIPT, decisions=(replace(DECISION, state=state, code=code),))


def shared(*to: MemberId, sender_key: bytes = bytes(32), **fields: Any) -> Message:  # noqa: ANN401
    key = SharedKey(epoch=1, sender_key=Digest(sender_key), key=Digest(bytes(32)))
    alone = {"received": (), "decisions": (), "keys": (key,)}
    return replace(changed(RECEIPT, **{**alone, **fields}), recipients=to)


def found(area: Area, **fields: Any) -> Message:  # noqa: ANN401 - any field
    return changed(RESULT, findings=(Finding(area=area, **fields),))


def profile(comparison: Comparison, *values: str, weight: float = 0.0, **fields: Any) -> Message:  # noqa: ANN401
    condition = Condition(field="goods.hs", comparison=comparison, values=values, weight=weight)
    return changed(PROFILE, conditions=(condition,), **fields)


SCORE: dict[str, Any] = {"combination": Combination.SCORE, "score_threshold": 5.0}

ACCEPTED: dict[str, Message] = {
    **{draft.kind.value: draft for draft in DRAFTS},
    "issued a little ahead": replace(ALERT, issued_at=NOW + CLOCK_TOLERANCE),
    "issued years ago": replace(ALERT, issued_at=NOW - 800 * DAY),
    "valid from a later day": replace(ALERT, valid_from=NOW + DAY),
    "kept until it expires": handled(ALERT, retention_until=LATER),
    "RED to a list": handled(replace(ALERT, recipients=(AR,)), tlp=Tlp.RED),
    "an action of all": replace(
        ALERT, recipients=(AR,), actions=(Action(requested=Requested.HOLD, feedback_due=NOW + DAY),)
    ),
    "an action of one": replace(
        ALERT, recipients=(AR,), actions=(Action(member=AR, requested=Requested.HOLD),)
    ),
    "an attachment": attached(),
    "a text": replace(ALERT, texts=(Text(lang=Language.ES, title="Alerta"),)),
    "a duplicate": changed(WITHDRAWAL, reason=WithdrawalReason.DUPLICATE_OF, duplicate_of=an_id(9)),
    "a receipt of a range with a hole": excepted(3, 7),
    "a rejection": decided(DecisionState.REJECTED, "CHECK_DIGIT"),
    "a shared key": shared(AR),
    "a result without alert": changed(RESULT, alert_publisher=MemberId(""), alert_id=None),
    "nothing found": changed(RESULT, outcome=Outcome.NOT_FOUND, findings=()),
    "no control date": changed(RESULT, control_date=""),
    "drugs in grams": found(Area.DRUGS, quantity=3.0, unit="GRM"),
    "cigarettes in thousands": found(Area.TOBACCO, hs="240220", quantity=3.0, unit="MIL"),
    "leaf tobacco in kilograms": found(Area.TOBACCO, hs="2401", quantity=3.0, unit="KGM"),
    "weapons in pieces": found(Area.WEAPONS, quantity=3.0, unit="C62"),
    "liquor in litres": found(Area.EXCISE, quantity=3.0, unit="LTR"),
    "money by its value": found(Area.CURRENCY, value=9000.0, currency="USD"),
    "a real zero": found(Area.DRUGS, quantity=0.0, unit="KGM"),
    "a usefulness": changed(RESULT, alert_usefulness=5),
    "a refusal": changed(RESPONSE, completeness=Completeness.REFUSED, answers=(), refusal_reason="Secret"),
    "a second version of a profile": replace(PROFILE, version=2, supersedes=an_id(8)),
    "an operation by its modes": changed(OPERATION, modes=(Mode.AIR,), hs_prefixes=("24",)),
    "a condition without values": profile(Comparison.PRESENT),
    "a condition of two values": profile(Comparison.BETWEEN, "01", "24"),
    "a condition of many values": profile(Comparison.IN, "01", "02", "03"),
    "a score": profile(Comparison.EQUALS, "01", weight=-2.0, **SCORE),
}


@pytest.mark.parametrize("message", ACCEPTED.values(), ids=ACCEPTED)
def test_a_sound_message_is_accepted(message: Message) -> None:
    check(message, now=NOW)


REFUSED: dict[str, tuple[Message, Code, str]] = {
    "a reference": (replace(ALERT, reference="pe 1"), Code.FORMAT, "$.reference"),
    "an id of another version": (
        replace(ALERT, message_id=UUID("a3bb189e-8bf9-4888-9912-ace4e6543002")),
        Code.FORMAT,
        "$.message_id",
    ),
    "version 0": (replace(PROFILE, version=0, supersedes=an_id(8)), Code.RANGE, "$.version"),
    "a version that is a date": (
        replace(PROFILE, version=20261124000000, supersedes=an_id(8)),
        Code.RANGE,
        "$.version",
    ),
    "a new alert of version 2": (replace(ALERT, version=2, supersedes=an_id(8)), Code.CONFLICT, "$.version"),
    "an update of version 1": (replace(UPDATE, version=1), Code.CONFLICT, "$.version"),
    "an update of nothing": (replace(UPDATE, supersedes=None), Code.REQUIRED, "$.supersedes"),
    "an update of itself": (
        replace(UPDATE, supersedes=UPDATE.message_id),
        Code.CONFLICT,
        "$.supersedes",
    ),
    "a first version that replaces": (replace(ALERT, supersedes=an_id(8)), Code.CONFLICT, "$.supersedes"),
    "a second version of nothing": (replace(PROFILE, version=2), Code.REQUIRED, "$.supersedes"),
    "an update without reason": (changed(UPDATE, change_reason=""), Code.REQUIRED, "$.body.change_reason"),
    "issued ahead": (replace(ALERT, issued_at=NOW + CLOCK_TOLERANCE + SECOND), Code.RANGE, "$.issued_at"),
    "an alert without end": (replace(ALERT, expires_at=None), Code.REQUIRED, "$.expires_at"),
    "an update without end": (replace(UPDATE, expires_at=None), Code.REQUIRED, "$.expires_at"),
    "a profile without end": (replace(PROFILE, expires_at=None), Code.REQUIRED, "$.expires_at"),
    "an operation without end": (replace(OPERATION, expires_at=None), Code.REQUIRED, "$.expires_at"),
    "expired when issued": (replace(ALERT, expires_at=NOW), Code.CONFLICT, "$.expires_at"),
    "expired before valid": (replace(ALERT, valid_from=LATER), Code.CONFLICT, "$.expires_at"),
    "kept less than valid": (
        handled(ALERT, retention_until=LATER - SECOND),
        Code.CONFLICT,
        "$.handling.retention_until",
    ),
    "kept less than issued": (
        handled(REQUEST, retention_until=NOW - SECOND),
        Code.CONFLICT,
        "$.handling.retention_until",
    ),
    "feedback due before": (
        replace(ALERT, actions=(Action(requested=Requested.HOLD, feedback_due=NOW),)),
        Code.CONFLICT,
        "$.actions[0].feedback_due",
    ),
    "RED to everyone": (handled(ALERT, tlp=Tlp.RED), Code.RED_NEEDS_LIST, "$.recipients"),
    "a recipient twice": (replace(ALERT, recipients=(AR, PE, AR)), Code.CONFLICT, "$.recipients"),
    "a recipient that is none": (
        replace(ALERT, recipients=(MemberId("Argentina"),)),
        Code.FORMAT,
        "$.recipients[0]",
    ),
    "an action of another": (
        replace(ALERT, recipients=(AR,), actions=(Action(member=PE, requested=Requested.HOLD),)),
        Code.CONFLICT,
        "$.actions[0].member",
    ),
    "a purpose in words": (
        handled(ALERT, purposes=("RISK_ANALYSIS", "because")),
        Code.FORMAT,
        "$.handling.purposes[1]",
    ),
    "a text without title": (
        replace(ALERT, texts=(Text(lang=Language.ES, title=""),)),
        Code.REQUIRED,
        "$.texts[0].title",
    ),
    "an attachment without name": (attached(name=""), Code.REQUIRED, "$.attachments[0].name"),
    "an attachment of no type": (attached(media_type="png"), Code.FORMAT, "$.attachments[0].media_type"),
    "an attachment with half a hash": (
        attached(sha256=Digest(bytes(16))),
        Code.FORMAT,
        "$.attachments[0].sha256",
    ),
    "an attachment of less than nothing": (attached(size=-1), Code.RANGE, "$.attachments[0].size"),
    "a withdrawal of itself": (
        changed(WITHDRAWAL, target=WITHDRAWAL.message_id),
        Code.CONFLICT,
        "$.body.target",
    ),
    "a duplicate of nothing": (
        changed(WITHDRAWAL, reason=WithdrawalReason.DUPLICATE_OF),
        Code.REQUIRED,
        "$.body.duplicate_of",
    ),
    "a duplicate of itself": (
        changed(WITHDRAWAL, reason=WithdrawalReason.DUPLICATE_OF, duplicate_of=an_id(1)),
        Code.CONFLICT,
        "$.body.duplicate_of",
    ),
    "a duplicate that is none": (
        changed(WITHDRAWAL, duplicate_of=an_id(9)),
        Code.CONFLICT,
        "$.body.duplicate_of",
    ),
    "a receipt of nothing": (changed(RECEIPT, received=(), decisions=()), Code.REQUIRED, "$.body"),
    "keys beside an answer": (shared(AR, decisions=(DECISION,)), Code.CONFLICT, "$.body.keys"),
    "keys for two": (shared(AR, PE), Code.CONFLICT, "$.body.keys"),
    "keys for all": (shared(), Code.CONFLICT, "$.body.keys"),
    "a key without an id": (shared(AR, sender_key=b""), Code.REQUIRED, "$.body.keys[0].sender_key"),
    "a receipt from nobody": (received(publisher=""), Code.REQUIRED, "$.body.received[0].publisher"),
    "a receipt without hash": (received(hash=Digest()), Code.REQUIRED, "$.body.received[0].hash"),
    "a receipt of less than nothing": (received(seq=-1), Code.RANGE, "$.body.received[0].seq"),
    "an exception beyond": (excepted(3, 8), Code.RANGE, "$.body.received[0].excepted[0].last_seq"),
    "an exception backwards": (excepted(3, 2), Code.RANGE, "$.body.received[0].excepted[0].last_seq"),
    "a rejection without code": (
        decided(DecisionState.REJECTED),
        Code.REQUIRED,
        "$.body.decisions[0].code",
    ),
    "an acceptance with code": (
        decided(DecisionState.ACCEPTED, "CHECK_DIGIT"),
        Code.CONFLICT,
        "$.body.decisions[0].code",
    ),
    "a result for nobody": (
        changed(RESULT, alert_publisher=MemberId("")),
        Code.REQUIRED,
        "$.body.alert_publisher",
    ),
    "a result for nothing": (changed(RESULT, alert_id=None), Code.REQUIRED, "$.body.alert_id"),
    "a period backwards": (
        changed(RESULT, period_start=NOW, period_end=NOW - DAY),
        Code.CONFLICT,
        "$.body.period_end",
    ),
    "a usefulness of 6": (changed(RESULT, alert_usefulness=6), Code.RANGE, "$.body.alert_usefulness"),
    "controlled tomorrow": (
        changed(RESULT, control_date="2026-11-25"),
        Code.RANGE,
        "$.body.control_date",
    ),
    "controlled on no day": (changed(RESULT, control_date="soon"), Code.FORMAT, "$.body.control_date"),
    "seized nothing": (changed(RESULT, findings=()), Code.REQUIRED, "$.body.findings"),
    "seized drugs by the piece": (
        found(Area.DRUGS, quantity=3.0, unit="C62"),
        Code.CONFLICT,
        "$.body.findings[0].unit",
    ),
    "seized cigarettes by weight": (
        found(Area.TOBACCO, hs="240220", quantity=3.0, unit="KGM"),
        Code.CONFLICT,
        "$.body.findings[0].unit",
    ),
    "seized tobacco by the litre": (
        found(Area.TOBACCO, quantity=3.0, unit="LTR"),
        Code.CONFLICT,
        "$.body.findings[0].unit",
    ),
    "seized weapons uncounted": (found(Area.WEAPONS), Code.REQUIRED, "$.body.findings[0].unit"),
    "seized money uncounted": (found(Area.CURRENCY), Code.REQUIRED, "$.body.findings[0].unit"),
    "a finding's value without currency": (
        found(Area.DRUGS, quantity=3.0, unit="KGM", value=5.0),
        Code.REQUIRED,
        "$.body.findings[0].currency",
    ),
    "a request without question": (changed(REQUEST, questions=()), Code.REQUIRED, "$.body.questions"),
    "a request due before": (changed(REQUEST, due=NOW), Code.CONFLICT, "$.body.due"),
    "a request without basis": (changed(REQUEST, legal_basis=""), Code.REQUIRED, "$.body.legal_basis"),
    "a response to nothing": (replace(RESPONSE, in_reply_to=None), Code.REQUIRED, "$.in_reply_to"),
    "a response without answer": (changed(RESPONSE, answers=()), Code.REQUIRED, "$.body.answers"),
    "a refusal without reason": (
        changed(RESPONSE, completeness=Completeness.REFUSED, answers=()),
        Code.REQUIRED,
        "$.body.refusal_reason",
    ),
    "an operation backwards": (changed(OPERATION, period_end=NOW), Code.CONFLICT, "$.body.period_end"),
    "an operation's id": (changed(OPERATION, operation_id="Condor"), Code.FORMAT, "$.body.operation_id"),
    "an operation of no member": (changed(OPERATION, members=(AR, "")), Code.FORMAT, "$.body.members[1]"),
    "an operation by no mode": (changed(OPERATION, modes=(Mode.ABSENT,)), Code.REQUIRED, "$.body.modes[0]"),
    "a profile of nothing": (changed(PROFILE, conditions=()), Code.REQUIRED, "$.body.conditions"),
    "a profile backwards": (
        changed(PROFILE, validity_start=NOW, validity_end=NOW),
        Code.CONFLICT,
        "$.body.validity_end",
    ),
    "a condition with too few values": (
        profile(Comparison.BETWEEN, "01"),
        Code.RANGE,
        "$.body.conditions[0].values",
    ),
    "a condition with too many values": (
        profile(Comparison.EQUALS, "01", "02"),
        Code.RANGE,
        "$.body.conditions[0].values",
    ),
    "a list of nothing": (profile(Comparison.NOT_IN), Code.RANGE, "$.body.conditions[0].values"),
    "a weight that does not count": (
        profile(Comparison.EQUALS, "01", weight=2.0),
        Code.CONFLICT,
        "$.body.conditions[0].weight",
    ),
    "a score without weight": (
        profile(Comparison.EQUALS, "01", **SCORE),
        Code.REQUIRED,
        "$.body.conditions[0].weight",
    ),
    "a score without threshold": (
        profile(Comparison.EQUALS, "01", weight=2.0, combination=Combination.SCORE),
        Code.REQUIRED,
        "$.body.score_threshold",
    ),
    "an endless weight": (
        profile(Comparison.EQUALS, "01", weight=float("inf"), **SCORE),
        Code.RANGE,
        "$.body.conditions[0].weight",
    ),
    "a hit rate over 1": (changed(PROFILE, expected_hit_rate=12.5), Code.RANGE, "$.body.expected_hit_rate"),
}


@pytest.mark.parametrize(("message", "code", "path"), REFUSED.values(), ids=REFUSED)
def test_a_message_that_breaks_a_rule_is_refused(message: Message, code: Code, path: str) -> None:
    assert [(fault.code, fault.path) for fault in faults(message, NOW)] == [(code, path)]


def test_there_is_a_draft_of_every_kind() -> None:
    assert {draft.kind for draft in DRAFTS} == set(Kind)


@given(messages(), instants)
def test_a_message_of_right_shape_is_judged_and_nothing_else_goes_wrong(
    message: Message, now: datetime
) -> None:
    assert all(fault.path.startswith("$") for fault in faults(message, now))


@pytest.mark.parametrize(
    ("day", "hour", "accepted"),
    [
        ("2026-11-24", 0, True),
        ("2026-11-25", 9, False),  # still the 24th everywhere on Earth
        ("2026-11-25", 10, True),  # the 25th has begun at UTC+14
        ("2026-11-26", 23, False),
        ("9999-12-31", 23, False),
        ("0001-01-01", 0, True),
    ],
)
def test_a_control_date_is_past_somewhere_on_earth(day: str, hour: int, *, accepted: bool) -> None:
    message = replace(changed(RESULT, control_date=day), issued_at=NOW.replace(hour=hour))
    refused = [fault.path for fault in faults(message, message.issued_at)]
    assert refused == ([] if accepted else ["$.body.control_date"])


@pytest.mark.parametrize(
    ("day", "hour", "accepted"),
    [
        ("2026-11-24", 23, True),
        ("2026-11-23", 11, True),  # still the 23rd at UTC-12
        ("2026-11-23", 12, False),
        ("2026-11-22", 0, False),
        ("2027-11-24", 0, True),
        ("", 0, True),
        ("soon", 0, True),
    ],
)
def test_no_control_comes_before_the_alert_it_answers(day: str, hour: int, *, accepted: bool) -> None:
    result = changed(RESULT, control_date=day)
    alert = replace(ALERT, issued_at=NOW.replace(hour=hour))
    if accepted:
        check_answer(result, alert=alert)
    else:
        with pytest.raises(MessageRefused, match=r"\$\.body\.control_date: .* before the alert was issued"):
            check_answer(result, alert=alert)


def test_only_control_results_answer_alerts() -> None:
    check_answer(RECEIPT, alert=ALERT)


NOMENCLATURE = frozenset({"08", "0803", "1302"})


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (changed(ALERT, goods=(Goods(hs="0803"), Goods(hs="0899"))), "$.body.goods[1].hs"),
        (found(Area.DRUGS, hs="1399", quantity=1.0, unit="KGM"), "$.body.findings[0].hs"),
        (changed(OPERATION, hs_prefixes=("08", "24")), "$.body.hs_prefixes[1]"),
    ],
    ids=["goods", "findings", "prefixes"],
)
def test_with_a_nomenclature_only_its_codes_are_accepted(message: Message, path: str) -> None:
    check(message, now=NOW)
    with pytest.raises(MessageRefused) as refusal:
        check(message, now=NOW, nomenclature=NOMENCLATURE)
    assert [(fault.code, fault.path) for fault in refusal.value.faults] == [(Code.UNKNOWN_CODE, path)]


@pytest.mark.parametrize("message", [ALERT, UPDATE, RESULT, PROFILE, found(Area.WEAPONS, unit="C62")])
def test_with_a_nomenclature_codes_that_stand_in_it_are_accepted(message: Message) -> None:
    check(message, now=NOW, nomenclature=NOMENCLATURE)


def test_the_tables_name_fields_that_exist() -> None:
    for part, table in TABLES.items():
        named = {name for name, _ in table.single + table.each}
        named |= {*table.required, *table.parts, *table.one_part}
        assert named <= set(part.__struct_fields__)
