"""What a coordinator changes is what readers see next, and what it may not change stays."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from cryptography.x509 import load_pem_x509_certificate
from cryptography.x509.oid import NameOID

from almenara.coordinator.audiences import AudienceChange
from almenara.coordinator.federation import Federation
from almenara.coordinator.upkeep import expiring, keep_signed, renew_certificates
from almenara.errors import AlmenaraError, Code, DirectoryRefused, Misconfigured, Refused, Unavailable
from almenara.model.ids import REGION, AudienceId, MemberId
from almenara.trust.admission import Admission
from almenara.trust.certificates import client_context
from almenara.trust.directory import AudienceKind, MemberStatus
from almenara.trust.enrolment import read_enrolment, succeed
from almenara.trust.keys import create_signing_key, load_signing_key
from almenara.trust.rolekeys import Quorum, Thresholds
from almenara.trust.targets import MemberFile, encode_target, member_target
from almenara.wire.avro import sha256_hex
from enrolments import enrol

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
CONDOR = AudienceId("op-condor")
PE = MemberId("PE")


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return Federation.init(tmp_path / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000")


def version(federation: Federation) -> int:
    return federation.published(NOW).directory.version


def test_a_new_federation_is_a_region_that_nobody_is_in_yet(federation: Federation) -> None:
    directory = federation.published(NOW).directory
    assert directory.federation == "ams"
    assert not directory.members
    assert {audience.id: audience.kind for audience in directory.audiences.values()} == {
        REGION: AudienceKind.REGION
    }
    assert directory.schemas == {sha256_hex("Batch")}


def test_a_new_federation_brings_certificates_that_work_together(federation: Federation) -> None:
    broker = federation.folder / "broker"
    for pem, ca in (
        (federation.operator_path, federation.ca_path),
        (broker / "broker.pem", broker / "ca.pem"),
    ):
        assert client_context(certificate=pem, key=pem, ca=ca).verify_mode is ssl.CERT_REQUIRED


def test_private_keys_are_open_to_nobody_else(federation: Federation) -> None:
    secret = [
        path
        for path in federation.folder.rglob("*")
        if path.is_file()
        and (b"PRIVATE KEY" in path.read_bytes() or path.parent.name == "keys")
        and not path.name.endswith(".pub.json")
    ]
    assert len(secret) == 7
    assert [path for path in secret if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize(
    "present", ["directory", "ca", "operator.pem", "broker/ca.pem", "broker/broker.pem", "federation.toml"]
)
def test_founding_overwrites_nothing(tmp_path: Path, present: str) -> None:
    (tmp_path / present).parent.mkdir(exist_ok=True)
    (tmp_path / present).write_text("precious")
    with pytest.raises(Misconfigured, match=present):
        Federation.init(tmp_path, name="ams", now=NOW)
    assert (tmp_path / present).read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".new-")] == []


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"name": "AMS"}, Refused, "AMS"),
        ({"hosts": ('x"\nname = "other',)}, Misconfigured, "host"),
        ({"bootstrap": "broker example"}, Misconfigured, "broker example"),
        ({"thresholds": Thresholds(root=Quorum(3, 2))}, Misconfigured, "3 of 2"),
    ],
    ids=["name", "host", "bootstrap", "quorum"],
)
def test_a_federation_that_cannot_be_founded_leaves_nothing(
    tmp_path: Path, changes: dict[str, object], error: type[AlmenaraError], named: str
) -> None:
    arguments: dict[str, object] = {"name": "ams", "now": NOW, **changes}
    with pytest.raises(error, match=named):
        Federation.init(tmp_path / "D", **arguments)  # type: ignore[arg-type]
    assert [path for path in (tmp_path / "D").rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="file/D: cannot be written"):
        Federation.init(tmp_path / "file" / "D", name="ams", now=NOW)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('name = "ams"\nsync_intervall_s = 1.0', "sync_intervall_s"),
        ('name = "ams"\nsync_interval_s = 0.0', "sync_interval_s"),
        ('name = "ams"\n[quotas]\nproducer_byte_rate = 0.0', "producer_byte_rate"),
        ('name = "ams"\n[quotas]\nproducer_rate = 1.0', "producer_rate"),
        ('name = "ams"\nreplication = "3"', "replication"),
        ('name = "A"', "federation name"),
        ("name = ", "federation.toml"),
    ],
    ids=["unknown key", "zero interval", "no bytes", "unknown quota", "wrong type", "wrong name", "not TOML"],
)
def test_settings_that_cannot_serve_are_named(federation: Federation, text: str, named: str) -> None:
    (federation.folder / "federation.toml").write_text(text)
    with pytest.raises(Misconfigured, match=named):
        Federation.open(federation.folder)


@pytest.mark.parametrize("copies", [None, 1, 3])
def test_replication_follows_the_cluster_unless_it_is_said(tmp_path: Path, copies: int | None) -> None:
    made = Federation.init(tmp_path / "D", name="ams", now=NOW, replication=copies)
    assert made.settings.replication == copies


def test_three_nodes_of_the_embedded_broker_are_all_made_known(tmp_path: Path) -> None:
    federation = Federation.init(tmp_path / "D", name="ams", now=NOW)
    assert federation.embedded_nodes() == 0
    ports = federation.folder / "broker" / "ports.json"
    ports.write_text("[[20001,20002],[20003,20004],[20005,20006]]")
    federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    told = federation.published(NOW).directory.bootstrap
    assert told == "127.0.0.1:20001,127.0.0.1:20003,127.0.0.1:20005"
    assert federation.embedded_nodes() == 3


def test_a_folder_without_settings_is_no_federation(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="almenara federation init"):
        Federation.open(tmp_path)


def test_an_admitted_member_is_in_the_directory_and_the_region(
    federation: Federation, tmp_path: Path
) -> None:
    admission = federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    directory = federation.published(NOW).directory
    assert directory.members.keys() == {"PE"}
    assert directory.audience(REGION).members == {"PE"}
    assert dict(federation.published(NOW).files) == admission.directory
    assert admission.fingerprint == federation.fingerprint
    assert msgspec.json.decode(admission.to_bytes(), type=Admission) == admission


def test_the_certificate_names_the_generation_that_access_is_given_to(
    federation: Federation, tmp_path: Path
) -> None:
    admission = federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    subject = load_pem_x509_certificate(admission.certificate.encode()).subject
    assert subject.rfc4514_string() == "CN=PE.1,O=ams"
    assert federation.published(NOW).directory.members[PE].generation == 1


def test_admitting_again_renews_the_certificate_and_nothing_else(
    federation: Federation, tmp_path: Path
) -> None:
    enrolment = enrol(tmp_path, "PE", now=NOW)
    federation.admit(enrolment, now=NOW)
    before = federation.published(NOW).directory
    again = federation.admit(enrolment, now=NOW + 30 * DAY)
    assert federation.published(NOW + 30 * DAY).directory.members == before.members
    assert version(federation) == before.version
    certificate = load_pem_x509_certificate(again.certificate.encode())
    assert certificate.not_valid_after_utc == NOW + 120 * DAY


def test_other_keys_do_not_replace_those_of_a_member(federation: Federation, tmp_path: Path) -> None:
    federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    before = federation.published(NOW)
    with pytest.raises(Refused, match="--key-reset") as caught:
        federation.admit(enrol(tmp_path, "PE", now=NOW + DAY), now=NOW + DAY)
    assert caught.value.code is Code.KEY_RESET
    assert federation.published(NOW) == before


def test_keys_that_their_member_signed_over_to_others_replace_them(
    federation: Federation, tmp_path: Path
) -> None:
    first = enrol(tmp_path, "PE", now=NOW)
    federation.admit(first, now=NOW)
    old = load_signing_key(f"file:{next(tmp_path.glob('PE-*')) / 'signing.json'}", passphrase=None)
    new = create_signing_key(tmp_path / "new.json", passphrase=None)
    second = succeed(read_enrolment(first), held=[old], signing_key=new, now=NOW + DAY)
    admission = federation.admit(second, now=NOW + DAY)
    member = federation.published(NOW + DAY).directory.members[PE]
    assert member.signing_key_ids() == (new.key_id,)
    assert (member.generation, common_name(admission)) == (1, "PE.1")


def test_lost_keys_are_replaced_where_the_coordinator_says_so_and_old_certificates_with_them(
    federation: Federation, tmp_path: Path
) -> None:
    federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    other = enrol(tmp_path, "PE", now=NOW + DAY)
    admission = federation.admit(other, now=NOW + DAY, key_reset=True)
    member = federation.published(NOW + DAY).directory.members[PE]
    assert member.enrolment == read_enrolment(other).signed
    assert (member.generation, common_name(admission)) == (2, "PE.2")
    with pytest.raises(Refused, match="not newer"):
        federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW + DAY)


def common_name(admission: Admission) -> str:
    subject = load_pem_x509_certificate(admission.certificate.encode()).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_a_key_of_another_member_is_refused_and_the_directory_stays(
    federation: Federation, tmp_path: Path
) -> None:
    federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    before = federation.published(NOW)
    stolen = next(tmp_path.glob("PE-*")) / "signing.json"
    with pytest.raises(DirectoryRefused, match="signing key"):
        federation.admit(enrol(tmp_path, "AR", now=NOW, signing=stolen), now=NOW)
    assert federation.published(NOW) == before


def test_an_enrolment_for_another_federation_is_refused(federation: Federation, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="eur"):
        federation.admit(enrol(tmp_path, "PE", now=NOW, federation="eur"), now=NOW)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.replace(b'"signature": "', b'"signature": "AAAA'),
        lambda data: data[:-40],
        lambda _: b"",
        lambda data: data + b" " * 100_000,
    ],
    ids=["signature", "cut short", "empty", "oversize"],
)
def test_an_enrolment_that_does_not_prove_itself_is_refused(
    federation: Federation, tmp_path: Path, damage: object
) -> None:
    assert callable(damage)
    with pytest.raises(DirectoryRefused):
        federation.admit(damage(enrol(tmp_path, "PE", now=NOW)), now=NOW)
    assert not federation.published(NOW).directory.members


def test_a_suspended_member_gets_no_certificate(federation: Federation, tmp_path: Path) -> None:
    enrolment = enrol(tmp_path, "PE", now=NOW)
    federation.admit(enrolment, now=NOW)
    target = member_target(PE)
    with federation._changing(NOW) as repository:  # noqa: SLF001 - suspending is a command of a later day
        file = msgspec.json.decode(repository.targets[target], type=MemberFile)
        suspended = msgspec.structs.replace(file, status=MemberStatus.SUSPENDED)
        repository.set_target(target, encode_target(suspended))
    with pytest.raises(Refused, match="suspended"):
        federation.admit(enrolment, now=NOW)


def test_nobody_is_admitted_before_the_broker_has_an_address(tmp_path: Path) -> None:
    federation = Federation.init(tmp_path / "D", name="ams", now=NOW)
    with pytest.raises(Misconfigured, match="almenara broker run"):
        federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)


def test_members_admitted_at_once_are_all_in_the_directory(federation: Federation, tmp_path: Path) -> None:
    wanted = ["AR", "CL", "PE", "UY"]
    enrolments = [enrol(tmp_path, member, now=NOW) for member in wanted]
    with ThreadPoolExecutor(len(wanted)) as pool:
        list(pool.map(lambda data: federation.admit(data, now=NOW), enrolments))
    assert sorted(federation.published(NOW).directory.members) == wanted


def test_a_moved_broker_is_made_known(tmp_path: Path) -> None:
    federation = Federation.init(tmp_path / "D", name="ams", now=NOW)
    ports = federation.folder / "broker" / "ports.json"
    ports.write_text("[[20001,20002]]")
    federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    assert federation.published(NOW).directory.bootstrap == "127.0.0.1:20001"
    ports.write_text("[[20003,20002]]")
    assert keep_signed(federation, NOW)
    assert federation.published(NOW).directory.bootstrap == "127.0.0.1:20003"
    assert not keep_signed(federation, NOW)


def test_the_timestamp_is_signed_when_it_is_due(federation: Federation) -> None:
    assert not keep_signed(federation, NOW + timedelta(minutes=59))
    later = NOW + timedelta(minutes=60)
    assert keep_signed(federation, later)
    assert federation.published(later).directory.expires.timestamp == later + DAY


def test_a_coordinator_that_was_away_for_a_month_signs_again(federation: Federation) -> None:
    later = NOW + 30 * DAY
    assert keep_signed(federation, later)
    assert federation.published(later).directory.expires.first == later + DAY


def test_the_timestamp_does_not_wait_for_the_keys_of_the_targets(federation: Federation) -> None:
    (federation.folder / "directory" / "keys" / "targets-1.json").unlink()
    before = federation.published(NOW).directory
    later = NOW + 100 * DAY  # the targets are due too: half of their life is over
    assert keep_signed(federation, later)
    kept = federation.published(later).directory
    assert kept.expires.timestamp == later + DAY
    assert (kept.version, kept.expires.targets) == (before.version, before.expires.targets)


def test_targets_are_renewed_with_the_keys_at_hand(federation: Federation) -> None:
    before = version(federation)
    later = NOW + 100 * DAY
    assert keep_signed(federation, later)
    kept = federation.published(later).directory
    assert (kept.version, kept.expires.targets) == (before + 1, later + 180 * DAY)


@pytest.mark.parametrize(
    ("days", "roles"), [(0, []), (165, []), (166, ["targets"]), (335, ["root", "targets"])]
)
def test_what_people_must_sign_again_is_said_in_time(
    federation: Federation, days: int, roles: list[str]
) -> None:
    soon = expiring(federation, NOW + days * DAY)
    assert [each.role for each in soon] == roles
    assert all(each.remedy.startswith("almenara directory propose --federation") for each in soon)


def test_a_moved_broker_waits_for_the_keys_of_the_targets_and_the_timestamp_does_not(tmp_path: Path) -> None:
    federation = Federation.init(tmp_path / "D", name="ams", now=NOW)
    (federation.folder / "directory" / "keys" / "targets-1.json").unlink()
    (federation.folder / "broker" / "ports.json").write_text("[[20001,20002]]")
    later = NOW + timedelta(hours=1)
    with pytest.raises(Unavailable, match="almenara directory propose") as caught:
        keep_signed(federation, later)
    assert caught.value.code is Code.SIGNATURES_MISSING
    assert federation.published(later).directory.expires.timestamp == later + DAY


def test_a_quorum_that_is_not_here_admits_nobody(tmp_path: Path) -> None:
    federation = Federation.init(
        tmp_path / "D",
        name="ams",
        now=NOW,
        bootstrap="127.0.0.1:20000",
        thresholds=Thresholds(targets=Quorum(2, 3)),
    )
    before = federation.published(NOW)
    for number in (1, 2):
        (federation.folder / "directory" / "keys" / f"targets-{number}.json").unlink()
    with pytest.raises(Unavailable, match="targets has 1 of 2 signatures") as caught:
        federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    assert caught.value.code is Code.SIGNATURES_MISSING
    assert federation.published(NOW) == before


def test_certificates_are_renewed_in_their_last_month(federation: Federation) -> None:
    broker = federation.folder / "broker" / "broker.pem"
    old = broker.read_bytes()
    assert renew_certificates(federation, NOW + 59 * DAY) == ()
    assert renew_certificates(federation, NOW + 61 * DAY) == (federation.operator_path, broker)
    assert broker.read_bytes() != old
    assert renew_certificates(federation, NOW + 62 * DAY) == ()
    client_context(certificate=broker, key=broker, ca=federation.ca_path)


@pytest.fixture
def region(federation: Federation, tmp_path: Path) -> Federation:
    for member in ("PE", "AR", "CL"):
        federation.admit(enrol(tmp_path, member, now=NOW), now=NOW)
    return federation


def test_an_operation_has_its_members_and_dates(region: Federation) -> None:
    made = region.create_audience(
        "op-condor",
        kind=AudienceKind.OPERATION,
        members=frozenset({"PE", "AR"}),
        title="Cóndor",
        now=NOW,
        opens_at=NOW,
        closes_at=NOW + 30 * DAY,
    )
    assert made == region.published(NOW).directory.audience(CONDOR)
    assert made.members == {"PE", "AR"}
    assert (made.is_open(NOW), made.is_open(NOW + 30 * DAY)) == (True, False)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"audience": "region"}, Code.CONFLICT),
        ({"audience": "Op"}, Code.FORMAT),
        ({"kind": AudienceKind.REGION}, Code.CONFLICT),
        ({"members": frozenset()}, Code.CONFLICT),
        ({"members": frozenset({"PE", "UY"})}, Code.UNKNOWN_MEMBER),
        ({"members": frozenset({"pe"})}, Code.FORMAT),
        ({"kind": AudienceKind.PAIR, "members": frozenset({"PE", "AR", "CL"})}, Code.CONFLICT),
        ({"title": ""}, Code.FORMAT),
        ({"title": "two\nlines"}, Code.FORMAT),
        ({"retention_days": 0}, Code.RANGE),
        ({"opens_at": NOW, "closes_at": NOW}, Code.CONFLICT),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_audience_that_makes_no_sense_is_refused(
    region: Federation, changes: dict[str, object], code: Code
) -> None:
    before = region.published(NOW)
    wish: dict[str, object] = {
        "audience": "op-condor",
        "kind": AudienceKind.OPERATION,
        "members": frozenset({"PE", "AR"}),
        "title": "Cóndor",
        "now": NOW,
        **changes,
    }
    with pytest.raises(Refused) as caught:
        region.create_audience(**wish)  # type: ignore[arg-type]
    assert caught.value.code is code
    assert region.published(NOW) == before


def test_an_audience_is_amended_where_it_is_said(region: Federation) -> None:
    region.create_audience(
        "op-condor", kind=AudienceKind.OPERATION, members=frozenset({"PE", "AR"}), title="Cóndor", now=NOW
    )
    change = AudienceChange(add=frozenset({"CL"}), remove=frozenset({"AR"}), closes_at=NOW)
    amended = region.amend_audience(CONDOR, change, now=NOW)
    assert amended.members == {"PE", "CL"}
    assert (amended.title, amended.is_open(NOW)) == ("Cóndor", False)
    with pytest.raises(Refused, match="leave them out"):
        region.amend_audience(REGION, AudienceChange(add=frozenset({"PE"})), now=NOW)
    reopened = region.amend_audience(CONDOR, AudienceChange(closes_at=None), now=NOW)
    assert reopened.is_open(NOW)


def test_an_audience_that_is_not_there_cannot_be_amended(region: Federation) -> None:
    with pytest.raises(Refused) as caught:
        region.amend_audience(CONDOR, AudienceChange(title="x"), now=NOW)
    assert caught.value.code is Code.UNKNOWN_AUDIENCE


def test_members_admitted_together_make_one_version(federation: Federation, tmp_path: Path) -> None:
    before = version(federation)
    enrolments = [enrol(tmp_path, member, now=NOW) for member in ("PE", "AR", "CL")]
    admissions = federation.admit_all(enrolments, now=NOW)
    assert version(federation) == before + 1
    assert [admission.member for admission in admissions] == ["PE", "AR", "CL"]
    assert federation.published(NOW).directory.members.keys() == {"PE", "AR", "CL"}
    assert all(admission.directory == admissions[0].directory for admission in admissions)
    assert len({admission.certificate for admission in admissions}) == 3


def test_of_members_admitted_together_one_refused_admits_none(federation: Federation, tmp_path: Path) -> None:
    before = version(federation)
    with pytest.raises(Refused, match="for federation other"):
        federation.admit_all(
            [enrol(tmp_path, "PE", now=NOW), enrol(tmp_path, "AR", now=NOW, federation="other")], now=NOW
        )
    assert version(federation) == before
    assert not federation.published(NOW).directory.members
