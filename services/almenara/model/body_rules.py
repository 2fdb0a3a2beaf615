"""What must hold within the bodies other than alerts? Rules 8 and 9 of DOMAIN.md, and plain sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.errors import Code, Fault
from almenara.model.alert_rules import amount_faults
from almenara.model.bodies import (
    ControlResult,
    InfoRequest,
    InfoResponse,
    OperationNotice,
    Receipt,
    RiskAlertWithdrawal,
    RiskProfile,
)
from almenara.model.codelists import COUNT_UNITS, MASS_UNITS
from almenara.model.codes import (
    Area,
    Combination,
    Comparison,
    Completeness,
    DecisionState,
    Outcome,
    WithdrawalReason,
)
from almenara.model.formats import date_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from datetime import date, datetime

    from almenara.model.bodies import Condition, Finding
    from almenara.model.subject import Subject

# Dates are those of the place: the easternmost clocks are 14 hours ahead of UTC, so tomorrow begins
# there at 10:00 UTC; the westernmost are 12 behind it, so yesterday ends there at 12:00 UTC.
_TOMORROW_BEGINS_HOUR = 10
_YESTERDAY_ENDS_HOUR = 12


def days_after(day: date, moment: datetime) -> int:
    """Return how many days the date lies after a UTC moment, wherever on Earth it was written."""
    begun = int(moment.hour >= _TOMORROW_BEGINS_HOUR)
    return (day - moment.date()).days - begun


def days_before(day: date, moment: datetime) -> int:
    """Return how many days the date lies before a UTC moment, wherever on Earth it was written."""
    lasting = int(moment.hour < _YESTERDAY_ENDS_HOUR)
    return (moment.date() - day).days - lasting


def withdrawal_names_another_message(subject: Subject) -> Iterator[Fault]:
    """Rule 9: a withdrawal targets an earlier message of its issuer, and names a duplicate's original."""
    body = subject.message.body
    if not isinstance(body, RiskAlertWithdrawal):
        return
    if body.target == subject.message.message_id:
        yield Fault(Code.CONFLICT, "$.body.target", "is this message itself: want the alert to withdraw")
    is_duplicate = body.reason == WithdrawalReason.DUPLICATE_OF
    if is_duplicate and body.duplicate_of is None:
        yield Fault(Code.REQUIRED, "$.body.duplicate_of", "absent: DUPLICATE_OF needs the original's id")
    if not is_duplicate and body.duplicate_of is not None:
        yield Fault(Code.CONFLICT, "$.body.duplicate_of", f"given, but reason is {body.reason}: leave it out")
    if body.duplicate_of == body.target:
        yield Fault(Code.CONFLICT, "$.body.duplicate_of", "is the target itself: want the alert that stays")


def receipt_says_something(subject: Subject) -> Iterator[Fault]:
    """Rule 1: a receipt confirms or answers; a rejection has a code, an exception lies in its range.

    Keys go to one member alone, so that nothing else is disclosed with them.
    """
    body = subject.message.body
    if not isinstance(body, Receipt):
        return
    if not body.received and not body.decisions and not body.keys:
        yield Fault(Code.REQUIRED, "$.body", "confirms nothing: give received or decisions")
    alone = len(subject.message.recipients) == 1 and not body.received and not body.decisions
    if body.keys and not alone:
        yield Fault(Code.CONFLICT, "$.body.keys", "want a receipt of their own, for one member")
    for index, received in enumerate(body.received):
        for place, excepted in enumerate(received.excepted):
            path = f"$.body.received[{index}].excepted[{place}]"
            if excepted.last_seq > received.seq:
                text = f"{excepted.last_seq}: beyond the received seq {received.seq}"
                yield Fault(Code.RANGE, f"{path}.last_seq", text)
            if excepted.last_seq < excepted.first_seq:
                text = f"{excepted.last_seq}: before first_seq, want {excepted.first_seq} or more"
                yield Fault(Code.RANGE, f"{path}.last_seq", text)
    for index, decision in enumerate(body.decisions):
        path = f"$.body.decisions[{index}].code"
        rejected = decision.state == DecisionState.REJECTED
        if rejected and not decision.code:
            yield Fault(Code.REQUIRED, path, "empty: REJECTED needs the code of the reason")
        if decision.code and not rejected:
            yield Fault(Code.CONFLICT, path, f"given, but state is {decision.state}: leave it out")


def result_holds_together(subject: Subject) -> Iterator[Fault]:
    """Rule 1: the alert is named by publisher and id, the period runs forward, amounts have units."""
    body = subject.message.body
    if not isinstance(body, ControlResult):
        return
    if body.alert_id is not None and not body.alert_publisher:
        yield Fault(Code.REQUIRED, "$.body.alert_publisher", "empty: alert_id needs the alert's publisher")
    if body.alert_id is None and body.alert_publisher:
        yield Fault(Code.REQUIRED, "$.body.alert_id", "absent: alert_publisher needs the alert's id")
    if body.period_start and body.period_end and body.period_end < body.period_start:
        yield Fault(Code.CONFLICT, "$.body.period_end", "before period_start: want it at or after that")
    for index, finding in enumerate(body.findings):
        yield from amount_faults(finding, f"$.body.findings[{index}]")


