"""An exported record is verified by the command alone, and one changed byte is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from unit.cli.member_site import alert

if TYPE_CHECKING:
    from pathlib import Path

    from unit.cli.member_site import MemberSite


@pytest.fixture
def exported(site: MemberSite) -> Path:
    """Return the disclosed record of an own message."""
    identity = site.publish(alert(reference="PE-2026-000777"))
    target = site.folder / "r.bin"
    shown = site.almenara("inbox", "export", identity, "--output", target, "--disclose")
    assert shown.status == 0, shown.err
    assert f"almenara verify {target} --root-fingerprint " in shown.out
    return target


def fingerprint(site: MemberSite) -> str:
    rows = site.almenara("federation", "show", "--state", site.folder / "D", "-o", "json").json
    return str(next(row["value"] for row in rows if row["field"] == "root fingerprint"))


def test_the_report_names_author_place_and_messages(site: MemberSite, exported: Path) -> None:
    shown = site.almenara("verify", exported, "--root-fingerprint", fingerprint(site), "-o", "json")
    assert shown.status == 0
    report = shown.json
    assert (report["verified"], report["author"], report["author_name"]) == (True, "PE", "Peru")
    assert (report["audience"], report["seq"], report["time"]) == ("region", 1, "UNPROVEN")
    ((message, faults),) = ((each["message"], each["faults"]) for each in report["messages"])
    assert (message["reference"], faults) == ("PE-2026-000777", [])


def test_the_page_says_that_the_time_is_unproven(site: MemberSite, exported: Path) -> None:
    grouped = " ".join(fingerprint(site)[at : at + 4] for at in range(0, 64, 4)).upper()
    shown = site.almenara("verify", exported, "--root-fingerprint", grouped, "--lang", "pt")
    assert shown.status == 0
    assert "signed by PE, Peru" in shown.out
    assert "TIME UNPROVEN" in shown.out
    assert "    Cigarros" in shown.out
    assert all(line.isprintable() for line in shown.out.splitlines())


def test_without_the_key_the_content_stays_sealed(site: MemberSite) -> None:
    target = site.folder / "sealed.bin"
    site.almenara("inbox", "export", site.publish(), "--output", target)
    shown = site.almenara("verify", target, "--root-fingerprint", fingerprint(site), "-o", "json")
    assert (shown.json["author"], shown.json["messages"]) == ("PE", None)
    assert b'"k_s": null' in target.read_bytes()
    assert "sealed" in site.almenara("verify", target, "--root-fingerprint", fingerprint(site)).out


def test_one_changed_byte_anywhere_is_refused(site: MemberSite, exported: Path) -> None:
    whole, root = exported.read_bytes(), fingerprint(site)
    for at in range(0, len(whole), len(whole) // 40):
        exported.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        shown = site.almenara("verify", exported, "--root-fingerprint", root)
        assert (shown.status, shown.out) == (1, ""), at
        assert shown.fault.endswith("]")


def test_a_record_opened_by_another_key_or_moved_is_refused_by_code(site: MemberSite, exported: Path) -> None:
    fields = json.loads(exported.read_bytes())
    for change, code in (
        ({"publisher": "AR"}, "MALFORMED"),
        ({"k_s": "A" * 43 + "="}, "MALFORMED"),
        ({"extra": 1}, "MALFORMED"),
    ):
        exported.write_text(json.dumps({**fields, **change}))
        shown = site.almenara("verify", exported, "--root-fingerprint", fingerprint(site))
        assert shown.status == 1
        assert f"[{code}]" in shown.fault


def test_another_root_is_refused(site: MemberSite, exported: Path) -> None:
    shown = site.almenara("verify", exported, "--root-fingerprint", "0" * 64)
    assert shown.status == 1
    assert "[DIRECTORY_INVALID]" in shown.fault


@pytest.mark.parametrize(
    ("file", "root", "named"),
    [
        ("nowhere.bin", "0" * 64, "nowhere.bin"),
        ("r.bin", "0" * 63, "--root-fingerprint"),
        ("r.bin", "zz" * 32, "--root-fingerprint"),
    ],
    ids=["no file", "short fingerprint", "no fingerprint"],
)
def test_a_command_that_cannot_be_meant_is_a_fault_of_configuration(
    site: MemberSite, file: str, root: str, named: str
) -> None:
    shown = site.almenara("verify", site.folder / file, "--root-fingerprint", root)
    assert shown.status == 2
    assert named in shown.fault


def test_an_export_into_a_folder_that_is_not_there_names_it(site: MemberSite) -> None:
    shown = site.almenara("inbox", "export", site.publish(), "--output", site.folder / "no" / "r.bin")
    assert shown.status == 2
    assert "r.bin" in shown.fault
