"""All keys of a member change their passphrase together, and a backup brings them all back."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from almenara.coordinator.federation import Federation
from almenara.errors import Code, Misconfigured
from almenara.node.backup import back_up, restore
from almenara.node.identity import install_admission, load_keys, open_member
from almenara.node.keyring import held_keys, key_files, protected
from almenara.node.member_folder import init_member
from almenara.node.protection import protect
from almenara.node.rotation import rotate
from almenara.node.settings import MemberSettings, load_settings
from almenara.node.settings_file import with_setting
from almenara.trust.keyfile import inspect_key_file
from almenara.trust.keys import create_signing_key, load_signing_key

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
UNDER = b"a long sentence in a safe"


@pytest.fixture
def plain(tmp_path: Path) -> MemberSettings:
    """Return the folder of PE with one key of each kind: a passphrase costs a third of a second for each."""
    init_member(tmp_path / "PE", member="PE", federation="ams", name="Peru", now=NOW)
    return load_settings(tmp_path / "PE", environ={})


@pytest.fixture
def member(tmp_path: Path) -> MemberSettings:
    """Return the folder of PE, admitted, with a rotation under way and a retired key."""
    federation = Federation.init(tmp_path / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000")
    init_member(tmp_path / "PE", member="PE", federation="ams", name="Peru", now=NOW)
    settings = load_settings(tmp_path / "PE", environ={})
    admission = federation.admit(settings.enrolment_path.read_bytes(), now=NOW)
    settings.admission_path.write_bytes(admission.to_bytes())
    install_admission(settings, admission)
    rotate(settings, signing=False, sealing=True, now=NOW + timedelta(hours=1))
    (settings.keys / "retired").mkdir(mode=0o700)
    create_signing_key(settings.keys / "retired" / "signing-old.json", passphrase=None)
    settings.marks_path.touch(mode=0o600)
    settings.marks_path.write_text('{"region": [1, 2]}')
    return settings


def secret(folder: Path, text: str, name: str = "passphrase") -> Path:
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(f"{text}\n")
    return path


def reloaded(settings: MemberSettings) -> MemberSettings:
    return load_settings(settings.file, environ={})


def ids(settings: MemberSettings) -> list[bytes]:
    keys = load_keys(settings)
    return [key.key_id for kind in keys for key in kind]


def test_a_passphrase_is_added_changed_and_removed(plain: MemberSettings, tmp_path: Path) -> None:
    before, text = ids(plain), plain.file.read_text()
    first = secret(tmp_path, "first", "first")
    assert protect(plain, passphrase=None, new=b"first", passphrase_file=first) == 3
    assert all(inspect_key_file(path).protected for path in key_files(plain))
    assert {path.stat().st_mode & 0o777 for path in key_files(plain)} == {0o600}
    changed = reloaded(plain)
    assert changed.passphrase_file == first
    assert ids(changed) == before

    second = secret(tmp_path, "second", "second")
    protect(changed, passphrase=b"first", new=b"second", passphrase_file=second)
    changed = reloaded(plain)
    assert ids(changed) == before

    protect(changed, passphrase=b"second", new=None, passphrase_file=None)
    assert reloaded(plain).passphrase_file is None
    assert not protected(plain)
    assert ids(reloaded(plain)) == before
    assert len(plain.file.read_text().splitlines()) == len(text.splitlines())


def test_a_wrong_passphrase_changes_nothing(plain: MemberSettings, tmp_path: Path) -> None:
    file = secret(tmp_path, "right")
    protect(plain, passphrase=None, new=b"right", passphrase_file=file)
    held = {path: path.read_bytes() for path in (*key_files(plain), plain.file)}
    with pytest.raises(Misconfigured, match="wrong passphrase"):
        protect(reloaded(plain), passphrase=b"wrong", new=None, passphrase_file=None)
    assert {path: path.read_bytes() for path in held} == held
    assert not list(plain.folder.rglob(".next-*"))


def test_a_crash_after_the_plan_is_made_good_by_whoever_reads_the_settings(
    plain: MemberSettings, tmp_path: Path
) -> None:
    before = ids(plain)
    file = secret(tmp_path, "first")
    protect(plain, passphrase=None, new=b"first", passphrase_file=file)
    done = key_files(plain)[1]
    paths = [str(path) for path in (*key_files(plain), plain.file)]
    # As if only one key had taken its place: the others still wait beside theirs.
    for path in (*key_files(plain), plain.file):
        if path != done:
            path.rename(path.with_name(f".next-{path.name}"))
            path.write_text("what was before")
            path.chmod(0o600)
    plain.replacement_plan.write_text(str(paths).replace("'", '"'))
    settings = reloaded(plain)
    assert settings.passphrase_file == file
    assert ids(settings) == before


def test_a_folder_that_cannot_be_written_is_named(plain: MemberSettings, tmp_path: Path) -> None:
    (plain.folder / ".next-member.toml").mkdir()
    with pytest.raises(Misconfigured, match="cannot be written"):
        protect(plain, passphrase=None, new=b"first", passphrase_file=secret(tmp_path, "first"))
    assert not protected(plain)


def test_key_show_says_all_but_secrets(member: MemberSettings) -> None:
    found = {held.place.removeprefix(f"{member.keys}/"): held for held in held_keys(member)}
    assert [held.kind for held in found.values()].count("sealing") == 2
    tls = found["tls.key"]
    assert (tls.kind, tls.protection, tls.mode, tls.expires) == (
        "tls",
        "none",
        "0600",
        NOW + timedelta(days=90),
    )
    signing = found["signing.json"]
    assert signing.key_id == load_keys(member).signing[0].key_id.hex()
    (member.keys / "sealing.json").chmod(0o644)
    found = {held.place.removeprefix(f"{member.keys}/"): held for held in held_keys(member)}
    assert found["sealing.json"].mode == "0644"
    assert "open to others" in found["sealing.json"].fault


def test_a_restored_folder_is_the_member_again(member: MemberSettings, tmp_path: Path) -> None:
    before, enrolment = ids(member), member.enrolment_path.read_bytes()
    old = load_signing_key(f"file:{member.keys / 'retired' / 'signing-old.json'}", passphrase=None).key_id
    output = tmp_path / "backup"
    back_up(member, output, passphrase=None, under=UNDER, now=NOW)
    assert output.stat().st_mode & 0o777 == 0o600
    shutil.rmtree(member.folder)

    header = restore(output, member.folder, under=UNDER, new=None, passphrase_file=None)
    assert (header.member, header.made_at) == ("PE", NOW)
    settings = reloaded(member)
    assert ids(settings) == before
    retired = settings.keys / "retired" / "signing-old.json"
    assert load_signing_key(f"file:{retired}", passphrase=None).key_id == old
    assert settings.enrolment_path.read_bytes() == enrolment
    assert settings.marks_path.read_text() == '{"region": [1, 2]}', "how far the member had spoken"
    assert open_member(settings, now=NOW).root
    assert {path.stat().st_mode & 0o777 for path in (*key_files(settings), settings.tls_key_path)} == {0o600}


def test_what_was_protected_comes_back_under_another_passphrase(
    plain: MemberSettings, tmp_path: Path
) -> None:
    before = ids(plain)
    protect(plain, passphrase=None, new=b"lost", passphrase_file=secret(tmp_path, "lost", "lost"))
    back_up(reloaded(plain), tmp_path / "backup", passphrase=b"lost", under=UNDER, now=NOW)
    file = secret(tmp_path, "new", "new")
    restore(tmp_path / "backup", tmp_path / "B", under=UNDER, new=b"new", passphrase_file=file)
    settings = load_settings(tmp_path / "B", environ={})
    assert settings.passphrase_file == file
    assert all(inspect_key_file(path).protected for path in key_files(settings))
    assert ids(settings) == before


def test_keys_of_other_places_come_back_to_the_folder(member: MemberSettings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    member.keys.rename(elsewhere)
    (elsewhere / "signing.json").rename(tmp_path / "pe.json")
    text = with_setting(member.file.read_text(), "keys", str(elsewhere))
    member.file.write_text(with_setting(text, "signing_key", f"file:{tmp_path / 'pe.json'}"))
    moved = reloaded(member)
    before = ids(moved)
    back_up(moved, tmp_path / "backup", passphrase=None, under=UNDER, now=NOW)
    restore(tmp_path / "backup", tmp_path / "new", under=UNDER, new=None, passphrase_file=None)
    settings = load_settings(tmp_path / "new", environ={})
    assert settings.keys == tmp_path / "new" / "keys"
    assert ids(settings) == before


def test_a_key_that_is_to_follow_is_in_the_backup_too(plain: MemberSettings, tmp_path: Path) -> None:
    create_signing_key(tmp_path / "other.json", passphrase=None)
    uri = f"file:{tmp_path / 'other.json'}"
    rotate(plain, signing=True, sealing=False, now=NOW + timedelta(hours=1), signing_key=uri)
    rotated = reloaded(plain)
    before = ids(rotated)
    back_up(rotated, tmp_path / "backup", passphrase=None, under=UNDER, now=NOW)
    restore(tmp_path / "backup", tmp_path / "B", under=UNDER, new=None, passphrase_file=None)
    assert set(ids(load_settings(tmp_path / "B", environ={}))) == set(before)


def test_restoring_overwrites_nothing(member: MemberSettings, tmp_path: Path) -> None:
    back_up(member, tmp_path / "backup", passphrase=None, under=UNDER, now=NOW)
    held = sorted(member.folder.rglob("*"))
    with pytest.raises(Misconfigured, match="not empty"):
        restore(tmp_path / "backup", member.folder, under=UNDER, new=None, passphrase_file=None)
    assert sorted(member.folder.rglob("*")) == held
    with pytest.raises(Misconfigured, match="exists already"):
        back_up(member, tmp_path / "backup", passphrase=None, under=UNDER, now=NOW)


def test_a_backup_with_a_key_that_its_id_does_not_name_is_refused(
    member: MemberSettings, tmp_path: Path
) -> None:
    path = member.keys / "signing.json"
    first = inspect_key_file(path).key_id
    path.write_text(path.read_text().replace(first, "0" * 64))
    back_up(member, tmp_path / "backup", passphrase=None, under=UNDER, now=NOW)
    with pytest.raises(Misconfigured, match="not the one its key_id names") as caught:
        restore(tmp_path / "backup", tmp_path / "new", under=UNDER, new=None, passphrase_file=None)
    assert caught.value.code is Code.KEY_UNREADABLE
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "value", "after"),
    [
        ('a = "1"\n[s]\n', "2", 'a = "1"\nk = "2"\n[s]\n'),
        ('# k = "x"\n[s]\nk = "3"\n', "2", 'k = "2"\n[s]\nk = "3"\n'),
        ('k = "1"\n# k = "x"\n', "2", 'k = "2"\n# k = "x"\n'),
        ('k = "1"\n', None, '# k = ""\n'),
        ('k = "1"\n', "1", 'k = "1"\n'),
    ],
)
def test_one_setting_changes_and_the_rest_stays(text: str, value: str | None, after: str) -> None:
    assert with_setting(text, "k", value) == after


@pytest.mark.parametrize("text", ['k = """\n1\n"""\n', 'a = """\nk = 1\n"""\n', '"k" = "1"\n'])
def test_a_setting_written_in_another_way_is_left_to_a_person(text: str) -> None:
    with pytest.raises(Misconfigured, match="cannot be changed by program"):
        with_setting(text, "k", "2")
