"""Which check does each field of a message get? Rule 1 of DOMAIN.md as tables, one per part.

A table names fields and their checks in the order of the fields. An absent field ("" or 0) is not
checked; an element of a list is, so an empty element is a fault. Free text has no check.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from almenara.errors import Code, Fault
from almenara.model import checks, formats
from almenara.model.alert import Document, Equipment, Goods, Party, Person, RiskAlert
from almenara.model.bodies import (
    Condition,
    ControlResult,
    Decision,
    Excepted,
    Finding,
    InfoRequest,
    InfoResponse,
    OperationNotice,
    Receipt,
    Received,
    RiskAlertUpdate,
    RiskAlertWithdrawal,
    RiskProfile,
    SharedKey,
)
from almenara.model.checks import Flaw
from almenara.model.messages import Action, Attachment, Handling, Message, Text
from almenara.model.values import DIGEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from almenara.model.alert import Part

COUNT_MAX = 2**31 - 1
"""No count of packages or controls comes near; what does is a mistake, such as a date."""

LONG_MAX = 2**63 - 1
"""The most that an Avro long holds: sizes, epochs and sequence numbers."""


def _whole(least: int, most: int) -> Callable[[int], Flaw | None]:
    def check(value: int) -> Flaw | None:
        return None if least <= value <= most else Flaw(Code.RANGE, f"{value}: want {least} to {most}")

    return check


def _amount(value: float) -> Flaw | None:
    if value >= 0 and math.isfinite(value):
        return None
    return Flaw(Code.RANGE, f"{value}: want a finite number, not below 0")


def _share(value: float) -> Flaw | None:
    return None if 0 <= value <= 1 else Flaw(Code.RANGE, f"{value}: want 0 to 1")


def _weight(value: float) -> Flaw | None:
    return None if math.isfinite(value) else Flaw(Code.RANGE, f"{value}: want a finite number")


def _digest(value: bytes) -> Flaw | None:
    if len(value) == DIGEST_BYTES:
        return None
    return Flaw(Code.FORMAT, f"hash of {len(value)} bytes: want a SHA-256 hash of {DIGEST_BYTES}")


def _said(value: str) -> Flaw | None:
    return None if value.strip() else Flaw(Code.REQUIRED, "empty: say something or leave it out")


_count = _whole(0, COUNT_MAX)
_size = _whole(0, LONG_MAX)


_Where = tuple[Any, str, int]
"""The place of a part: that of the part around it, the field, and the index or -1. Made into text
only when there is a fault: paths would else take half the time of a check."""

_ALONE = -1


class Table(NamedTuple):
    """Say how the fields of one part are checked: single values, required text, lists, parts within."""

    single: tuple[tuple[str, Callable[[Any], Flaw | None]], ...] = ()
    required: tuple[str, ...] = ()
    each: tuple[tuple[str, Callable[[Any], Flaw | None]], ...] = ()
    parts: tuple[str, ...] = ()
    one_part: tuple[str, ...] = ()
    """Fields that hold one part, not a list of them."""


TABLES: dict[type[Part], Table] = {
    Message: Table(
        single=(("reference", formats.reference),),
        each=(("external_refs", _said), ("recipients", formats.member)),
        one_part=("handling",),
        parts=("actions", "texts", "attachments"),
    ),
    Handling: Table(each=(("purposes", formats.open_code),)),
    Action: Table(single=(("member", formats.member),)),
    Text: Table(required=("title",)),
    Attachment: Table(
        single=(("media_type", formats.media_type), ("sha256", _digest), ("size", _size)),
        required=("name", "media_type", "sha256"),
    ),
    RiskAlert: Table(
        single=(
            ("origin", checks.country),
            ("dispatch", checks.country),
            ("destination", checks.country),
            ("vessel_imo", checks.imo),
            ("vessel_mmsi", checks.mmsi),
            ("vessel_call_sign", formats.call_sign),
            ("vessel_flag", checks.country),
            ("flight_carrier", formats.carrier),
            ("flight_number", formats.flight_number),
            ("flight_date", formats.day),
            ("voyage", formats.voyage),
            ("plate", formats.plate),
            ("plate_country", checks.country),
        ),
        each=(
            ("modus_operandi", _said),
            ("indicators", _said),
            ("transit", checks.country),
            ("places", checks.place),
        ),
        parts=("goods", "equipment", "documents", "parties", "persons"),
    ),
    Goods: Table(
        single=(
            ("hs", checks.hs),
            ("hs_edition", formats.hs_edition),
            ("quantity", _amount),
            ("unit", formats.unit),
            ("packages", _count),
            ("package_type", formats.package_type),
            ("gross_mass_kg", _amount),
            ("value", _amount),
            ("currency", checks.currency),
            ("gtin", checks.gtin),
            ("cas_number", checks.cas),
        ),
    ),
    Equipment: Table(
        single=(
            ("container_no", checks.container),
            ("size_type", formats.size_type),
            ("seal_no", formats.seal),
        ),
    ),
    Document: Table(single=(("date", formats.day),), required=("number",)),
    Party: Table(single=(("role", formats.open_code), ("country", checks.country))),
    Person: Table(
        single=(
            ("birth_date", formats.birth_day),
            ("nationality", checks.nationality),
            ("document_type", formats.travel_document_type),
            ("document_number", formats.travel_document_number),
            ("document_country", checks.nationality),
            ("flight", formats.flight),
            ("pnr_locator", formats.pnr_locator),
            ("seat", formats.seat),
            ("role", formats.open_code),
        ),
    ),
    RiskAlertUpdate: Table(
        required=("change_reason",), each=(("changed_fields", _said),), one_part=("alert",)
    ),
    RiskAlertWithdrawal: Table(),
    Receipt: Table(parts=("received", "decisions", "keys")),
    Received: Table(
        single=(
            ("publisher", formats.member),
            ("epoch", _size),
            ("seq", _size),
            ("hash", _digest),
        ),
        required=("publisher", "hash"),
        parts=("excepted",),
    ),
    Excepted: Table(
        single=(("first_seq", _size), ("last_seq", _size), ("code", formats.open_code)),
        required=("code",),
    ),
    Decision: Table(
        single=(("publisher", formats.member), ("code", formats.open_code)), required=("publisher",)
    ),
    SharedKey: Table(
        single=(("epoch", _size), ("sender_key", _digest), ("key", _digest)),
        required=("sender_key", "key"),
    ),
    ControlResult: Table(
        single=(
            ("alert_publisher", formats.member),
            ("operation_id", formats.operation_id),
            ("controlled_count", _count),
            ("control_date", formats.day),
            ("alert_usefulness", _whole(1, 5)),
        ),
        each=(("control_types", formats.open_code),),
        parts=("findings",),
    ),
    Finding: Table(
        single=(
            ("hs", checks.hs),
            ("quantity", _amount),
            ("unit", formats.unit),
            ("value", _amount),
            ("currency", checks.currency),
        ),
    ),
    InfoRequest: Table(required=("legal_basis",), each=(("questions", _said),)),
    InfoResponse: Table(each=(("answers", _said),)),
    OperationNotice: Table(
        single=(
            ("operation_id", formats.operation_id),
            ("lead_member", formats.member),
            ("reporting_interval_days", _count),
        ),
        required=("operation_id", "name", "lead_member"),
        each=(("members", formats.member), ("hs_prefixes", checks.hs), ("modes", _said)),
    ),
    RiskProfile: Table(
        single=(
            ("score_threshold", _weight),
            ("expected_hit_rate", _share),
            ("review_date", formats.day),
        ),
        required=("profile_id",),
        parts=("conditions",),
    ),
    Condition: Table(
        single=(("field", formats.condition_field), ("weight", _weight)),
        required=("field",),
        each=(("values", _said),),
    ),
}


def field_faults(part: Part, path: str) -> list[Fault]:
    """Return the faults of the fields of this part and of all parts within it, by TABLES."""
    faults: list[Fault] = []
    _judge(part, (None, path, _ALONE), faults)
    return faults


def _judge(part: Part, where: _Where, faults: list[Fault]) -> None:
    table = TABLES[type(part)]
    for name in table.required:
        if not getattr(part, name):
            path = _text((where, name, _ALONE))
            faults.append(Fault(Code.REQUIRED, path, "empty: this field is required"))
    for name, check in table.single:
        value = getattr(part, name)
        if value and (flaw := check(value)) is not None:
            faults.append(Fault(flaw.code, _text((where, name, _ALONE)), flaw.text))
    for name, check in table.each:
        for index, value in enumerate(getattr(part, name)):
            if (flaw := check(value)) is not None:
                faults.append(Fault(flaw.code, _text((where, name, index)), flaw.text))
    for name in table.one_part:
        _judge(getattr(part, name), (where, name, _ALONE), faults)
    for name in table.parts:
        for index, within in enumerate(getattr(part, name)):
            _judge(within, (where, name, index), faults)


def _text(where: _Where) -> str:
    around, name, index = where
    text = name if around is None else f"{_text(around)}.{name}"
    return text if index == _ALONE else f"{text}[{index}]"