def control_date_is_past(subject: Subject) -> Iterator[Fault]:
    """Rule 8: nothing was controlled after the result was issued."""
    body = subject.message.body
    if not isinstance(body, ControlResult):
        return
    controlled = date_of(body.control_date)
    if controlled is None:
        return
    issued_at = subject.message.issued_at
    if days_after(controlled, issued_at) > 0:
        text = f"{controlled}: after the result was issued, want {issued_at.date()} or earlier"
        yield Fault(Code.RANGE, "$.body.control_date", text)


_CIGARETTES_HEADING = "2402"


def _fitting_units(finding: Finding) -> AbstractSet[str]:
    """Return the units that fit a seized finding; none means that any unit does."""
    if finding.area == Area.DRUGS:
        return MASS_UNITS
    if finding.hs.startswith(_CIGARETTES_HEADING):
        return COUNT_UNITS
    if finding.area == Area.TOBACCO:
        # Without a heading it may be cigarettes or leaf.
        return COUNT_UNITS | MASS_UNITS
    return frozenset()


def seizure_has_quantities(subject: Subject) -> Iterator[Fault]:
    """Rule 8: SEIZED needs quantities in a fitting unit; seized money is counted by its value."""
    body = subject.message.body
    if not isinstance(body, ControlResult) or body.outcome != Outcome.SEIZED:
        return
    if not body.findings:
        yield Fault(Code.REQUIRED, "$.body.findings", "empty: SEIZED needs what was seized, with quantity")
    for index, finding in enumerate(body.findings):
        path = f"$.body.findings[{index}].unit"
        fitting = _fitting_units(finding)
        wanted = " or ".join(sorted(fitting)) or "a unit of UN/CEFACT Rec 20"
        if not finding.unit:
            if finding.area == Area.CURRENCY and finding.currency:
                continue
            yield Fault(Code.REQUIRED, path, f"empty: SEIZED needs quantity and unit, want {wanted}")
        elif fitting and finding.unit not in fitting:
            yield Fault(Code.CONFLICT, path, f"{finding.unit}: does not fit what was seized, want {wanted}")


def request_can_be_answered(subject: Subject) -> Iterator[Fault]:
    """Rule 1: a request asks, and leaves time to answer."""
    body = subject.message.body
    if not isinstance(body, InfoRequest):
        return
    if not body.questions:
        yield Fault(Code.REQUIRED, "$.body.questions", "empty: ask at least one question")
    if body.due <= subject.message.issued_at:
        yield Fault(Code.CONFLICT, "$.body.due", "not after issued_at: leave time to answer")


def response_answers_or_refuses(subject: Subject) -> Iterator[Fault]:
    """Rule 1: a response names its request, and gives answers or the reason for none."""
    message = subject.message
    body = message.body
    if not isinstance(body, InfoResponse):
        return
    if message.in_reply_to is None:
        yield Fault(Code.REQUIRED, "$.in_reply_to", "absent: a response names its request")
    refused = body.completeness == Completeness.REFUSED
    if refused and not body.refusal_reason:
        yield Fault(Code.REQUIRED, "$.body.refusal_reason", "empty: REFUSED needs a reason")
    if not refused and not body.answers:
        yield Fault(Code.REQUIRED, "$.body.answers", f"empty: {body.completeness} needs answers")


def operation_runs_forward(subject: Subject) -> Iterator[Fault]:
    """Rule 1: an operation has a beginning before its end."""
    body = subject.message.body
    if isinstance(body, OperationNotice) and body.period_end <= body.period_start:
        yield Fault(Code.CONFLICT, "$.body.period_end", "not after period_start: want a later end")


_VALUES_TAKEN = {
    Comparison.PRESENT: (0, 0),
    Comparison.ABSENT: (0, 0),
    Comparison.BETWEEN: (2, 2),
    Comparison.IN: (1, 10_000),
    Comparison.NOT_IN: (1, 10_000),
}
_ONE_VALUE = (1, 1)


def _condition_faults(condition: Condition, path: str, combination: Combination) -> Iterator[Fault]:
    least, most = _VALUES_TAKEN.get(condition.comparison, _ONE_VALUE)
    if not least <= len(condition.values) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        yield Fault(
            Code.RANGE,
            f"{path}.values",
            f"{len(condition.values)} values: {condition.comparison} takes {wanted}",
        )
    if combination == Combination.SCORE and not condition.weight:
        yield Fault(Code.REQUIRED, f"{path}.weight", "absent: SCORE needs a weight for each condition")
    if combination != Combination.SCORE and condition.weight:
        yield Fault(Code.CONFLICT, f"{path}.weight", f"given, but combination is {combination}: leave it out")


def profile_can_be_run(subject: Subject) -> Iterator[Fault]:
    """Rule 1: a profile has conditions a machine can compare, and weights exactly where they count."""
    body = subject.message.body
    if not isinstance(body, RiskProfile):
        return
    if not body.conditions:
        yield Fault(Code.REQUIRED, "$.body.conditions", "empty: give at least one condition")
    for index, condition in enumerate(body.conditions):
        yield from _condition_faults(condition, f"$.body.conditions[{index}]", body.combination)
    if body.combination == Combination.SCORE and not body.score_threshold:
        yield Fault(Code.REQUIRED, "$.body.score_threshold", "absent: SCORE needs the score that counts")
    if body.validity_start and body.validity_end and body.validity_end <= body.validity_start:
        yield Fault(Code.CONFLICT, "$.body.validity_end", "not after validity_start: want a later end")
