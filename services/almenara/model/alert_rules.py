"""What must hold within a risk alert, new or as an update? Rules 1 (where fields meet), 2, 3, 6, 7."""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.errors import Code, Fault
from almenara.model import checks, formats
from almenara.model.alert import Equipment, Goods, Party, Person
from almenara.model.codes import (
    DocumentType,
    InformationGrade,
    Level,
    Mode,
    PartyIdType,
    SourceGrade,
    Tlp,
    Urgency,
)
from almenara.model.ids import REGION
from almenara.model.taxids import tax_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from almenara.model.bodies import Finding
    from almenara.model.checks import Check, Flaw
    from almenara.model.subject import Subject

_SELECTORS = (
    *("goods", "equipment", "parties", "persons"),
    *("origin", "dispatch", "transit", "destination", "places"),
    *("mode", "vessel_name", "vessel_imo", "vessel_mmsi", "vessel_call_sign", "vessel_flag"),
    *("flight_carrier", "flight_number", "flight_date", "voyage", "plate", "plate_country"),
)


def alert_names_a_selector(subject: Subject) -> Iterator[Fault]:
    """Rule 2: without goods, route, transport, equipment, party or person nobody can act on it."""
    alert = subject.alert
    if alert is None or any(getattr(alert, name) for name in _SELECTORS):
        return
    yield Fault(
        Code.NO_SELECTOR,
        subject.alert_path,
        "names nothing to look for; give goods, route, transport, equipment, party or person",
    )


_EMPTY = {"goods": Goods(), "equipment": Equipment(), "parties": Party(), "persons": Person()}


def parts_are_not_empty(subject: Subject) -> Iterator[Fault]:
    """Rule 2: an empty part selects nothing."""
    alert = subject.alert
    if alert is None:
        return
    for name, empty in _EMPTY.items():
        for index, part in enumerate(getattr(alert, name)):
            if part == empty:
                yield Fault(Code.REQUIRED, f"{subject.alert_path}.{name}[{index}]", "empty: leave it out")


def amount_faults(part: Goods | Finding, path: str) -> Iterator[Fault]:
    """Yield where a number stands without its unit or currency, which alone say that it is there."""
    if part.quantity and not part.unit:
        yield Fault(Code.REQUIRED, f"{path}.unit", f"empty, but quantity is {part.quantity}: give the unit")
    if part.value and not part.currency:
        yield Fault(Code.REQUIRED, f"{path}.currency", f"empty, but value is {part.value}: give the currency")


def goods_have_units(subject: Subject) -> Iterator[Fault]:
    """Rule 1: quantities have units, values currencies, packages types."""
    if subject.alert is None:
        return
    for index, goods in enumerate(subject.alert.goods):
        yield from amount_faults(goods, f"{subject.alert_path}.goods[{index}]")


_PARTY_IDS: dict[PartyIdType, Check] = {
    PartyIdType.EORI: checks.eori,
    PartyIdType.LEI: checks.lei,
    PartyIdType.DUNS: formats.duns,
    PartyIdType.AEO: formats.aeo,
}


def _party_id_flaw(party: Party) -> Flaw | None:
    if party.id_type == PartyIdType.TAX_ID:
        return tax_id(party.country, party.id)
    return _PARTY_IDS[party.id_type](party.id)


def parties_have_sound_ids(subject: Subject) -> Iterator[Fault]:
    """Rule 1: a party's id has a type, a tax number a country, and its check digits are right."""
    if subject.alert is None:
        return
    for index, party in enumerate(subject.alert.parties):
        path = f"{subject.alert_path}.parties[{index}]"
        if not party.id and not party.id_type:
            continue
        if not party.id:
            yield Fault(Code.REQUIRED, f"{path}.id", f"empty, but id_type is {party.id_type}: give the id")
        elif not party.id_type:
            yield Fault(Code.REQUIRED, f"{path}.id_type", "empty, but id is given: say which sort it is")
        elif party.id_type == PartyIdType.TAX_ID and not party.country:
            yield Fault(Code.REQUIRED, f"{path}.country", "empty, but id is a TAX_ID: give its country")
        elif (flaw := _party_id_flaw(party)) is not None:
            yield Fault(flaw.code, f"{path}.id", flaw.text)


