"""A renewed certificate takes its place with its key, whole, whenever the node was killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from almenara.coordinator.federation import Federation
from almenara.errors import Misconfigured
from almenara.node.identity import install_admission
from almenara.node.member_folder import init_member, write_renewal
from almenara.node.rotation import rotate
from almenara.node.settings import MemberSettings, load_settings
from almenara.trust.certificates import client_context, load_certificate, load_tls_key
from almenara.trust.renewal import read_renewal

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.trust.admission import Admission

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(hours=6)


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return Federation.init(tmp_path / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000")


@pytest.fixture
def member(federation: Federation, tmp_path: Path) -> MemberSettings:
    """Return the folder of PE with its first admission installed."""
    init_member(tmp_path / "PE", member="PE", federation="ams", name="Peru", now=NOW)
    settings = load_settings(tmp_path / "PE", environ={})
    install_admission(settings, federation.admit(settings.enrolment_path.read_bytes(), now=NOW))
    return settings


def renewed(federation: Federation, member: MemberSettings) -> Admission:
    request = write_renewal(member, new_key=True, now=LATER).read_bytes()
    return federation.renew_member(request, now=LATER)


def require_pair(member: MemberSettings, admission: Admission) -> None:
    """Return if the installed certificate is the admission's and works with the installed key."""
    assert member.certificate_path.read_text() == admission.certificate
    client_context(certificate=member.certificate_path, key=member.tls_key_path, ca=member.ca_path)


def test_a_new_key_takes_its_place_with_its_certificate(
    federation: Federation, member: MemberSettings
) -> None:
    before = member.tls_key_path.read_bytes()
    admission = renewed(federation, member)
    assert member.tls_key_path.read_bytes() == before, "the key in use stays until the certificate is here"
    install_admission(member, admission)
    require_pair(member, admission)
    assert member.tls_key_path.read_bytes() != before
    assert not member.next_tls_key_path.exists()
    assert member.tls_key_path.stat().st_mode & 0o777 == 0o600


def test_a_crash_between_key_and_certificate_is_made_good(
    federation: Federation, member: MemberSettings
) -> None:
    admission = renewed(federation, member)
    member.next_tls_key_path.replace(member.tls_key_path)
    install_admission(member, admission)
    require_pair(member, admission)


def test_asking_again_asks_for_the_same_key(federation: Federation, member: MemberSettings) -> None:
    renewed(federation, member)
    key = load_tls_key(member.next_tls_key_path)
    admission = renewed(federation, member)
    assert load_certificate(admission.certificate.encode()).public_key() == key.public_key()


def test_a_certificate_for_the_old_key_does_not_spend_the_waiting_one(
    federation: Federation, member: MemberSettings
) -> None:
    request = write_renewal(member, new_key=False, now=LATER).read_bytes()
    admission = federation.renew_member(request, now=LATER)
    write_renewal(member, new_key=True, now=LATER)
    install_admission(member, admission)
    require_pair(member, admission)
    assert member.next_tls_key_path.exists()


def test_a_rotation_after_it_asks_for_the_key_in_use(federation: Federation, member: MemberSettings) -> None:
    """Else the admission that brings the new keys would bring a certificate for a key that is gone."""
    install_admission(member, renewed(federation, member))
    rotate(member, signing=True, sealing=False, now=LATER)
    later = LATER + timedelta(minutes=10)
    admission = federation.admit(member.enrolment_path.read_bytes(), now=later)
    install_admission(member, admission)
    require_pair(member, admission)


def test_the_request_leaves_no_secret_in_the_file(member: MemberSettings) -> None:
    path = write_renewal(member, new_key=True, now=LATER)
    assert b"PRIVATE" not in path.read_bytes()
    assert read_renewal(path.read_bytes()).tls_request.startswith(b"-----BEGIN CERTIFICATE REQUEST")


def test_a_folder_that_cannot_be_written_is_named(member: MemberSettings) -> None:
    (member.folder / "renewal.json").mkdir()
    with pytest.raises(Misconfigured, match=r"renewal\.json: cannot be written"):
        write_renewal(member, new_key=False, now=LATER)
