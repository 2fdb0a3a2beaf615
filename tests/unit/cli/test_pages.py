"""A page shows everything a message says, in the wanted language, and nothing that could deceive."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from almenara.cli.pages import chosen_texts, message_page, title
from almenara.model.json import parse_message
from strategies import messages

if TYPE_CHECKING:
    from almenara.model.messages import Message

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)

ALERT: dict[str, Any] = {
    "kind": "RISK_ALERT",
    "reference": "PE-2026-000123",
    "version": 2,
    "status": "EXERCISE",
    "expires_at": "2027-01-31T00:00:00Z",
    "office": "Callao",
    "role": "PORT_UNIT",
    "handling": {"tlp": "AMBER_STRICT", "purposes": ["RISK_ANALYSIS"], "originator_control": True},
    "actions": [{"member": "PA", "requested": "HOLD", "control_point": "TRANSIT"}],
    "texts": [
        {"lang": "es", "title": "Cigarrillos", "narrative": "Uno.\nDos."},
        {"lang": "pt", "title": "Cigarros", "written_by": "MACHINE"},
    ],
    "body": {
        "area": "TOBACCO",
        "level": "HIGH",
        "urgency": "PRIORITY",
        "goods": [{"hs": "240220", "quantity": 9800000, "unit": "C62"}],
        "origin": "PY",
        "transit": ["BO"],
        "destination": "PE",
        "places": ["PECLL"],
        "mode": "1",
        "vessel_name": "AURORA",
        "equipment": [{"container_no": "CSQU3054383", "seal_no": "S1"}],
        "parties": [{"role": "CONSIGNEE", "name": "Acme", "country": "PE"}],
    },
}


def message(**changes: Any) -> Message:  # noqa: ANN401 - any field
    return parse_message(json.dumps({**ALERT, **changes}), now=NOW)


def test_a_page_says_all_that_an_officer_needs() -> None:
    page = message_page(message(), [("from", "PE"), ("flags", "")], lang="es")
    assert page[0] == "RISK ALERT  PE-2026-000123  version 2  TLP:AMBER+STRICT  *** EXERCISE ***"
    lines = {line[:15].strip(): line[15:] for line in page[2:] if line[:1].strip() and not line.endswith(":")}
    assert lines.pop("id")
    assert lines == {
        "from": "PE",
        "office": "Callao PORT_UNIT",
        "issued": "2026-11-24 09:30Z",
        "expires": "2027-01-31 00:00Z",
        "handling": "RISK_ANALYSIS; originator control",
        "requested": "HOLD at TRANSIT by PA",
        "risk": "TOBACCO: HIGH, PRIORITY",
        "grading": "source F, information 6",
        "route": "PY (origin) > BO (transit) > PE (destination); PECLL",
        "transport": "sea; vessel name AURORA",
        "goods": "hs 240220; quantity 9800000; unit C62",
        "equipment": "container no CSQU3054383; seal no S1",
        "parties": "role CONSIGNEE; name Acme; country PE",
    }
    assert page[-5:] == ["text in es; also in pt:", "    Cigarrillos", "", "    Uno.", "    Dos."]


@pytest.mark.parametrize(
    ("lang", "shown", "line"),
    [
        ("", "Cigarrillos", "text in es; also in pt:"),
        ("es", "Cigarrillos", "text in es; also in pt:"),
        ("pt", "Cigarros", "text in pt, translated by machine; also in es:"),
        ("fr", "Cigarrillos", "text in es, there is none in fr; also in pt:"),
    ],
)
def test_the_text_is_in_the_wanted_language_if_there_is_one(lang: str, shown: str, line: str) -> None:
    assert title(message(), lang) == shown
    assert line in message_page(message(), [], lang=lang)


def test_a_message_without_texts_has_a_page_too() -> None:
    assert title(message(texts=[]), "es") == ""
    assert list(chosen_texts(message(texts=[]), "es")) == []
    assert "text" not in " ".join(message_page(message(texts=[]), []))


@pytest.mark.attacks
def test_a_text_cannot_pass_for_a_field_nor_steer_the_terminal() -> None:
    hostile = "x\nfrom           AR\r\x1b[2J\u202e\x9b31m\u2028from           AR"
    page = message_page(
        message(texts=[{"lang": "es", "title": hostile, "narrative": hostile}], office=hostile),
        [("from", "PE")],
    )
    assert all(line.isprintable() for line in page)
    assert [line for line in page if line.startswith("from ")] == ["from           PE"]


@given(st.data())
def test_every_kind_of_message_has_a_page_of_printable_lines(data: st.DataObject) -> None:
    page = message_page(data.draw(messages()), [], lang="fr")
    assert all(line.isprintable() for line in page)
    assert page[0].split("  ")[0].replace(" ", "_") in {
        "RISK_ALERT",
        "RISK_ALERT_UPDATE",
        "RISK_ALERT_WITHDRAWAL",
        "RECEIPT",
        "CONTROL_RESULT",
        "INFO_REQUEST",
        "INFO_RESPONSE",
        "OPERATION_NOTICE",
        "RISK_PROFILE",
    }
