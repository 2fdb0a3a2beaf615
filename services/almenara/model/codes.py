"""Which closed lists of codes may a message use?

Closed lists come from DOMAIN.md; a value outside them is a fault of shape. Long lists kept by other
bodies (countries, currencies, HS, units, ports) are text in the message and are checked by rules.py.
Where DOMAIN.md names no list (party roles, purposes, control types) the field is an open code: text
in capitals, digits and underscores.

A list whose field may be left out has ABSENT, the empty text, which is also what stands on the wire.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Say which document a message is; derived from its body."""

    RISK_ALERT = "RISK_ALERT"
    RISK_ALERT_UPDATE = "RISK_ALERT_UPDATE"
    RISK_ALERT_WITHDRAWAL = "RISK_ALERT_WITHDRAWAL"
    RECEIPT = "RECEIPT"
    CONTROL_RESULT = "CONTROL_RESULT"
    INFO_REQUEST = "INFO_REQUEST"
    INFO_RESPONSE = "INFO_RESPONSE"
    OPERATION_NOTICE = "OPERATION_NOTICE"
    RISK_PROFILE = "RISK_PROFILE"


BARRED_WHEN_CLOSED = frozenset({Kind.RISK_ALERT, Kind.RISK_PROFILE})
"""Kinds a closed or not yet open audience does not take (DOMAIN rule 9); all others go on."""


class Status(StrEnum):
    """Say whether a message is meant; TEST and EXERCISE never reach a production sink."""

    ACTUAL = "ACTUAL"
    EXERCISE = "EXERCISE"
    TEST = "TEST"


class OfficeRole(StrEnum):
    """Say which sort of office wrote the message."""

    ABSENT = ""
    RILO = "RILO"
    NATIONAL_CENTRE = "NATIONAL_CENTRE"
    PORT_UNIT = "PORT_UNIT"
    OCU = "OCU"


class Tlp(StrEnum):
    """Mark how far a reader may pass a message on (FIRST Traffic Light Protocol 2.0), strictest first."""

    RED = "RED"
    AMBER_STRICT = "AMBER_STRICT"
    AMBER = "AMBER"
    GREEN = "GREEN"
    CLEAR = "CLEAR"


class Requested(StrEnum):
    """Name what the sender asks a reader to do."""

    INFORM = "INFORM"
    MONITOR = "MONITOR"
    DOCUMENT_CHECK = "DOCUMENT_CHECK"
    NII_SCAN = "NII_SCAN"
    PHYSICAL_EXAM = "PHYSICAL_EXAM"
    SAMPLE = "SAMPLE"
    HOLD = "HOLD"
    DO_NOT_LOAD = "DO_NOT_LOAD"
    PASSENGER_EXAM = "PASSENGER_EXAM"
    CONTACT_BEFORE_ACTION = "CONTACT_BEFORE_ACTION"


class ControlPoint(StrEnum):
    """Name where on the journey a requested action applies."""

    ABSENT = ""
    DEPARTURE = "DEPARTURE"
    TRANSIT = "TRANSIT"
    ARRIVAL = "ARRIVAL"
    POST_CLEARANCE = "POST_CLEARANCE"


class Language(StrEnum):
    """Name one of the four languages of the region (ISO 639-1)."""

    ES = "es"
    EN = "en"
    FR = "fr"
    PT = "pt"


class WrittenBy(StrEnum):
    """Say whether a person or a translating machine wrote a text."""

    HUMAN = "HUMAN"
    MACHINE = "MACHINE"


class Area(StrEnum):
    """Name the area of risk."""

    DRUGS = "DRUGS"
    TOBACCO = "TOBACCO"
    EXCISE = "EXCISE"
    IPR = "IPR"
    HEALTH_SAFETY = "HEALTH_SAFETY"
    ENVIRONMENT_CITES = "ENVIRONMENT_CITES"
    WASTE = "WASTE"
    WEAPONS = "WEAPONS"
    STRATEGIC = "STRATEGIC"
    CURRENCY = "CURRENCY"
    REVENUE = "REVENUE"
    CULTURAL = "CULTURAL"
    PASSENGER = "PASSENGER"
    OTHER = "OTHER"


class Level(StrEnum):
    """Grade the risk; separate from the grading of source and information."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


class Urgency(StrEnum):
    """Say how soon readers are to act."""

    ROUTINE = "ROUTINE"
    PRIORITY = "PRIORITY"
    IMMEDIATE = "IMMEDIATE"


class SourceGrade(StrEnum):
    """Grade the source: A completely reliable, F cannot be judged."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"


