"""What only reads needs no node, and shows what others wrote without being steered by it."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import pytest

from almenara import clock
from unit.cli.member_site import alert, message

if TYPE_CHECKING:
    from unit.cli.member_site import MemberSite


@pytest.fixture
def full(site: MemberSite) -> MemberSite:
    """Return the folder with three messages received."""
    site.receive(message(reference="AR-1"), message(reference="AR-2", version=1))
    drugs = {"area": "DRUGS", "level": "LOW", "urgency": "ROUTINE", "goods": [{"hs": "0803"}], "origin": "EC"}
    site.receive(message(reference="CL-1", body=drugs), sender="CL", flags="AFTER_GAP CLOCK_AHEAD")
    return site


@pytest.mark.parametrize(
    ("options", "references"),
    [
        ([], ["CL-1", "AR-2", "AR-1"]),
        (["--limit", "1"], ["CL-1"]),
        (["--area", "TOBACCO"], ["AR-2", "AR-1"]),
        (["--area", "tobacco", "--area", "DRUGS"], ["CL-1", "AR-2", "AR-1"]),
        (["--level", "MEDIUM"], ["AR-2", "AR-1"]),
        (["--hs", "08"], ["CL-1"]),
        (["--origin", "ec"], ["CL-1"]),
        (["--from", "cl"], ["CL-1"]),
        (["--from", "AR", "--hs", "08"], []),
        (["--kind", "RISK_ALERT"], ["CL-1", "AR-2", "AR-1"]),
        (["--kind", "CONTROL_RESULT"], []),
        (["--audience", "region"], ["CL-1", "AR-2", "AR-1"]),
        (["--audience", "op-condor"], []),
    ],
    ids=" ".join,
)
def test_the_list_holds_what_the_filters_choose(
    full: MemberSite, options: list[str], references: list[str]
) -> None:
    shown = full.almenara("inbox", "list", "-o", "json", *options)
    assert shown.status == 0
    assert [item["message"]["reference"] for item in shown.json] == references


def test_a_list_is_the_same_in_every_format(full: MemberSite) -> None:
    lines = full.almenara("inbox", "list", "-o", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == full.almenara("inbox", "list", "-o", "json").json
    rows = list(csv.DictReader(io.StringIO(full.almenara("inbox", "list", "-o", "csv", "--lang", "pt").out)))
    assert [(row["reference"], row["from"], row["title"]) for row in rows] == [
        ("CL-1", "CL", "Cigarros"),
        ("AR-2", "AR", "Cigarros"),
        ("AR-1", "AR", "Cigarros"),
    ]
    assert rows[0]["flags"] == "AFTER_GAP, CLOCK_AHEAD"
    assert len(full.almenara("inbox", "list").out.splitlines()) == 4


def test_a_message_is_found_by_id_beginning_and_reference(full: MemberSite) -> None:
    listed = full.almenara("inbox", "list", "-o", "json").json
    identity = listed[1]["message"]["message_id"]
    for name in (identity, identity.upper(), identity.replace("-", ""), identity[:34], "AR-2"):
        shown = full.almenara("inbox", "show", name, "-o", "json")
        assert shown.json["message"]["reference"] == "AR-2", name
    page = full.almenara("inbox", "show", "AR-2", "--lang", "pt").out
    assert page.startswith("RISK ALERT  AR-2  version 1  TLP:GREEN\n")
    assert "    Cigarros\n" in page


def test_of_a_reference_the_newest_version_is_meant_and_of_two_members_none(full: MemberSite) -> None:
    full.receive(message(reference="AR-2", version=2))
    assert full.almenara("inbox", "show", "AR-2", "-o", "json").json["message"]["version"] == 2
    full.receive(message(reference="AR-2"), sender="CL")
    refused = full.almenara("inbox", "show", "AR-2")
    assert (refused.status, "2 are meant" in refused.fault) == (1, True)
    assert full.almenara("inbox", "show", "AR-2", "--from", "CL", "-o", "json").json["publisher"] == "CL"


def test_an_own_message_is_shown_and_waited_for_by_its_id(full: MemberSite) -> None:
    identity = full.publish()
    shown = full.almenara("inbox", "show", identity, "-o", "json").json
    assert (shown["position"], shown["publisher"]) == (0, "PE")
    sent = full.almenara("sent", "show", identity, "-o", "json")
    assert sent.status == 0
    assert {row["member"]: row["state"] for row in sent.json} == {"AR": "WAITING", "CL": "WAITING"}
    assert full.almenara("sent", "show", identity, "--wait", "50ms").status == 3


def test_an_own_message_is_found_by_its_reference_and_the_last_that_carries_it_counts(
    site: MemberSite,
) -> None:
    site.receive(message(reference="PE-7"))
    first = site.publish(alert(reference="PE-7"))
    second = site.publish(alert(reference="PE-7"))
    assert second != first
    assert site.almenara("sent", "show", "PE-7").status == 0
    shown = site.almenara("inbox", "show", "PE-7", "--from", "PE", "-o", "json").json
    assert shown["message"]["message_id"] == second
    assert "[CONFLICT]" in site.almenara("inbox", "show", "PE-7").fault


@pytest.mark.parametrize("name", ["ffffffff", "XX-1", "", "0", "\x1b[2J"])
def test_what_is_not_there_is_refused_by_name(full: MemberSite, name: str) -> None:
    shown = full.almenara("inbox", "show", name)
    assert shown.status == 1
    assert "[UNKNOWN_MESSAGE]" in shown.fault
    assert shown.fault.isprintable()


@pytest.mark.attacks
def test_hostile_texts_are_inert_in_every_view(site: MemberSite) -> None:
    hostile = "=HYPERLINK(1)\x1b[31m\u202e\x9b2J\nfrom           CL"
    site.receive(message(reference=hostile, texts=[{"lang": "es", "title": hostile, "narrative": hostile}]))
    for output in ("table", "csv", "json", "jsonl"):
        for command in (
            ["list"],
            [
                "show",
                "--from",
                "AR",
                site.almenara("inbox", "list", "-o", "json").json[0]["message"]["message_id"],
            ],
        ):
            shown = site.almenara("inbox", *command, "-o", output)
            assert shown.status == 0
            assert all(line.isprintable() for line in shown.out.splitlines()), (output, command)
    cells = next(csv.DictReader(io.StringIO(site.almenara("inbox", "list", "-o", "csv").out)))
    assert cells["title"].startswith("'=HYPERLINK")
    assert cells["reference"].startswith("'=HYPERLINK")


def test_streams_say_that_own_statements_wait_for_the_broker(full: MemberSite) -> None:
    rows = {row["publisher"]: row for row in full.almenara("streams", "-o", "json").json}
    assert set(rows) == {"PE", "AR", "CL"}
    assert (rows["PE"]["own"], rows["PE"]["head"], rows["PE"]["lag"]) == (True, 0, 1)
    assert (rows["AR"]["own"], rows["AR"]["state"], rows["AR"]["head"]) == (False, "EMPTY", -1)


def test_a_full_outbox_refuses_what_is_new_says_what_to_do_and_shows_what_waits(
    site: MemberSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMENARA_PUBLISHER_OUTBOX_MAX_BYTES", "1")
    file = site.folder / "more.json"
    file.write_text(json.dumps(alert()))
    shown = site.almenara("publish", file)
    assert shown.status == 3
    assert shown.fault.endswith("[OUTBOX_FULL]")
    assert "almenara doctor" in shown.fault
    (own,) = (row for row in site.almenara("streams", "-o", "json").json if row["own"])
    assert (own["state"], own["lag"]) == ("FULL", 1)
    assert own["unsent_bytes"] > 1000
    assert own["unsent_since"].startswith(f"{clock.now():%Y-}")
    monkeypatch.setenv("ALMENARA_PUBLISHER_OUTBOX_MAX_BYTES", "1000000")
    assert site.almenara("publish", file).status == 0


@pytest.mark.parametrize("output", ["json", "csv"])
def test_a_follower_has_no_format_that_ends(full: MemberSite, output: str) -> None:
    shown = full.almenara("inbox", "follow", "-o", output)
    assert (shown.status, "want table or jsonl" in shown.fault) == (2, True)
