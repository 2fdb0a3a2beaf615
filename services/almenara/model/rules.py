"""May this message be published, and may it be taken in? The rules of DOMAIN.md, all of them at once.

`check` judges one message by itself. What needs more is judged where that is known: `check_answer` by
a control result and its alert; the issuer of an update or withdrawal by its identity (publisher,
message_id), which cannot name another's message; closed operations by the directory; TEST and EXERCISE
by the sinks.

Messages must be well shaped: made by parse_message, by the codec or by `shaped` (json.py).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from almenara.errors import Code, Fault, MessageRefused
from almenara.model import alert_rules, body_rules
from almenara.model.bodies import ControlResult, OperationNotice
from almenara.model.codes import Kind, Tlp
from almenara.model.fields import COUNT_MAX, field_faults
from almenara.model.formats import date_of
from almenara.model.subject import subject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from almenara.model.ids import AudienceId
    from almenara.model.messages import Message
    from almenara.model.subject import Rule, Subject

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far issued_at may lie ahead of the publisher's clock (DESIGN 5)."""

_UUID_VERSION = 7
_EXPIRING = frozenset({Kind.RISK_ALERT, Kind.RISK_ALERT_UPDATE, Kind.RISK_PROFILE, Kind.OPERATION_NOTICE})


def fields_hold_known_codes(subject: Subject) -> Iterator[Fault]:
    """Rule 1: check digits, code lists, lengths and alphabets, field by field (fields.py)."""
    yield from field_faults(subject.message, "$")
    yield from field_faults(subject.message.body, "$.body")


def hs_codes_are_in_force(subject: Subject) -> Iterator[Fault]:
    """Rule 1: where a nomenclature is configured, HS codes stand in it."""
    if not subject.nomenclature:
        return
    body = subject.message.body
    coded: list[tuple[str, str]] = []
    if subject.alert is not None:
        goods = enumerate(subject.alert.goods)
        coded += [(f"{subject.alert_path}.goods[{i}].hs", item.hs) for i, item in goods]
    elif isinstance(body, ControlResult):
        coded += [(f"$.body.findings[{i}].hs", finding.hs) for i, finding in enumerate(body.findings)]
    elif isinstance(body, OperationNotice):
        coded += [(f"$.body.hs_prefixes[{i}]", prefix) for i, prefix in enumerate(body.hs_prefixes)]
    for path, code in coded:
        if code and code not in subject.nomenclature:
            yield Fault(Code.UNKNOWN_CODE, path, f"{code}: not in the configured nomenclature")


def identity_is_sound(subject: Subject) -> Iterator[Fault]:
    """Rule 1: the id is a UUIDv7; rule 9: a version after the first names the one that it replaces."""
    message = subject.message
    if message.message_id.version != _UUID_VERSION:
        yield Fault(Code.FORMAT, "$.message_id", f"{message.message_id}: want a UUID version 7")
    first = message.version == 1
    if not 1 <= message.version <= COUNT_MAX:
        yield Fault(Code.RANGE, "$.version", f"{message.version}: want 1 to {COUNT_MAX}")
    elif message.kind is Kind.RISK_ALERT and not first:
        yield Fault(
            Code.CONFLICT, "$.version", f"{message.version}: a new alert has 1; publish a RISK_ALERT_UPDATE"
        )
    elif message.kind is Kind.RISK_ALERT_UPDATE and first:
        yield Fault(Code.CONFLICT, "$.version", "1: an update has the alert's version and one more")
    if first and message.supersedes is not None and message.kind is not Kind.RISK_ALERT_UPDATE:
        yield Fault(Code.CONFLICT, "$.supersedes", "given, but version is 1: leave it out")
    if message.supersedes is None and (not first or message.kind is Kind.RISK_ALERT_UPDATE):
        yield Fault(Code.REQUIRED, "$.supersedes", "absent: name the message that this version replaces")
    if message.supersedes == message.message_id:
        yield Fault(Code.CONFLICT, "$.supersedes", "is this message itself: want the version before")


