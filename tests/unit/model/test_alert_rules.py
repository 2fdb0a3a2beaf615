"""Rules 1, 2, 3, 6 and 7 of DOMAIN.md, on alerts new and updated."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from almenara.errors import Code, MessageRefused
from almenara.model.alert import Document, Equipment, Goods, Party, Person, RiskAlert
from almenara.model.bodies import RiskAlertUpdate
from almenara.model.codes import (
    DocumentType,
    InformationGrade,
    Level,
    Mode,
    PartyIdType,
    Requested,
    SourceGrade,
    Tlp,
    Urgency,
)
from almenara.model.ids import REGION, AudienceId
from almenara.model.messages import Action, Message
from almenara.model.rules import check
from unit.model.drafts import ALERT, AR, LATER, NOW, UPDATE, changed, handled

PERSON = Person(family_name="Doe", given_names="Jane", document_number="X1234567")
PROTECTED = handled(
    replace(changed(ALERT, persons=(PERSON,)), recipients=(AR,)),
    personal_data=True,
    purposes=("RISK_ANALYSIS",),
    legal_basis="Article 7",
    retention_until=LATER,
)
CRITICAL = replace(
    changed(ALERT, level=Level.CRITICAL, urgency=Urgency.IMMEDIATE, source_grade=SourceGrade.B),
    actions=(Action(requested=Requested.HOLD),),
)
NOTHING: dict[str, Any] = {"goods": (), "origin": "", "mode": Mode.ABSENT, "equipment": ()}
BY_AIR = changed(ALERT, mode=Mode.AIR, equipment=())


def faults(message: Message, **given: Any) -> list[tuple[Code, str]]:  # noqa: ANN401 - what check takes
    with pytest.raises(MessageRefused) as refusal:
        check(message, now=NOW, **given)
    return [(fault.code, fault.path) for fault in refusal.value.faults]


def with_party(**fields: Any) -> Message:  # noqa: ANN401 - any field
    return changed(ALERT, parties=(Party(name="ACME", **fields),))


def with_document(kind: DocumentType, number: str) -> Message:
    return changed(BY_AIR, documents=(Document(type=kind, number=number),))


ACCEPTED: dict[str, Message] = {
    "goods alone": changed(ALERT, **{**NOTHING, "goods": (Goods(hs="0803"),)}),
    "route alone": changed(ALERT, **NOTHING | {"destination": "NL"}),
    "places alone": changed(ALERT, **NOTHING | {"places": ("PECLL",)}),
    "transport alone": changed(ALERT, **NOTHING | {"vessel_imo": "9074729"}),
    "party alone": changed(ALERT, **NOTHING | {"parties": (Party(name="ACME"),)}),
    "persons, protected": PROTECTED,
    "persons, strict": handled(PROTECTED, tlp=Tlp.AMBER_STRICT),
    "container by rail": changed(ALERT, mode=Mode.RAIL),
    "container by road": changed(ALERT, mode=Mode.ROAD),
    "container multimodal": changed(ALERT, mode=Mode.MULTIMODAL),
    "container on a river": changed(ALERT, mode=Mode.INLAND_WATER),
    "a seal without container by air": changed(BY_AIR, equipment=(Equipment(seal_no="AB1"),)),
    "a flight by air": changed(BY_AIR, flight_carrier="LA", flight_number="2474", flight_date="2026-11-25"),
    "an air waybill by air": with_document(DocumentType.AWB, "020-12345675"),
    "a house waybill by air": with_document(DocumentType.HAWB, "HB-1"),
    "a bill of lading by sea": changed(ALERT, documents=(Document(type=DocumentType.BL, number="MAEU1"),)),
    "CRITICAL": CRITICAL,
    "CRITICAL from an unknown source, confirmed": changed(
        CRITICAL, source_grade=SourceGrade.F, information_grade=InformationGrade.CONFIRMED
    ),
    "a real zero": changed(ALERT, goods=(Goods(hs="0803", quantity=0.0, unit="KGM"),)),
    "a tax number": with_party(country="PE", id_type=PartyIdType.TAX_ID, id="20512333797"),
    "an EORI number": with_party(id_type=PartyIdType.EORI, id="DE1234567890"),
    "an LEI": with_party(id_type=PartyIdType.LEI, id="213800KUD8LAJWSQ9D15"),
    "a DUNS number": with_party(id_type=PartyIdType.DUNS, id="150483782"),
    "an AEO number": with_party(id_type=PartyIdType.AEO, id="PE-OEA-0001"),
}


@pytest.mark.parametrize("message", ACCEPTED.values(), ids=ACCEPTED)
def test_a_sound_alert_is_accepted(message: Message) -> None:
    check(message, now=NOW, audience=REGION)


REFUSED: dict[str, tuple[Message, Code, str]] = {
    "nothing to look for": (changed(ALERT, **NOTHING), Code.NO_SELECTOR, "$.body"),
    "a document alone": (
        changed(ALERT, **NOTHING | {"documents": (Document(type=DocumentType.BL, number="MAEU1"),)}),
        Code.NO_SELECTOR,
        "$.body",
    ),
    "empty goods": (
        changed(ALERT, goods=(Goods(hs="0803"), Goods())),
        Code.REQUIRED,
        "$.body.goods[1]",
    ),
    "empty person": (changed(PROTECTED, persons=(Person(),)), Code.REQUIRED, "$.body.persons[0]"),
    "a quantity without unit": (
        changed(ALERT, goods=(Goods(hs="0803", quantity=2.0),)),
        Code.REQUIRED,
        "$.body.goods[0].unit",
    ),
    "a value without currency": (
        changed(ALERT, goods=(Goods(hs="0803", value=2.0),)),
        Code.REQUIRED,
        "$.body.goods[0].currency",
    ),
    "less than nothing": (
        changed(ALERT, goods=(Goods(hs="0803", quantity=-2.0, unit="KGM"),)),
        Code.RANGE,
        "$.body.goods[0].quantity",
    ),
    "no number": (
        changed(ALERT, goods=(Goods(hs="0803", gross_mass_kg=float("nan")),)),
        Code.RANGE,
        "$.body.goods[0].gross_mass_kg",
    ),
    "too many packages": (
        changed(ALERT, goods=(Goods(hs="0803", packages=20261124000000),)),
        Code.RANGE,
        "$.body.goods[0].packages",
    ),
    "a container's digit": (
        changed(ALERT, equipment=(Equipment(container_no="CSQU3054384"),)),
        Code.CHECK_DIGIT,
        "$.body.equipment[0].container_no",
    ),
    "an unknown country of transit": (
        changed(ALERT, transit=("CL", "QQ")),
        Code.UNKNOWN_CODE,
        "$.body.transit[1]",
    ),
    "an empty indicator": (changed(ALERT, indicators=(" ",)), Code.REQUIRED, "$.body.indicators[0]"),
    "an id without type": (with_party(id="1"), Code.REQUIRED, "$.body.parties[0].id_type"),
    "a type without id": (with_party(id_type=PartyIdType.LEI), Code.REQUIRED, "$.body.parties[0].id"),
    "a tax number without country": (
        with_party(id_type=PartyIdType.TAX_ID, id="20512333797"),
        Code.REQUIRED,
        "$.body.parties[0].country",
    ),
    "a tax number's digit": (
        with_party(country="PE", id_type=PartyIdType.TAX_ID, id="20512333798"),
        Code.CHECK_DIGIT,
        "$.body.parties[0].id",
    ),
    "an LEI's digits": (
        with_party(id_type=PartyIdType.LEI, id="213800KUD8LAJWSQ9D51"),
        Code.CHECK_DIGIT,
        "$.body.parties[0].id",
    ),
    "an air waybill's digit": (
        with_document(DocumentType.AWB, "020-12345676"),
        Code.CHECK_DIGIT,
        "$.body.documents[0].number",
    ),
    "a document's number": (
        with_document(DocumentType.INVOICE, "n° 1"),
        Code.FORMAT,
        "$.body.documents[0].number",
    ),
    "a document without number": (
        with_document(DocumentType.INVOICE, ""),
        Code.REQUIRED,
        "$.body.documents[0].number",
    ),
    "persons not flagged": (
        handled(PROTECTED, personal_data=False),
        Code.PERSONAL_DATA,
        "$.handling.personal_data",
    ),
    "persons for no purpose": (handled(PROTECTED, purposes=()), Code.PERSONAL_DATA, "$.handling.purposes"),
    "persons without legal basis": (
        handled(PROTECTED, legal_basis=""),
        Code.PERSONAL_DATA,
        "$.handling.legal_basis",
    ),
    "persons for ever": (
        handled(PROTECTED, retention_until=None),
        Code.PERSONAL_DATA,
        "$.handling.retention_until",
    ),
    "persons marked GREEN": (handled(PROTECTED, tlp=Tlp.GREEN), Code.PERSONAL_DATA, "$.handling.tlp"),
    "persons to the whole region": (replace(PROTECTED, recipients=()), Code.PERSONAL_DATA, "$.recipients"),
    "a container by air": (changed(ALERT, mode=Mode.AIR), Code.CONFLICT, "$.body.mode"),
    "a container by no mode": (changed(ALERT, mode=Mode.ABSENT), Code.REQUIRED, "$.body.mode"),
    "a flight by sea": (changed(ALERT, flight_carrier="LA"), Code.CONFLICT, "$.body.mode"),
    "a flight's date by sea": (changed(ALERT, flight_date="2026-11-24"), Code.CONFLICT, "$.body.mode"),
    "an air waybill by road": (
        changed(with_document(DocumentType.AWB, "020-12345675"), mode=Mode.ROAD),
        Code.CONFLICT,
        "$.body.mode",
    ),
    "an air waybill by no mode": (
        changed(with_document(DocumentType.AWB, "020-12345675"), mode=Mode.ABSENT),
        Code.REQUIRED,
        "$.body.mode",
    ),
    "CRITICAL without hurry": (
        changed(CRITICAL, urgency=Urgency.PRIORITY),
        Code.CONFLICT,
        "$.body.urgency",
    ),
    "CRITICAL without action": (replace(CRITICAL, actions=()), Code.REQUIRED, "$.actions"),
    "CRITICAL at F/6": (changed(CRITICAL, source_grade=SourceGrade.F), Code.CONFLICT, "$.body.level"),
}


@pytest.mark.parametrize(("message", "code", "path"), REFUSED.values(), ids=REFUSED)
def test_an_alert_that_breaks_a_rule_is_refused(message: Message, code: Code, path: str) -> None:
    assert faults(message, audience=REGION) == [(code, path)]


@pytest.mark.parametrize(("message", "code", "path"), REFUSED.values(), ids=REFUSED)
def test_an_update_is_held_to_the_same_rules(message: Message, code: Code, path: str) -> None:
    assert isinstance(message.body, RiskAlert)
    update = replace(
        message,
        version=2,
        supersedes=UPDATE.supersedes,
        message_id=UPDATE.message_id,
        body=RiskAlertUpdate(alert=message.body, change_reason="graded"),
    )
    assert faults(update, audience=REGION) == [(code, path.replace("$.body", "$.body.alert"))]


def test_persons_may_go_to_a_whole_operation() -> None:
    check(replace(PROTECTED, recipients=()), now=NOW, audience=AudienceId("op-condor"))


def test_without_an_audience_the_caller_judges_who_sees_persons() -> None:
    check(replace(PROTECTED, recipients=()), now=NOW)


def test_all_faults_come_together_in_the_order_of_the_rules() -> None:
    message = handled(
        changed(
            ALERT,
            level=Level.CRITICAL,
            mode=Mode.AIR,
            equipment=(Equipment(container_no="CSQU3054384"),),
            persons=(PERSON,),
        ),
        tlp=Tlp.RED,
        personal_data=True,
        purposes=("RISK_ANALYSIS",),
    )
    assert faults(message) == [
        (Code.CHECK_DIGIT, "$.body.equipment[0].container_no"),
        (Code.PERSONAL_DATA, "$.handling.legal_basis"),
        (Code.PERSONAL_DATA, "$.handling.retention_until"),
        (Code.RED_NEEDS_LIST, "$.recipients"),
        (Code.CONFLICT, "$.body.mode"),
        (Code.CONFLICT, "$.body.urgency"),
        (Code.REQUIRED, "$.actions"),
        (Code.CONFLICT, "$.body.level"),
    ]


def test_faults_about_persons_do_not_repeat_them() -> None:
    hidden = Person(family_name="Doe", document_number="secret-number", seat="secret-seat")
    with pytest.raises(MessageRefused) as refusal:
        check(changed(PROTECTED, persons=(hidden,)), now=NOW)
    assert "secret" not in str(refusal.value)
    assert len(refusal.value.faults) == 2
