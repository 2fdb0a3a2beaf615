"""The commands that a person uses when something is wrong: epoch, member approve, quarantine, doctor."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from almenara import clock
from almenara.cli import checks
from almenara.cli.checks import Verdict
from almenara.clock import to_micros
from almenara.model.ids import AudienceId, MemberId
from almenara.node.settings import load_settings
from almenara.store import directory as directory_row
from almenara.store import quarantine
from almenara.store.lease import folder_lease
from almenara.store.quarantine import Evidence, Refusal
from almenara.trust.continuity import Continuity, KeptBack, TrustedDirectory

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from unit.cli.member_site import MemberSite

AR = MemberId("AR")


def test_after_epoch_open_the_next_statement_begins_an_epoch(site: MemberSite) -> None:
    before = own_epoch(site)
    shown = site.almenara("epoch", "open")
    assert shown.status == 0
    assert "PE: 1 stream to open a new epoch" in shown.out
    assert own_epoch(site) == before
    site.publish()
    assert own_epoch(site) > before


def test_epoch_open_refuses_while_a_node_runs(site: MemberSite) -> None:
    with folder_lease(site.state / "node.lock"):
        shown = site.almenara("epoch", "open")
    assert shown.status == 3
    assert "[STORE_LOCKED]" in shown.fault


def own_epoch(site: MemberSite) -> int:
    return int(next(r["epoch"] for r in site.almenara("streams", "-o", "json").json if r["own"]))


def keep_back(site: MemberSite) -> None:
    """Put AR's enrolment among those that wait, as after a change that it has not vouched for."""

    def work(connection: Connection) -> None:
        trusted = TrustedDirectory.from_bytes(directory_row.load(connection) or b"")
        enrolment = trusted.accepted.pop(AR)
        change = KeptBack(
            member=AR, change=Continuity.KEY_RESET, enrolment=enrolment.digest, since=clock.now()
        )
        waiting = TrustedDirectory(targets=trusted.targets, accepted=trusted.accepted, kept_back=(change,))
        directory_row.save(
            connection, version=trusted.targets.version, verified_at=1, targets=waiting.to_bytes()
        )

    site.write(work)


def test_what_is_kept_back_is_listed_and_approved_by_name(site: MemberSite) -> None:
    keep_back(site)
    (row,) = site.almenara("member", "pending", "-o", "json").json
    assert (row["member"], row["change"], row["approved"]) == ("AR", "KEY_RESET", False)
    assert len(row["signing_key"][0]) == 64
    assert row["effective_at"] > row["since"]
    assert site.almenara("member", "approve", "AR").status == 0
    (row,) = site.almenara("member", "pending", "-o", "json").json
    assert (row["approved"], row["effective_at"]) == (True, row["since"])


@pytest.mark.parametrize(
    ("member", "status", "code"),
    [("CL", 1, "UNKNOWN_MEMBER"), ("cl", 1, "FORMAT")],
    ids=["nothing kept back", "no member id"],
)
def test_only_what_is_kept_back_can_be_approved(
    site: MemberSite, member: str, status: int, code: str
) -> None:
    keep_back(site)
    shown = site.almenara("member", "approve", member)
    assert (shown.status, f"[{code}]" in shown.fault) == (status, True)


def test_refused_records_and_evidence_are_listed_and_their_texts_inert(site: MemberSite) -> None:
    region = AudienceId("region")
    now = to_micros(clock.now())

    def work(connection: Connection) -> None:
        refusal = Refusal(
            audience=region,
            publisher=AR,
            offset=7,
            proven=False,
            code="BAD_SIGNATURE",
            detail="record on region/AR: \x1b[2J\u202e",
            kept_at=now,
            record=b"forged",
        )
        quarantine.keep(connection, [refusal])
        contradiction = Evidence(
            kind="EQUIVOCATION",
            audience=region,
            publisher=AR,
            epoch=1,
            seq=4,
            hash=b"a" * 32,
            known_hash=b"b" * 32,
            kept_at=now,
            record=b"signed",
        )
        quarantine.keep_evidence(connection, [contradiction])

    site.write(work)
    (row,) = site.almenara("quarantine", "list", "-o", "json").json
    assert (row["code"], row["proven"], row["bytes"]) == ("BAD_SIGNATURE", False, 6)
    table = site.almenara("quarantine", "list").out
    assert all(line.isprintable() for line in table.splitlines())
    (row,) = site.almenara("quarantine", "evidence", "-o", "json").json
    assert (row["kind"], row["seq"], row["hash"]) == ("EQUIVOCATION", 4, (b"a" * 32).hex())


