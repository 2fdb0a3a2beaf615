"""An admission, and the operators' certificates beside it, prove whose they are or say what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from almenara.errors import DirectoryRefused, Misconfigured
from almenara.model.ids import MemberId
from almenara.trust import admission as module
from almenara.trust.admission import (
    Admission,
    is_newer,
    read_admission,
    read_member_certificate,
    verify_admission,
)
from almenara.trust.certificates import (
    CertificateAuthority,
    create_ca,
    create_tls_key,
    issue,
    load_certificate,
)
from almenara.trust.directory import MemberStatus
from almenara.trust.enrolment import make_enrolment, read_enrolment
from almenara.trust.keys import create_signing_key
from almenara.trust.operators import issue_operator, renewal_due
from almenara.trust.repository import Repository
from almenara.trust.targets import MemberFile, encode_target, member_target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
PE = MemberId("PE")


class Issuer:
    """An authority and a directory of one federation, in which PE is a member unless told otherwise."""

    def __init__(
        self, folder: Path, federation: str = "ams", *, members: tuple[MemberId, ...] = (PE,)
    ) -> None:
        folder.mkdir()
        self.federation = federation
        self.ca: CertificateAuthority = create_ca(federation, NOW)
        repository = Repository.create(folder / "directory", federation=federation, now=NOW)
        for member in members:
            enrolment = make_enrolment(
                federation=federation,
                member=member,
                name=member,
                signing_key=create_signing_key(folder / f"{member}.json", passphrase=None),
                sealing_key=None,
                tls_request=b"",
                now=NOW,
            )
            file = MemberFile(
                enrolment=read_enrolment(enrolment).signed,
                status=MemberStatus.ACTIVE,
                generation=1,
                admitted_at=NOW,
            )
            repository.set_target(member_target(member), encode_target(file))
        repository.publish(NOW)
        self.files = dict(repository.files())
        self.root = repository.first_root

    def certificate(
        self,
        key: EllipticCurvePrivateKey,
        *,
        name: str = "PE.1",
        organization: str = "ams",
        now: datetime = NOW,
    ) -> str:
        pem = issue(self.ca, key.public_key(), organization=organization, common_name=name, now=now)
        return pem.decode("ascii")

    def admission(self, certificate: str, **changes: Any) -> Admission:  # noqa: ANN401 - fields of an admission
        made = Admission(
            federation="ams",
            member="PE",
            issued_at=NOW,
            certificate=certificate,
            ca=self.ca.pem.decode("ascii"),
            bootstrap="127.0.0.1:20000",
            root=self.root,
            directory=self.files,
        )
        return msgspec.structs.replace(made, **changes)


@pytest.fixture
def key(tmp_path: Path) -> EllipticCurvePrivateKey:
    return create_tls_key(tmp_path / "tls.key")


def verify(folder: Path, admission: Admission) -> None:
    verify_admission(
        admission,
        federation="ams",
        member=PE,
        tls_key=folder / "tls.key",
        source=folder / "admission.json",
    )


def test_what_belongs_together_is_accepted_as_of_its_issue(
    tmp_path: Path, key: EllipticCurvePrivateKey
) -> None:
    issuer = Issuer(tmp_path / "ams")
    verify(tmp_path, issuer.admission(issuer.certificate(key)))


@pytest.mark.parametrize(
    ("name", "organization"),
    [("AR.1", "ams"), ("PE.1", "ams operators"), ("PE.1", "eur"), ("PE", "ams")],
    ids=["another member", "an operator", "another federation", "no generation"],
)
def test_a_certificate_of_another_name_is_refused(
    tmp_path: Path, key: EllipticCurvePrivateKey, name: str, organization: str
) -> None:
    issuer = Issuer(tmp_path / "ams")
    certificate = issuer.certificate(key, name=name, organization=organization)
    with pytest.raises(Misconfigured, match="its certificate is that of"):
        verify(tmp_path, issuer.admission(certificate))


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path, key: EllipticCurvePrivateKey) -> None:
    issuer, other = Issuer(tmp_path / "ams"), Issuer(tmp_path / "other")
    with pytest.raises(Misconfigured, match="not issued by the authority"):
        verify(tmp_path, issuer.admission(other.certificate(key)))


@pytest.mark.parametrize(
    ("federation", "members", "named"),
    [("eur", (PE,), "its directory is that of eur"), ("ams", (), "does not list PE")],
    ids=["another federation", "without the member"],
)
def test_a_directory_that_is_not_the_members_is_refused(
    tmp_path: Path, key: EllipticCurvePrivateKey, federation: str, members: tuple[MemberId, ...], named: str
) -> None:
    issuer = Issuer(tmp_path / "made", federation, members=members)
    with pytest.raises(Misconfigured, match=named):
        verify(tmp_path, issuer.admission(issuer.certificate(key)))


def test_a_directory_of_another_root_is_refused(tmp_path: Path, key: EllipticCurvePrivateKey) -> None:
    issuer, other = Issuer(tmp_path / "ams"), Issuer(tmp_path / "other")
    with pytest.raises(DirectoryRefused):
        verify(tmp_path, issuer.admission(issuer.certificate(key), root=other.root))


def no_file(path: Path) -> None:
    assert not path.exists()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (no_file, "almenara member admit"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: path.write_bytes(b" " * 2000), "more than 1000 bytes"),
        (lambda path: path.write_bytes(b"{}"), "not an admission"),
    ],
    ids=["missing", "folder", "too large", "empty"],
)
def test_a_file_that_gives_no_admission_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], named: str
) -> None:
    monkeypatch.setattr(module, "ADMISSION_MAX", 1000)
    make(tmp_path / "admission.json")
    with pytest.raises(Misconfigured, match=rf"admission\.json: .*{named}"):
        read_admission(tmp_path / "admission.json")


def test_a_file_with_a_member_that_can_be_none_is_named(tmp_path: Path, key: EllipticCurvePrivateKey) -> None:
    issuer = Issuer(tmp_path / "ams")
    path = tmp_path / "admission.json"
    path.write_bytes(issuer.admission(issuer.certificate(key), member="Peru").to_bytes())
    with pytest.raises(Misconfigured, match="Peru"):
        read_admission(path)


def test_the_later_certificate_is_the_newer(tmp_path: Path, key: EllipticCurvePrivateKey) -> None:
    issuer = Issuer(tmp_path / "ams")
    first, second = (
        read_member_certificate(issuer.certificate(key, now=now).encode(), ca=issuer.ca.pem)
        for now in (NOW, NOW + DAY)
    )
    assert is_newer(second, first)
    assert not is_newer(first, second)
    assert not is_newer(first, first)


def test_an_operators_file_holds_key_and_certificate_and_is_renewed_in_place(tmp_path: Path) -> None:
    ca, path = create_ca("ams", NOW), tmp_path / "operator.pem"
    issue_operator(path, ca=ca, federation="ams", name="coordinator", now=NOW)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_certificate(path.read_bytes()).subject.rfc4514_string() == "CN=coordinator,O=ams operators"
    assert not renewal_due(path, NOW + 60 * DAY - timedelta(seconds=1))
    assert renewal_due(path, NOW + 60 * DAY)
    issue_operator(path, ca=ca, federation="ams", name="coordinator", now=NOW + 60 * DAY)
    assert not renewal_due(path, NOW + 60 * DAY)


def test_an_operators_file_without_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written"):
        issue_operator(
            tmp_path / "none" / "operator.pem",
            ca=create_ca("ams", NOW),
            federation="ams",
            name="coordinator",
            now=NOW,
        )
