"""Rows of a file, read by `almenara import`, stand in the inboxes of those they name, once."""

from __future__ import annotations

import asyncio
import csv
import json
from typing import TYPE_CHECKING, Any

import pytest

from almenara.cli.app import run
from almenara.cli.import_ import import_
from almenara.client import connect
from almenara.model.bodies import ControlResult
from almenara.model.codes import Kind
from patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.node.answers import Item
    from almenara.node.settings import MemberSettings
    from node_site import NodeSite

pytestmark = pytest.mark.integration

COLUMNS = (
    *("reference", "category", "type", "subject", "date", "notifying_country", "classification"),
    *("risk_decision", "distribution", "forAttention", "forFollowUp", "operator", "origin", "hazards"),
)


def row(number: int, **cells: str) -> dict[str, str]:
    """Return a notification made up for this test."""
    return {
        "reference": f"2025.{number:04}",
        "category": "herbs and spices",
        "type": "food",
        "subject": f"Invented notification {number}",
        "date": f"2025-03-{number % 28 + 1:02} 10:00:00",
        "notifying_country": "Italy",
        "classification": "alert notification",
        "risk_decision": "serious",
        **cells,
    }


ROWS = [
    *(row(n, distribution="Spain,Germany", forFollowUp="Spain") for n in range(40)),
    *(row(n, forAttention="INFOSAN", origin="Peru") for n in range(40, 60)),
    *(row(n, forAttention="France", classification="border rejection notification") for n in range(60, 80)),
    row(80, notifying_country="Spain", distribution="Italy"),
    row(81, distribution="Narnia"),
    row(0, distribution="Spain,Germany", forFollowUp="Spain"),
    row(1, distribution="France"),
]


def import_rows(
    settings: MemberSettings, file: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, Any]]:
    rejects = file.with_name("rejects.csv")
    arguments = [str(file), "--mapping", "rasff", "--rejects", str(rejects), "-o", "json"]
    capsys.readouterr()
    status = run(import_, [*arguments, "--config", str(settings.file)])
    shown = capsys.readouterr()
    assert status == 0, shown.err
    [counts] = json.loads(shown.out)
    return status, counts


async def inbox(settings: MemberSettings, wanted: int) -> list[Item]:
    """Return what a member holds of Italy once that is so much, or what it got within the time."""
    items: list[Item] = []
    async with connect(settings) as bus:
        try:
            async with asyncio.timeout(PATIENCE_S):
                async for item in bus.subscribe(sender="IT"):
                    items.append(item)
                    if len(items) == wanted:
                        break
        except TimeoutError:
            pass
    return items


def test_rows_reach_those_they_name_once(
    site: NodeSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.csv"
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS)
        writer.writeheader()
        writer.writerows(ROWS)
    italy = site["IT"]
    _, first = import_rows(italy, file, capsys)
    assert first == {
        "rows": 84,
        "published": 100,
        "already_there": 0,
        "duplicates": 1,
        "rejected": 2,
        "not_ours": 1,
        "outside": 40,
    }
    with (tmp_path / "rejects.csv").open(newline="") as lines:
        kept = [(each["row"], each["field"]) for each in csv.DictReader(lines)]
    assert kept == [("83", "distribution, forAttention, forFollowUp"), ("85", "reference")]
    _, second = import_rows(italy, file, capsys)
    assert second == {**first, "published": 0, "already_there": 100}

    spain = asyncio.run(inbox(site["ES"], 60))
    references = sorted(item.message.external_refs[0] for item in spain)
    assert references == [f"2025.{n:04}" for n in range(60)]
    france = asyncio.run(inbox(site["FR"], 60))
    alerts = {i.message.message_id: i.message for i in france if i.message.kind is Kind.RISK_ALERT}
    assert sorted(alert.external_refs[0] for alert in alerts.values()) == [
        f"2025.{n:04}" for n in range(40, 80)
    ]
    results = [i.message.body for i in france if isinstance(i.message.body, ControlResult)]
    assert len(results) == 20
    assert {result.alert_id for result in results} <= set(alerts)
