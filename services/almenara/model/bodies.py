"""What do the kinds of message other than the risk alert say?

Absent is None for times and ids, "" for text and codes, () for lists, 0 or 0.0 for numbers, as in
alert.py. Every body carries its kind as a msgspec tag: that is how `Body` is told apart in JSON.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from almenara.hidden import Hiding
from almenara.model.alert import Part, RiskAlert
from almenara.model.codes import (
    Area,
    Combination,
    Comparison,
    Completeness,
    DecisionState,
    Effect,
    Kind,
    Mode,
    Outcome,
    Phase,
    Recommendation,
    WithdrawalReason,
)
from almenara.model.ids import MemberId
from almenara.model.values import Digest, Instant


class RiskAlertUpdate(Part, frozen=True, kw_only=True, tag_field="kind", tag="RISK_ALERT_UPDATE"):
    """Replace an alert as a whole; the message's version is one more, `supersedes` names the alert."""

    alert: RiskAlert
    change_reason: str
    changed_fields: tuple[str, ...] = ()


class RiskAlertWithdrawal(Part, frozen=True, kw_only=True, tag_field="kind", tag="RISK_ALERT_WITHDRAWAL"):
    """Stop the controls of an alert; `duplicate_of` goes with reason DUPLICATE_OF alone."""

    target: UUID
    reason: WithdrawalReason
    duplicate_of: UUID | None = None
    effect: Effect = Effect.STOP_CONTROLS


class Excepted(Part, frozen=True, kw_only=True):
    """Name statements of the epoch, `first_seq` to `last_seq`, that were not opened, and why.

    A range, so that a gap of thousands and the time before a late reader's anchor stay one entry.
    """

    first_seq: int
    last_seq: int
    code: str


class Received(Part, frozen=True, kw_only=True):
    """Say how far one stream was received: up to `seq` with the chain hash there, save `excepted`."""

    publisher: MemberId
    epoch: int
    seq: int
    hash: Digest
    excepted: tuple[Excepted, ...] = ()


class Decision(Part, frozen=True, kw_only=True):
    """Say what was done with one message, and when; `code` goes with REJECTED."""

    publisher: MemberId
    message_id: UUID
    state: DecisionState
    code: str = ""
    at: Instant


class SharedKey(Part, Hiding, frozen=True, kw_only=True):
    """Give a member that had no slot what its slot would have held; noise if the list leaves it out."""

    hidden: ClassVar = frozenset({"key"})

    epoch: int
    sender_key: Digest
    key: Digest


class Receipt(Part, frozen=True, kw_only=True, tag_field="kind", tag="RECEIPT"):
    """Confirm streams (the vector of an audience), answer single messages, or hand keys on.

    `keys` are of the sender's own stream, and for the one recipient of a receipt of their own.
    """

    received: tuple[Received, ...] = ()
    decisions: tuple[Decision, ...] = ()
    keys: tuple[SharedKey, ...] = ()


class Finding(Part, frozen=True, kw_only=True):
    """Describe one thing found in a control."""

    area: Area
    hs: str = ""
    quantity: float = 0.0
    unit: str = ""
    value: float = 0.0
    currency: str = ""
    concealment: str = ""
    detection_method: str = ""


class ControlResult(Part, frozen=True, kw_only=True, tag_field="kind", tag="CONTROL_RESULT"):
    """Say what was controlled and found, nil results too.

    The alert it answers is (alert_publisher, alert_id), both absent for a result without an alert.
    `alert_usefulness` is 1 to 5, 0 when not given; `control_date` is text, YYYY-MM-DD.
    """

    alert_publisher: MemberId = MemberId("")
    alert_id: UUID | None = None
    operation_id: str = ""
    period_start: Instant | None = None
    period_end: Instant | None = None
    controlled_count: int = 0
    control_types: tuple[str, ...] = ()
    outcome: Outcome
    place: str = ""
    control_date: str = ""
    findings: tuple[Finding, ...] = ()
    alert_usefulness: int = 0
    profile_recommendation: Recommendation = Recommendation.ABSENT


class InfoRequest(Part, frozen=True, kw_only=True, tag_field="kind", tag="INFO_REQUEST"):
    """Ask other administrations something, with a due date and the legal basis for asking."""

    subject_ref: str = ""
    questions: tuple[str, ...]
    due: Instant
    legal_basis: str


class InfoResponse(Part, frozen=True, kw_only=True, tag_field="kind", tag="INFO_RESPONSE"):
    """Answer a request, in whole or in part, or refuse it with a reason; `in_reply_to` names it."""

    subject_ref: str = ""
    answers: tuple[str, ...] = ()
    completeness: Completeness
    refusal_reason: str = ""


class OperationNotice(Part, frozen=True, kw_only=True, tag_field="kind", tag="OPERATION_NOTICE"):
    """Announce, amend, suspend or close a joint operation (its audience stands in the directory)."""

    operation_id: str
    name: str
    phase: Phase
    lead_member: MemberId
    members: tuple[MemberId, ...] = ()
    areas: tuple[Area, ...] = ()
    hs_prefixes: tuple[str, ...] = ()
    modes: tuple[Mode, ...] = ()
    period_start: Instant
    period_end: Instant
    reporting_interval_days: int = 0


class Condition(Part, frozen=True, kw_only=True):
    """Compare one declared field with values; `weight` counts under combination SCORE alone."""

    field: str
    comparison: Comparison
    values: tuple[str, ...] = ()
    weight: float = 0.0


class RiskProfile(Part, frozen=True, kw_only=True, tag_field="kind", tag="RISK_PROFILE"):
    """Give a machine-readable set of risk indicators.

    `expected_hit_rate` is 0 to 1 (0 when not given); `score_threshold` belongs to combination SCORE;
    `review_date` is text, YYYY-MM-DD.
    """

    profile_id: str
    area: Area
    validity_start: Instant | None = None
    validity_end: Instant | None = None
    conditions: tuple[Condition, ...]
    combination: Combination = Combination.ALL
    score_threshold: float = 0.0
    expected_hit_rate: float = 0.0
    review_date: str = ""


Body = (
    RiskAlert
    | RiskAlertUpdate
    | RiskAlertWithdrawal
    | Receipt
    | ControlResult
    | InfoRequest
    | InfoResponse
    | OperationNotice
    | RiskProfile
)

KINDS: dict[type[Part], Kind] = {
    RiskAlert: Kind.RISK_ALERT,
    RiskAlertUpdate: Kind.RISK_ALERT_UPDATE,
    RiskAlertWithdrawal: Kind.RISK_ALERT_WITHDRAWAL,
    Receipt: Kind.RECEIPT,
    ControlResult: Kind.CONTROL_RESULT,
    InfoRequest: Kind.INFO_REQUEST,
    InfoResponse: Kind.INFO_RESPONSE,
    OperationNotice: Kind.OPERATION_NOTICE,
    RiskProfile: Kind.RISK_PROFILE,
}
"""The kind of each body, in the order of the body union on the wire."""