def times_are_in_order(subject: Subject) -> Iterator[Fault]:
    """Rule 4: valid_from < expires_at <= retention_until, all after the issue."""
    message = subject.message
    begins = message.issued_at if message.valid_from is None else message.valid_from
    expires, retention = message.expires_at, message.handling.retention_until
    if expires is None and message.kind in _EXPIRING:
        yield Fault(Code.REQUIRED, "$.expires_at", f"absent: {message.kind} needs an end")
    if expires is not None and expires <= begins:
        start = "issued_at" if message.valid_from is None else "valid_from"
        yield Fault(Code.CONFLICT, "$.expires_at", f"not after {start}: want a later end")
    if retention is not None and retention < (expires or message.issued_at):
        end = "issued_at" if expires is None else "expires_at"
        yield Fault(Code.CONFLICT, "$.handling.retention_until", f"before {end}: want it at or after that")
    for index, action in enumerate(message.actions):
        if action.feedback_due is not None and action.feedback_due <= message.issued_at:
            yield Fault(
                Code.CONFLICT, f"$.actions[{index}].feedback_due", "not after issued_at: leave time to act"
            )


def issue_is_not_ahead(subject: Subject) -> Iterator[Fault]:
    """Rule 4: issued_at is not ahead of the publisher's clock by more than the tolerance."""
    if subject.message.issued_at - subject.now > CLOCK_TOLERANCE:
        minutes = CLOCK_TOLERANCE // timedelta(minutes=1)
        yield Fault(
            Code.RANGE, "$.issued_at", f"over {minutes} minutes ahead: set the clock right, or leave it out"
        )


def recipients_are_sound(subject: Subject) -> Iterator[Fault]:
    """Rule 5: RED needs a list; nobody is listed twice, and actions are asked of those listed."""
    message = subject.message
    recipients = message.recipients
    if not recipients:
        if message.handling.tlp == Tlp.RED:
            yield Fault(
                Code.RED_NEEDS_LIST, "$.recipients", "empty: RED goes to listed members alone, list them"
            )
        return
    listed = set(recipients)
    if len(listed) != len(recipients):
        twice = sorted(member for member in listed if recipients.count(member) > 1)
        yield Fault(Code.CONFLICT, "$.recipients", f"lists {', '.join(twice)} twice: name each member once")
    for index, action in enumerate(message.actions):
        if action.member and action.member not in listed:
            yield Fault(
                Code.CONFLICT,
                f"$.actions[{index}].member",
                f"{action.member}: not a recipient, list it or leave the action out",
            )


RULES: tuple[Rule, ...] = (
    # 1: check digits, code lists, and fields that need each other
    fields_hold_known_codes,
    hs_codes_are_in_force,
    alert_rules.goods_have_units,
    alert_rules.parties_have_sound_ids,
    alert_rules.documents_have_sound_numbers,
    body_rules.receipt_says_something,
    body_rules.result_holds_together,
    body_rules.request_can_be_answered,
    body_rules.response_answers_or_refuses,
    body_rules.operation_runs_forward,
    body_rules.profile_can_be_run,
    # 2: an alert names what to look for
    alert_rules.alert_names_a_selector,
    alert_rules.parts_are_not_empty,
    # 3: persons
    alert_rules.persons_are_protected,
    # 4: times
    times_are_in_order,
    issue_is_not_ahead,
    # 5: RED and the list
    recipients_are_sound,
    # 6: mode of transport
    alert_rules.mode_carries_what_is_named,
    # 7: CRITICAL
    alert_rules.critical_is_immediate_and_graded,
    # 8: seizures and control dates
    body_rules.seizure_has_quantities,
    body_rules.control_date_is_past,
    # 9: versions and withdrawals
    identity_is_sound,
    body_rules.withdrawal_names_another_message,
)


def check(
    message: Message,
    *,
    now: datetime,
    audience: AudienceId | None = None,
    nomenclature: AbstractSet[str] = frozenset(),
) -> None:
    """Raise MessageRefused with all the faults of the message by the rules above.

    `now` is the publisher's clock; a reader passes issued_at, since it flags an issue ahead of its own
    clock and never refuses it (DESIGN 5). `audience` is where the message goes: without it, rule 3's
    part about the whole region is left to the caller. `nomenclature` holds all HS codes in force, where
    one is configured.
    """
    judged = subject(message, now=now, audience=audience, nomenclature=nomenclature)
    faults = [fault for rule in RULES for fault in rule(judged)]
    if faults:
        raise MessageRefused(faults)


def check_answer(result: Message, *, alert: Message) -> None:
    """Raise MessageRefused if a control result was made before the alert that it answers (rule 8)."""
    if not isinstance(result.body, ControlResult):
        return
    controlled = date_of(result.body.control_date)
    if controlled is not None and body_rules.days_before(controlled, alert.issued_at) > 0:
        text = f"{controlled}: before the alert was issued, want {alert.issued_at.date()} or later"
        raise MessageRefused([Fault(Code.RANGE, "$.body.control_date", text)])