def verdicts(site: MemberSite) -> tuple[int, dict[str, tuple[str, str]]]:
    shown = site.almenara("doctor", "-o", "json")
    rows = {row["check"]: (row["verdict"], row["seen"]) for row in shown.json}
    assert all(row["do"] for row in shown.json if row["verdict"] != "ok")
    return shown.status, rows


def test_doctor_finds_all_well_but_the_broker_that_is_away(site: MemberSite) -> None:
    status, rows = verdicts(site)
    assert status == 3
    assert {check for check, (verdict, _) in rows.items() if verdict == "fail"} == {"broker"}
    assert {check for check, (verdict, _) in rows.items() if verdict == "warn"} == {"node", "round trip"}
    assert {"certificate", "keys", "keys enrolled", "store", "disk", "directory", "membership"} <= set(rows)
    assert {f"directory {role}" for role in ("root", "targets", "snapshot", "timestamp")} <= set(rows)
    assert "heartbeat interval 30 s" in rows["intervals"][1]


def test_doctor_on_a_machine_that_stands_by_says_for_whom(site: MemberSite) -> None:
    speaks = "stands by: store postgresql://pe@db/pe: almenara first 4711 runs this member's node"
    lock = site.state / "node.lock"
    lock.write_text(f"{os.getpid()} {speaks}\n")
    assert verdicts(site)[1]["node"] == ("ok", f"process {os.getpid()} {speaks}")
    lock.write_text(f"{2**22} {speaks}\n")  # a process that cannot be: it has died
    assert verdicts(site)[1]["node"] == ("warn", "does not run")


def test_doctor_names_what_is_missing_with_the_exit_status_of_the_worst(site: MemberSite) -> None:
    (site.config.parent / "keys" / "sealing.json").unlink()
    status, rows = verdicts(site)
    assert (status, rows["keys"][0], rows["broker"][0]) == (2, "fail", "warn")
    shutil.rmtree(site.state)
    status, rows = verdicts(site)
    assert (status, rows["store"][0], rows["directory"][0]) == (3, "fail", "fail")


@pytest.mark.parametrize(
    ("days", "directory", "certificate", "timestamp"),
    [
        (0, Verdict.OK, Verdict.OK, Verdict.OK),
        (0.8, Verdict.OK, Verdict.OK, Verdict.WARN),
        (2, Verdict.WARN, Verdict.OK, Verdict.WARN),
        (5, Verdict.FAIL, Verdict.OK, Verdict.WARN),
        (80, Verdict.FAIL, Verdict.WARN, Verdict.WARN),
        (100, Verdict.FAIL, Verdict.FAIL, Verdict.WARN),
    ],
    ids=["now", "not signed for hours", "in grace", "grace over", "certificate due", "certificate expired"],
)
def test_doctor_sees_time_pass(
    site: MemberSite, days: float, directory: Verdict, certificate: Verdict, timestamp: Verdict
) -> None:
    settings = load_settings(site.config, environ={})
    later = clock.now() + timedelta(days=days)
    trusted = checks.trusted_directory(settings)
    found = {each.check: each for each in checks.directory(settings, trusted, None, later)}
    assert found["directory"].verdict is directory
    assert found["directory timestamp"].verdict is timestamp
    assert checks.certificate(settings, later).verdict is certificate


def test_doctor_warns_of_keys_kept_back(site: MemberSite) -> None:
    keep_back(site)
    _, rows = verdicts(site)
    assert rows["member AR"][0] == "warn"


def test_doctor_sees_keys_that_the_directory_does_not_have(site: MemberSite) -> None:
    other = site.folder / "other"
    site.almenara("member", "init", "--id", "PE", "--state", other)
    shutil.copy(other / "keys" / "signing.json", site.config.parent / "keys" / "signing.json")
    _, rows = verdicts(site)
    assert rows["keys enrolled"][0] == "fail"