class InformationGrade(StrEnum):
    """Grade the information: 1 confirmed, 6 cannot be judged."""

    CONFIRMED = "1"
    PROBABLE = "2"
    POSSIBLE = "3"
    DOUBTFUL = "4"
    IMPROBABLE = "5"
    NOT_JUDGED = "6"


class Mode(StrEnum):
    """Name the mode of transport, UN/CEFACT Recommendation 19."""

    ABSENT = ""
    UNSPECIFIED = "0"
    MARITIME = "1"
    RAIL = "2"
    ROAD = "3"
    AIR = "4"
    MAIL = "5"
    MULTIMODAL = "6"
    FIXED_INSTALLATION = "7"
    INLAND_WATER = "8"
    NOT_APPLICABLE = "9"


class CitesAppendix(StrEnum):
    """Name the CITES appendix that lists a species."""

    ABSENT = ""
    I = "I"  # noqa: E741 - the appendix is called I
    II = "II"
    III = "III"


class DocumentType(StrEnum):
    """Name the sort of a transport or trade document."""

    BL = "BL"
    AWB = "AWB"
    HAWB = "HAWB"
    CMR = "CMR"
    TIR = "TIR"
    INVOICE = "INVOICE"
    DECLARATION = "DECLARATION"
    CITES_PERMIT = "CITES_PERMIT"


class PartyIdType(StrEnum):
    """Name the scheme of a party's identifier."""

    ABSENT = ""
    TAX_ID = "TAX_ID"
    EORI = "EORI"
    LEI = "LEI"
    DUNS = "DUNS"
    AEO = "AEO"


class Sex(StrEnum):
    """Give the sex as a travel document shows it (ICAO 9303; X is unspecified)."""

    ABSENT = ""
    F = "F"
    M = "M"
    X = "X"


class WithdrawalReason(StrEnum):
    """Say why an alert is withdrawn."""

    ERROR = "ERROR"
    RESOLVED = "RESOLVED"
    SOURCE_DISCREDITED = "SOURCE_DISCREDITED"
    LEGAL = "LEGAL"
    DUPLICATE_OF = "DUPLICATE_OF"


class Effect(StrEnum):
    """Say what a withdrawal asks of its readers."""

    STOP_CONTROLS = "STOP_CONTROLS"
    STOP_AND_PURGE = "STOP_AND_PURGE"


class DecisionState(StrEnum):
    """Say what a reader did with one message."""

    ACCEPTED = "ACCEPTED"
    IN_FORCE = "IN_FORCE"
    REJECTED = "REJECTED"
    DELETED = "DELETED"


class Outcome(StrEnum):
    """Say how a control ended."""

    CONFORM = "CONFORM"
    IRREGULAR = "IRREGULAR"
    SEIZED = "SEIZED"
    DETAINED = "DETAINED"
    REFUSED_ENTRY = "REFUSED_ENTRY"
    NOT_FOUND = "NOT_FOUND"
    NOT_CONTROLLED = "NOT_CONTROLLED"


class Recommendation(StrEnum):
    """Say what the controlling office would do with the profile behind the alert."""

    ABSENT = ""
    KEEP = "KEEP"
    AMEND = "AMEND"
    WITHDRAW = "WITHDRAW"


class Completeness(StrEnum):
    """Say how much of a request an answer covers."""

    COMPLETE = "COMPLETE"
    PARTIAL = "PARTIAL"
    REFUSED = "REFUSED"


class Phase(StrEnum):
    """Name the phase of a joint operation."""

    PLANNED = "PLANNED"
    OPEN = "OPEN"
    SUSPENDED = "SUSPENDED"
    CLOSED = "CLOSED"


class Comparison(StrEnum):
    """Name how a profile's condition compares a declared field with its values."""

    EQUALS = "EQUALS"
    NOT_EQUALS = "NOT_EQUALS"
    IN = "IN"
    NOT_IN = "NOT_IN"
    STARTS_WITH = "STARTS_WITH"
    CONTAINS = "CONTAINS"
    LESS = "LESS"
    MORE = "MORE"
    BETWEEN = "BETWEEN"
    PRESENT = "PRESENT"
    ABSENT = "ABSENT"


class Combination(StrEnum):
    """Say how the conditions of a profile combine; SCORE adds the weights of those that hold."""

    ALL = "ALL"
    ANY = "ANY"
    SCORE = "SCORE"
