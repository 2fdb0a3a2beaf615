"""What does a risk alert say?

Absent is None for times and ids, "" for text and codes, () for lists, 0 or 0.0 for numbers. A quantity
is present exactly when its unit is, a value exactly when its currency is: 0.0 KGM is a real zero.
Dates without a time (birth, flight, document) are text, YYYY-MM-DD.
"""

from __future__ import annotations

from msgspec import Struct

from almenara.model.codes import (
    Area,
    CitesAppendix,
    DocumentType,
    InformationGrade,
    Level,
    Mode,
    PartyIdType,
    Sex,
    SourceGrade,
    Urgency,
)


class Part(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Be a part of a message: a value that refuses unknown fields and leaves absent ones out of JSON.

    Each part says frozen and kw_only itself: msgspec applies kw_only to a class's own fields alone, and
    mypy wants to see frozen.
    """


class Goods(Part, frozen=True, kw_only=True):
    """Describe one line of goods; `claimed_description` is what the declaration says it is."""

    hs: str = ""
    hs_edition: str = ""
    description: str = ""
    claimed_description: str = ""
    quantity: float = 0.0
    unit: str = ""
    packages: int = 0
    package_type: str = ""
    gross_mass_kg: float = 0.0
    value: float = 0.0
    currency: str = ""
    gtin: str = ""
    brand: str = ""
    scientific_name: str = ""
    cites_appendix: CitesAppendix = CitesAppendix.ABSENT
    cas_number: str = ""


class Equipment(Part, frozen=True, kw_only=True):
    """Name one container or other transport equipment and its seal."""

    container_no: str = ""
    size_type: str = ""
    seal_no: str = ""


class Document(Part, frozen=True, kw_only=True):
    """Name one transport or trade document."""

    type: DocumentType
    number: str
    date: str = ""
    issuer: str = ""


class Party(Part, frozen=True, kw_only=True):
    """Name one party to the trade; `role` is an open code (CONSIGNEE, DECLARANT)."""

    role: str = ""
    name: str = ""
    country: str = ""
    id_type: PartyIdType = PartyIdType.ABSENT
    id: str = ""


class Person(Part, frozen=True, kw_only=True):
    """Name one natural person and the travel document and journey; personal data, see rule 3."""

    family_name: str = ""
    given_names: str = ""
    birth_date: str = ""
    sex: Sex = Sex.ABSENT
    nationality: str = ""
    document_type: str = ""
    document_number: str = ""
    document_country: str = ""
    flight: str = ""
    pnr_locator: str = ""
    seat: str = ""
    role: str = ""


class RiskAlert(Part, frozen=True, kw_only=True, tag_field="kind", tag="RISK_ALERT"):
    """Warn of a consignment, route, trader, conveyance, passenger or trend at risk.

    Route countries are ISO 3166-1 alpha-2; `places` are UN/LOCODEs (PECLL) or IATA airports (LIM).
    """

    area: Area
    category: str = ""
    level: Level
    urgency: Urgency
    source_grade: SourceGrade = SourceGrade.F
    information_grade: InformationGrade = InformationGrade.NOT_JUDGED
    modus_operandi: tuple[str, ...] = ()
    indicators: tuple[str, ...] = ()
    goods: tuple[Goods, ...] = ()
    origin: str = ""
    dispatch: str = ""
    transit: tuple[str, ...] = ()
    destination: str = ""
    places: tuple[str, ...] = ()
    mode: Mode = Mode.ABSENT
    vessel_name: str = ""
    vessel_imo: str = ""
    vessel_mmsi: str = ""
    vessel_call_sign: str = ""
    vessel_flag: str = ""
    flight_carrier: str = ""
    flight_number: str = ""
    flight_date: str = ""
    voyage: str = ""
    plate: str = ""
    plate_country: str = ""
    equipment: tuple[Equipment, ...] = ()
    documents: tuple[Document, ...] = ()
    parties: tuple[Party, ...] = ()
    persons: tuple[Person, ...] = ()
