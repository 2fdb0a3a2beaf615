"""A member's access is taken away and given back by edits of its file that keep all it said itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from cryptography.x509 import load_pem_x509_certificate

from almenara.bus.turned_away import turn_away, turned_away
from almenara.coordinator.federation import Federation
from almenara.coordinator.membership import MemberChange
from almenara.coordinator.sync import wanted
from almenara.errors import Code, Misconfigured, Refused
from almenara.model.ids import REGION, AudienceId, MemberId
from almenara.trust.directory import AudienceKind, MemberStatus
from enrolments import enrol

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.trust.directory import Directory

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
PE, AR = MemberId("PE"), MemberId("AR")
TRIO = AudienceId("trio")


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    """Return a federation of PE and AR, who share an audience beside the region."""
    made = Federation.init(tmp_path / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000")
    made.admit_all([enrol(tmp_path, member, now=NOW) for member in (PE, AR)], now=NOW)
    made.create_audience(
        TRIO, kind=AudienceKind.SUB_REGION, members=frozenset({PE, AR}), title="Both", now=NOW
    )
    return made


def directory(federation: Federation) -> Directory:
    return federation.published(NOW).directory


def principals(federation: Federation) -> set[str]:
    return {rule.principal for rule in wanted(directory(federation), replication=1, now=NOW).acls}


@pytest.mark.parametrize(
    ("change", "status"),
    [(MemberChange.SUSPEND, MemberStatus.SUSPENDED), (MemberChange.LEAVE, MemberStatus.LEFT)],
)
def test_who_is_out_is_in_no_audience_has_no_rule_and_may_not_connect(
    federation: Federation, change: MemberChange, status: MemberStatus
) -> None:
    entry = federation.change_member(PE, change, now=NOW, reason="seal lost")
    found = directory(federation)
    assert (entry.status, entry.reason) == (status, "seal lost") == (found.members[PE].status, "seal lost")
    assert [found.audience(audience).members for audience in (REGION, TRIO)] == [{AR}, {AR}]
    assert principals(federation) == {"User:AR.1"}
    assert wanted(found, replication=1, now=NOW).turned_away == {"PE.1"}
    # What it signed can still be proven: its file stays.
    assert found.members[PE].signing_keys


@pytest.mark.parametrize("change", [MemberChange.SUSPEND, MemberChange.LEAVE])
def test_who_is_reinstated_has_all_that_it_had(federation: Federation, change: MemberChange) -> None:
    before = wanted(directory(federation), replication=1, now=NOW)
    federation.change_member(PE, change, now=NOW, reason="a mistake")
    entry = federation.change_member(PE, MemberChange.REINSTATE, now=NOW)
    assert (entry.status, entry.reason, entry.generation) == (MemberStatus.ACTIVE, "", 1)
    assert wanted(directory(federation), replication=1, now=NOW) == before


def test_a_revoked_certificate_loses_its_rules_and_the_member_keeps_its_place(
    federation: Federation,
) -> None:
    enrolment = directory(federation).members[PE].enrolment
    entry = federation.change_member(PE, MemberChange.REVOKE_CERTIFICATE, now=NOW)
    assert (entry.status, entry.generation, entry.enrolment) == (MemberStatus.ACTIVE, 2, enrolment)
    assert principals(federation) == {"User:AR.1", "User:PE.2"}
    assert wanted(directory(federation), replication=1, now=NOW).turned_away == {"PE.1"}
    federation.change_member(PE, MemberChange.SUSPEND, now=NOW)
    assert wanted(directory(federation), replication=1, now=NOW).turned_away == {"PE.1", "PE.2"}


def test_after_a_revocation_the_same_enrolment_gets_a_certificate_of_the_next_generation(
    federation: Federation, tmp_path: Path
) -> None:
    enrolment = enrol(tmp_path, "CL", now=NOW)
    federation.admit(enrolment, now=NOW)
    federation.change_member(MemberId("CL"), MemberChange.REVOKE_CERTIFICATE, now=NOW)
    admission = federation.admit(enrolment, now=NOW)
    subject = load_pem_x509_certificate(admission.certificate.encode()).subject
    assert subject.rfc4514_string() == "CN=CL.2,O=ams"


@pytest.mark.parametrize(
    ("member", "changes", "reason", "code"),
    [
        ("UY", [MemberChange.SUSPEND], "", Code.UNKNOWN_MEMBER),
        ("PE", [MemberChange.REINSTATE], "", Code.CONFLICT),
        ("PE", [MemberChange.SUSPEND, MemberChange.SUSPEND], "", Code.CONFLICT),
        ("PE", [MemberChange.SUSPEND], "x" * 201, Code.FORMAT),
        ("PE", [MemberChange.SUSPEND], "\x1b[2J", Code.FORMAT),
    ],
    ids=["never admitted", "active already", "suspended already", "a long reason", "an escape"],
)
def test_what_cannot_be_changed_is_refused_and_nothing_is_published(
    federation: Federation, member: str, changes: list[MemberChange], reason: str, code: Code
) -> None:
    for change in changes[:-1]:
        federation.change_member(MemberId(member), change, now=NOW)
    version = directory(federation).version
    with pytest.raises(Refused) as refusal:
        federation.change_member(MemberId(member), changes[-1], now=NOW, reason=reason)
    assert refusal.value.code is code
    assert directory(federation).version == version


def test_who_may_not_connect_stands_in_a_file_that_is_written_once(tmp_path: Path) -> None:
    assert turned_away(tmp_path) == frozenset()
    turn_away(tmp_path, {"PE.1", "AR.2"})
    assert turned_away(tmp_path) == {"PE.1", "AR.2"}
    (file,) = tmp_path.iterdir()
    before = file.stat().st_ino
    turn_away(tmp_path, {"AR.2", "PE.1"})
    assert file.stat().st_ino == before
    file.write_text("{")
    with pytest.raises(Misconfigured, match="turned-away"):
        turned_away(tmp_path)
