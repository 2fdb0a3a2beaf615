"""A member's access is taken away and given back by edits of its file that keep all it said itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from cryptography.x509 import load_pem_x509_certificate

from almenara.bus.turned_away import turn_away, turned_away
from almenara.coordinator.federation import Federation
from almenara.coordinator.membership import MemberChange
from almenara.coordinator.sync import wanted
from almenara.errors import Code, Misconfigured, Refused
from almenara.model.ids import REGION, AudienceId, MemberId
from almenara.node.member_folder import init_member, write_renewal
from almenara.node.rotation import rotate
from almenara.node.settings import load_settings
from almenara.trust.certificates import create_tls_request
from almenara.trust.directory import AudienceKind, MemberStatus
from almenara.trust.keys import create_signing_key
from almenara.trust.renewal import CLOCK_TOLERANCE, make_renewal
from enrolments import enrol

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.node.settings import MemberSettings
    from almenara.trust.admission import Admission
    from almenara.trust.directory import Directory

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
HOUR, MINUTE, TICK = timedelta(hours=1), timedelta(minutes=1), timedelta(microseconds=1)
PE, AR, CL = MemberId("PE"), MemberId("AR"), MemberId("CL")
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


def revoked(federation: Federation, folder: Path, *, at: datetime) -> MemberSettings:
    """Return the folder of CL, admitted at NOW and with its certificates revoked since."""
    init_member(folder / "CL", member="CL", federation="ams", name="Chile", now=NOW)
    federation.admit((folder / "CL" / "enrolment.json").read_bytes(), now=NOW)
    federation.change_member(CL, MemberChange.REVOKE_CERTIFICATE, now=at)
    return load_settings(folder / "CL", environ={})


def renewal(settings: MemberSettings, *, at: datetime) -> bytes:
    return write_renewal(settings, new_key=True, now=at).read_bytes()


def subject(admission: Admission) -> str:
    return load_pem_x509_certificate(admission.certificate.encode()).subject.rfc4514_string()


def test_what_was_asked_up_to_a_revocation_gets_no_certificate(
    federation: Federation, tmp_path: Path
) -> None:
    member = revoked(federation, tmp_path, at=NOW + HOUR)
    first = member.enrolment_path.read_bytes()
    rotate(member, signing=True, sealing=False, now=NOW + HOUR)
    second = member.enrolment_path.read_bytes()
    version = directory(federation).version
    asked = [renewal(member, at=NOW + HOUR - ago) for ago in (timedelta(), TICK, HOUR)]
    for attempt in (
        *(partial(federation.admit, enrolment, now=NOW + 2 * HOUR) for enrolment in (first, second)),
        partial(federation.admit, first, now=NOW + 2 * HOUR, key_reset=True),
        *(partial(federation.renew_member, each, now=NOW + 2 * HOUR) for each in asked),
    ):
        with pytest.raises(Refused, match="was not made after the revocation of its cert") as refusal:
            attempt()
        assert refusal.value.code is Code.CERTIFICATE_REVOKED
    assert directory(federation).version == version


def test_what_is_asked_after_a_revocation_gets_a_certificate_of_the_next_generation(
    federation: Federation, tmp_path: Path
) -> None:
    member = revoked(federation, tmp_path, at=NOW + HOUR)
    asked = renewal(member, at=NOW + HOUR + TICK)
    assert subject(federation.renew_member(asked, now=NOW + 2 * HOUR)) == "CN=CL.2,O=ams"
    rotate(member, signing=True, sealing=False, now=NOW + 2 * HOUR)
    for _ in range(2):  # the same enrolment again gets the next, as ever
        admission = federation.admit(member.enrolment_path.read_bytes(), now=NOW + 2 * HOUR)
        assert subject(admission) == "CN=CL.2,O=ams"


def test_who_was_suspended_after_a_revocation_comes_back_with_what_it_asks_since(
    federation: Federation, tmp_path: Path
) -> None:
    member = revoked(federation, tmp_path, at=NOW + HOUR)
    before = renewal(member, at=NOW)
    federation.change_member(CL, MemberChange.SUSPEND, now=NOW + 2 * HOUR)
    federation.change_member(CL, MemberChange.REINSTATE, now=NOW + 3 * HOUR)
    with pytest.raises(Refused, match="not made after"):
        federation.renew_member(before, now=NOW + 4 * HOUR)
    asked = renewal(member, at=NOW + 4 * HOUR)
    assert subject(federation.renew_member(asked, now=NOW + 4 * HOUR)) == "CN=CL.2,O=ams"


def test_a_time_ahead_of_now_does_not_prove_that_it_was_asked_after_a_revocation(
    federation: Federation, tmp_path: Path
) -> None:
    member = revoked(federation, tmp_path, at=NOW + HOUR)
    rotate(member, signing=True, sealing=False, now=NOW + 2 * HOUR)
    enrolment = member.enrolment_path.read_bytes()
    with pytest.raises(Refused, match="dated ahead of now") as refusal:
        federation.admit(enrolment, now=NOW + 2 * HOUR - CLOCK_TOLERANCE - TICK)
    assert refusal.value.code is Code.CERTIFICATE_REVOKED
    assert subject(federation.admit(enrolment, now=NOW + 2 * HOUR - CLOCK_TOLERANCE)) == "CN=CL.2,O=ams"


@pytest.mark.parametrize("ahead", [timedelta(), HOUR])
def test_what_was_asked_before_a_key_reset_gets_no_certificate(
    federation: Federation, tmp_path: Path, ahead: timedelta
) -> None:
    path = tmp_path / "signing.json"
    key = create_signing_key(path, passphrase=None)
    federation.admit(enrol(tmp_path, "CL", now=NOW + 2 * HOUR, signing=path), now=NOW)
    asked, later = (
        make_renewal(
            federation="ams",
            member=CL,
            tls_request=create_tls_request(CL, tmp_path / f"{at:%H%M}.key"),
            signing_keys=[key],
            now=at,
        )
        for at in (NOW - MINUTE, NOW + MINUTE)
    )
    # Of the same signing key and yet a reset: it is not newer than the one that it takes the place of.
    reset = enrol(tmp_path, "CL", now=NOW + ahead, signing=path)
    assert subject(federation.admit(reset, now=NOW, key_reset=True)) == "CN=CL.2,O=ams"
    with pytest.raises(Refused, match="not made after") as refusal:
        federation.renew_member(asked, now=NOW)
    assert refusal.value.code is Code.CERTIFICATE_REVOKED
    # Nobody waits until a clock that was ahead has come to pass.
    assert subject(federation.renew_member(later, now=NOW + MINUTE)) == "CN=CL.2,O=ams"
    assert subject(federation.admit(reset, now=NOW + ahead, key_reset=True)) == "CN=CL.2,O=ams"


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