def documents_have_sound_numbers(subject: Subject) -> Iterator[Fault]:
    """Rule 1: an air waybill has a check digit; other numbers a length and an alphabet."""
    if subject.alert is None:
        return
    for index, document in enumerate(subject.alert.documents):
        if not document.number:
            continue
        check = checks.awb if document.type == DocumentType.AWB else formats.document_number
        if (flaw := check(document.number)) is not None:
            yield Fault(flaw.code, f"{subject.alert_path}.documents[{index}].number", flaw.text)


_TLP_FOR_PERSONS = (Tlp.RED, Tlp.AMBER_STRICT, Tlp.AMBER)


def persons_are_protected(subject: Subject) -> Iterator[Fault]:
    """Rule 3: names go only where need-to-know allows, with a purpose, a basis and an end."""
    if subject.alert is None or not subject.alert.persons:
        return
    handling = subject.message.handling
    path = "$.handling"
    if not handling.personal_data:
        yield Fault(Code.PERSONAL_DATA, f"{path}.personal_data", "false, but persons are named: want true")
    if not handling.purposes:
        yield Fault(Code.PERSONAL_DATA, f"{path}.purposes", "empty: persons need at least one purpose")
    if not handling.legal_basis:
        yield Fault(Code.PERSONAL_DATA, f"{path}.legal_basis", "empty: persons need a legal basis")
    if handling.retention_until is None:
        yield Fault(Code.PERSONAL_DATA, f"{path}.retention_until", "absent: persons need an end of retention")
    if handling.tlp not in _TLP_FOR_PERSONS:
        yield Fault(
            Code.PERSONAL_DATA, f"{path}.tlp", f"{handling.tlp}: persons need RED, AMBER_STRICT or AMBER"
        )
    if subject.audience == REGION and not subject.message.recipients:
        yield Fault(
            Code.PERSONAL_DATA,
            "$.recipients",
            "empty: persons never go to the whole region; list the members that need them",
        )


_CONTAINER_MODES = (Mode.MARITIME, Mode.RAIL, Mode.ROAD, Mode.MULTIMODAL, Mode.INLAND_WATER)
_AIR_DOCUMENTS = (DocumentType.AWB, DocumentType.HAWB)


def mode_carries_what_is_named(subject: Subject) -> Iterator[Fault]:
    """Rule 6: a container needs mode 1, 2, 3, 6 or 8; an air waybill or a flight needs mode 4."""
    alert = subject.alert
    if alert is None:
        return
    mode = f"is {alert.mode}" if alert.mode else "is absent"
    path = f"{subject.alert_path}.mode"
    code = Code.CONFLICT if alert.mode else Code.REQUIRED
    if alert.mode not in _CONTAINER_MODES and any(item.container_no for item in alert.equipment):
        yield Fault(code, path, f"{mode}, but a container is named: want 1, 2, 3, 6 or 8")
    if alert.mode == Mode.AIR:
        return
    if alert.flight_carrier or alert.flight_number or alert.flight_date:
        yield Fault(code, path, f"{mode}, but a flight is named: want 4")
    if any(document.type in _AIR_DOCUMENTS for document in alert.documents):
        yield Fault(code, path, f"{mode}, but an air waybill is named: want 4")


def critical_is_immediate_and_graded(subject: Subject) -> Iterator[Fault]:
    """Rule 7: CRITICAL needs IMMEDIATE and a requested action, and is never graded F/6."""
    alert = subject.alert
    if alert is None or alert.level != Level.CRITICAL:
        return
    path = subject.alert_path
    if alert.urgency != Urgency.IMMEDIATE:
        yield Fault(Code.CONFLICT, f"{path}.urgency", f"{alert.urgency}: CRITICAL needs IMMEDIATE")
    if not subject.message.actions:
        yield Fault(Code.REQUIRED, "$.actions", "empty: CRITICAL needs a requested action")
    if alert.source_grade == SourceGrade.F and alert.information_grade == InformationGrade.NOT_JUDGED:
        yield Fault(
            Code.CONFLICT, f"{path}.level", "CRITICAL with grade F/6: grade the source or the information"
        )
