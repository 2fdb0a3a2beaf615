"""A member gets its next certificate on its own word, and the directory stays as it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from almenara.coordinator.federation import Federation
from almenara.errors import AlmenaraError, Code, Refused
from almenara.node.member_folder import init_member, write_renewal
from almenara.node.settings import MemberSettings, load_settings
from almenara.trust.certificates import load_certificate, load_tls_key
from almenara.trust.directory import MemberStatus
from almenara.trust.repository import Repository
from almenara.trust.targets import MemberFile, encode_target, member_target

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return Federation.init(tmp_path / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000")


@pytest.fixture
def member(federation: Federation, tmp_path: Path) -> MemberSettings:
    """Return the folder of PE, which is admitted."""
    init_member(tmp_path / "PE", member="PE", federation="ams", name="Peru", now=NOW)
    federation.admit((tmp_path / "PE" / "enrolment.json").read_bytes(), now=NOW)
    return load_settings(tmp_path / "PE", environ={})


def asked(member: MemberSettings, *, new_key: bool = False, now: datetime = NOW) -> bytes:
    return write_renewal(member, new_key=new_key, now=now).read_bytes()


@pytest.mark.parametrize("new_key", [False, True])
def test_the_next_certificate_is_for_the_key_that_asked(
    federation: Federation, member: MemberSettings, *, new_key: bool
) -> None:
    version = federation.published(NOW).directory.version
    later = NOW + timedelta(hours=2)
    admission = federation.renew_member(asked(member, new_key=new_key), now=later)
    certificate = load_certificate(admission.certificate.encode())
    key = load_tls_key(member.next_tls_key_path if new_key else member.tls_key_path)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=PE.1,O=ams"
    assert certificate.not_valid_after_utc == later + 90 * DAY
    assert federation.published(NOW).directory.version == version


def test_no_key_of_the_directory_is_needed(federation: Federation, member: MemberSettings) -> None:
    for path in (federation.folder / "directory" / "keys").iterdir():
        path.unlink()
    assert federation.renew_member(asked(member), now=NOW).member == "PE"


def test_a_member_that_is_not_active_gets_none(
    federation: Federation, member: MemberSettings, tmp_path: Path
) -> None:
    init_member(tmp_path / "AR", member="AR", federation="ams", name="Argentina", now=NOW)
    stranger = load_settings(tmp_path / "AR", environ={})
    with pytest.raises(Refused, match="AR: not in the directory") as caught:
        federation.renew_member(asked(stranger), now=NOW)
    assert caught.value.code is Code.UNKNOWN_MEMBER

    repository = Repository.open(federation.folder / "directory")
    file = msgspec.json.decode(repository.targets[member_target(member.member)], type=MemberFile)
    suspended = msgspec.structs.replace(file, status=MemberStatus.SUSPENDED)
    repository.set_target(member_target(member.member), encode_target(suspended))
    repository.publish(NOW)
    with pytest.raises(Refused, match="PE: suspended") as caught:
        federation.renew_member(asked(member), now=NOW)
    assert caught.value.code is Code.UNKNOWN_MEMBER


def test_what_readers_would_refuse_is_not_handed_out(federation: Federation, member: MemberSettings) -> None:
    """A member could not start from an admission whose directory had expired when it was written."""
    with pytest.raises(AlmenaraError, match="expired"):
        federation.renew_member(asked(member, now=NOW + 5 * DAY), now=NOW + 5 * DAY)
