"""A member's folder is made whole, and takes in the admission that is its own and no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from almenara.coordinator.federation import Federation
from almenara.errors import AlmenaraError, Code, DirectoryRefused, Misconfigured, Refused
from almenara.model.ids import MemberId
from almenara.node.identity import (
    install_admission,
    load_keys,
    open_member,
    read_passphrase,
    require_certificate,
)
from almenara.node.member_folder import init_member
from almenara.node.settings import MemberSettings, load_settings
from almenara.trust.admission import Admission, read_admission
from almenara.trust.enrolment import read_enrolment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return Federation.init(tmp_path / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000")


def new_member(folder: Path, member: str = "PE", **changes: Any) -> MemberSettings:  # noqa: ANN401 - as init_member
    init_member(folder, member=member, federation="ams", name=f"Customs of {member}", now=NOW, **changes)
    return load_settings(folder, environ={})


def admit(federation: Federation, settings: MemberSettings, now: datetime = NOW) -> Admission:
    return federation.admit((settings.folder / "enrolment.json").read_bytes(), now=now)


def test_a_new_folder_has_keys_settings_and_an_enrolment_of_the_same_keys(tmp_path: Path) -> None:
    settings = new_member(tmp_path / "PE")
    assert sorted(path.name for path in settings.folder.iterdir()) == [
        "enrolment.json",
        "keys",
        "member.toml",
    ]
    keys = load_keys(settings)
    enrolment = read_enrolment((settings.folder / "enrolment.json").read_bytes())
    assert [entry.key_id for entry in enrolment.signing_keys] == [key.key_id for key in keys.signing]
    assert enrolment.sealing_key is not None
    assert [key.key_id for key in keys.sealing] == [enrolment.sealing_key.key_id]


def test_private_keys_are_open_to_nobody_else(tmp_path: Path) -> None:
    settings = new_member(tmp_path / "PE")
    modes = {path.name: path.stat().st_mode & 0o777 for path in settings.keys.iterdir()}
    assert modes == dict.fromkeys(("signing.json", "sealing.json", "checkpoint.json", "tls.key"), 0o600)
    assert settings.keys.stat().st_mode & 0o777 == 0o700


def test_keys_under_a_passphrase_open_by_it(tmp_path: Path) -> None:
    passphrase = tmp_path / 'pass "phrase"'
    passphrase.touch(mode=0o600)
    passphrase.write_text("correct horse\n")
    settings = new_member(tmp_path / "PE", passphrase_file=passphrase)
    assert settings.passphrase_file == passphrase
    assert load_keys(settings).signing
    passphrase.write_text("another\n")
    with pytest.raises(Misconfigured, match="wrong passphrase"):
        load_keys(settings)


def test_an_empty_passphrase_protects_nothing_and_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch(mode=0o600)
    with pytest.raises(Misconfigured, match="empty"):
        read_passphrase(tmp_path / "empty")


@pytest.mark.parametrize("present", ["keys", "enrolment.json", "member.toml"])
def test_nothing_is_overwritten(tmp_path: Path, present: str) -> None:
    (tmp_path / present).write_text("precious")
    with pytest.raises(Misconfigured, match=present):
        new_member(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [present]
    assert (tmp_path / present).read_text() == "precious"


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"member": "Peru"}, Refused), ({"federation": "AMS"}, Refused), ({"name": "a\nb"}, DirectoryRefused)],
    ids=["member", "federation", "name"],
)
def test_what_cannot_be_enrolled_leaves_nothing(
    tmp_path: Path, changes: dict[str, str], error: type[AlmenaraError]
) -> None:
    wish: dict[str, Any] = {"member": "PE", "federation": "ams", "name": "Peru", **changes}
    with pytest.raises(error):
        init_member(tmp_path / "PE", now=NOW, **wish)
    assert not list(tmp_path.rglob("*.*"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="file/PE: cannot be written"):
        new_member(tmp_path / "file" / "PE")


def test_an_admission_brings_what_a_node_needs(federation: Federation, tmp_path: Path) -> None:
    settings = new_member(tmp_path / "PE")
    settings.admission_path.write_bytes(admit(federation, settings).to_bytes())
    identity = open_member(settings, now=NOW)
    assert identity.directory.members.keys() == {"PE"}
    assert (
        identity.directory.members[MemberId("PE")].signing_keys[0].key_id == identity.keys.signing[0].key_id
    )
    assert identity.bootstrap == identity.directory.bootstrap == "127.0.0.1:20000"
    assert identity.root == settings.root_path.read_bytes()
    assert identity.context.cert_store_stats()["x509_ca"] == 1


def test_a_person_may_say_where_the_brokers_are(federation: Federation, tmp_path: Path) -> None:
    settings = new_member(tmp_path / "PE")
    settings.admission_path.write_bytes(admit(federation, settings).to_bytes())
    elsewhere = load_settings(settings.file, environ={"ALMENARA_BOOTSTRAP": "broker.example:9094"})
    assert open_member(elsewhere, now=NOW).bootstrap == "broker.example:9094"


def test_installing_again_changes_nothing(federation: Federation, tmp_path: Path) -> None:
    settings = new_member(tmp_path / "PE")
    admission = admit(federation, settings)
    install_admission(settings, admission)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in settings.keys.iterdir()}
    install_admission(settings, admission)
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in settings.keys.iterdir()} == before


def test_an_admission_may_lie_for_days(federation: Federation, tmp_path: Path) -> None:
    settings = new_member(tmp_path / "PE")
    admission = admit(federation, settings)
    assert install_admission(settings, admission).expires.timestamp == NOW + DAY


def test_a_renewed_certificate_replaces_the_old_one_and_never_the_other_way(
    federation: Federation, tmp_path: Path
) -> None:
    settings = new_member(tmp_path / "PE")
    first, second = admit(federation, settings), admit(federation, settings, NOW + 60 * DAY)
    install_admission(settings, first)
    install_admission(settings, second)
    assert settings.certificate_path.read_text() == second.certificate
    install_admission(settings, first)
    assert settings.certificate_path.read_text() == second.certificate


def test_an_expired_certificate_says_what_to_do(federation: Federation, tmp_path: Path) -> None:
    settings = new_member(tmp_path / "PE")
    install_admission(settings, admit(federation, settings))
    certificate = require_certificate(settings, NOW + 89 * DAY)
    assert certificate.name == "PE.1"
    assert certificate.renewal_due(NOW + 77 * DAY)
    assert not certificate.renewal_due(NOW + 75 * DAY)
    with pytest.raises(Misconfigured, match="almenara member admit") as caught:
        require_certificate(settings, NOW + 90 * DAY)
    assert caught.value.code is Code.CERTIFICATE_EXPIRED


def test_a_member_that_is_not_admitted_yet_is_told_how(tmp_path: Path) -> None:
    settings = new_member(tmp_path / "PE")
    with pytest.raises(Misconfigured, match="almenara member admit"):
        read_admission(settings.admission_path)
    with pytest.raises(Misconfigured, match=r"admission\.json"):
        require_certificate(settings, NOW)


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[1]", b'{"federation": "ams", "surprise": 1}'],
    ids=["empty", "none", "list", "unknown"],
)
def test_a_file_that_is_no_admission_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "admission.json").write_bytes(text)
    with pytest.raises(Misconfigured, match=r"admission\.json: not an admission"):
        read_admission(tmp_path / "admission.json")


def other_key(_: Admission, other: Admission) -> dict[str, Any]:
    return {"certificate": other.certificate}


def other_authority(_: Admission, other: Admission) -> dict[str, Any]:
    return {"ca": other.ca.replace("A", "B", 1)}


def cut_directory(own: Admission, _: Admission) -> dict[str, Any]:
    return {"directory": {name: data for name, data in own.directory.items() if "members/" not in name}}


def other_root(own: Admission, _: Admission) -> dict[str, Any]:
    return {"root": own.root.replace(b'"version":1', b'"version":2')}


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda _own, _other: {"member": "AR"}, Misconfigured),
        (lambda _own, _other: {"federation": "eur"}, Misconfigured),
        (other_key, Misconfigured),
        (other_authority, Misconfigured),
        (cut_directory, AlmenaraError),
        (other_root, DirectoryRefused),
        (lambda _own, _other: {"issued_at": NOW + 40 * DAY}, AlmenaraError),
    ],
    ids=["member", "federation", "key", "authority", "directory cut", "root", "expired when issued"],
)
def test_an_admission_that_is_not_ours_is_refused_and_installs_nothing(
    federation: Federation,
    tmp_path: Path,
    damage: Callable[[Admission, Admission], dict[str, Any]],
    error: type[AlmenaraError],
) -> None:
    settings, other = new_member(tmp_path / "PE"), new_member(tmp_path / "AR", "AR")
    own_admission, other_admission = admit(federation, settings), admit(federation, other)
    before = sorted(settings.keys.iterdir())
    damaged = msgspec.structs.replace(own_admission, **damage(own_admission, other_admission))
    with pytest.raises(error):
        install_admission(settings, damaged)
    assert sorted(settings.keys.iterdir()) == before


def test_another_federation_of_the_same_name_does_not_take_over(
    federation: Federation, tmp_path: Path
) -> None:
    settings = new_member(tmp_path / "PE")
    install_admission(settings, admit(federation, settings))
    impostor = Federation.init(tmp_path / "E", name="ams", now=NOW, bootstrap="127.0.0.1:20000")
    with pytest.raises(Misconfigured, match="another root"):
        install_admission(settings, admit(impostor, settings))
