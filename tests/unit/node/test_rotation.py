"""New keys lie beside the old until the directory lists them, and a crash anywhere loses none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from almenara.coordinator.federation import Federation
from almenara.errors import Code, Misconfigured, Refused
from almenara.model.ids import MemberId
from almenara.node.identity import load_keys, open_member, own_enrolment
from almenara.node.member_folder import init_member
from almenara.node.rotation import LOST, RETIRED, put_in_place, recover, rotate
from almenara.node.settings import MemberSettings, load_settings, reread
from almenara.node.settings_file import with_setting
from almenara.trust.continuity import Continuity, judge_change
from almenara.trust.enrolment import Enrolment, read_enrolment

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.trust.directory import Directory
    from soft_token import SoftToken

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
PE = MemberId("PE")


class Member:
    """PE's folder, admitted; `admit` lets the coordinator take its newest enrolment."""

    def __init__(self, folder: Path) -> None:
        self.federation = Federation.init(folder / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000")
        init_member(folder / "PE", member="PE", federation="ams", name="Peru", now=NOW)
        self.settings: MemberSettings = load_settings(folder / "PE", environ={})
        self.first = self.enrolment
        self.admit()

    @property
    def enrolment(self) -> Enrolment:
        return read_enrolment(self.settings.enrolment_path.read_bytes())

    @property
    def names(self) -> set[str]:
        return {str(path.relative_to(self.settings.keys)) for path in self.settings.keys.rglob("*.json")}

    def admit(self, *, key_reset: bool = False) -> Directory:
        """Return the directory once the enrolment in the folder is in it."""
        data = self.settings.enrolment_path.read_bytes()
        admission = self.federation.admit(data, now=NOW, key_reset=key_reset)
        self.settings.admission_path.write_bytes(admission.to_bytes())
        return self.federation.published(NOW).directory

    def starts(self, directory: Directory) -> None:
        """Do with the key files what a node does when it starts with this directory."""
        put_in_place(self.settings, load_keys(self.settings), directory)


@pytest.fixture
def member(tmp_path: Path) -> Member:
    return Member(tmp_path)


def test_new_keys_lie_beside_the_old_and_the_enrolment_follows(member: Member) -> None:
    made = rotate(member.settings, signing=True, sealing=True, now=NOW + DAY)
    assert made.signing is not None
    assert made.sealing is not None
    after = member.enrolment
    assert [key.key_id for key in after.signing_keys_in_force()] == [made.signing.key_id]
    assert after.sealing_key is not None
    assert after.sealing_key.key_id == made.sealing.key_id
    assert judge_change(member.first.signed, after.signed) is Continuity.CONTINUOUS
    held = load_keys(member.settings)
    assert [len(keys) for keys in held] == [2, 2, 1]
    assert held.signing[0].key_id == member.first.signing_keys[0].key_id
    assert all(path.stat().st_mode & 0o077 == 0 for path in member.settings.keys.glob("*ing-*.json")), (
        "open to nobody else"
    )


def test_one_kind_of_key_can_be_changed_alone(member: Member) -> None:
    assert rotate(member.settings, signing=False, sealing=True, now=NOW + DAY).signing is None
    assert member.enrolment.signing_keys == member.first.signing_keys
    sealing = member.enrolment.sealing_key
    assert rotate(member.settings, signing=True, sealing=False, now=NOW + 2 * DAY).sealing is None
    assert member.enrolment.sealing_key == sealing


def test_a_rotation_that_is_not_in_the_directory_changes_nothing(member: Member) -> None:
    before = member.federation.published(NOW).directory
    rotate(member.settings, signing=True, sealing=True, now=NOW + DAY)
    names = member.names
    member.starts(before)
    assert member.names == names
    assert load_keys(member.settings).signing[0].key_id == member.first.signing_keys[0].key_id


def test_once_listed_the_new_keys_take_the_place_of_the_old(member: Member) -> None:
    made = rotate(member.settings, signing=True, sealing=True, now=NOW + DAY)
    old = load_keys(member.settings)
    member.starts(member.admit())
    held = load_keys(member.settings)
    assert [key.key_id for key in held.signing] == [made.signing.key_id if made.signing else b""]
    assert {key.key_id for key in held.sealing} == {key.key_id for key in old.sealing}, "for what is retained"
    assert held.sealing[0].key_id == (made.sealing.key_id if made.sealing else b"")
    assert f"{RETIRED}/signing-{old.signing[0].key_id.hex()[:16]}.json" in member.names
    assert open_member(member.settings, now=NOW).keys.signing[0].key_id == held.signing[0].key_id
    names = member.names
    member.starts(member.federation.published(NOW).directory)
    assert member.names == names, "again changes nothing"


def test_a_crash_before_the_enrolment_leaves_keys_that_are_never_used(member: Member) -> None:
    before = member.settings.enrolment_path.read_bytes()
    rotate(member.settings, signing=True, sealing=True, now=NOW + DAY)
    member.settings.enrolment_path.write_bytes(before)
    again = rotate(member.settings, signing=True, sealing=False, now=NOW + 2 * DAY)
    assert again.signing is not None
    directory = member.admit()
    member.starts(directory)
    assert load_keys(member.settings).signing[0].key_id == again.signing.key_id
    assert directory.members[PE].signing_key_ids() == (again.signing.key_id,)


@pytest.mark.parametrize("name", ["signing.json", "sealing.json"])
def test_a_crash_between_two_renames_is_made_good_at_the_next_start(member: Member, name: str) -> None:
    rotate(member.settings, signing=True, sealing=True, now=NOW + DAY)
    directory = member.admit()
    held = load_keys(member.settings)
    aside = {
        "signing.json": member.settings.keys / "x",
        "sealing.json": member.settings.keys / "sealing-0.json",
    }
    (member.settings.keys / name).rename(aside[name])
    member.starts(directory)
    assert (member.settings.keys / name).exists()
    again = load_keys(member.settings)
    assert again.signing[0].key_id in directory.members[PE].signing_key_ids()
    assert {key.key_id for key in again.sealing} == {key.key_id for key in held.sealing}


def test_a_node_with_only_a_new_key_keeps_its_files_until_the_directory_lists_it(member: Member) -> None:
    directory = member.federation.published(NOW).directory
    rotate(member.settings, signing=True, sealing=False, now=NOW + DAY)
    (member.settings.keys / "signing.json").unlink()
    names = member.names
    member.starts(directory)
    assert member.names == names


def test_without_the_signing_key_in_force_rotation_names_the_other_way(member: Member) -> None:
    rotate(member.settings, signing=True, sealing=False, now=NOW + DAY)
    next(member.settings.keys.glob("signing-*.json")).unlink()
    with pytest.raises(Misconfigured, match="almenara member recover") as caught:
        rotate(member.settings, signing=True, sealing=False, now=NOW + DAY)
    assert caught.value.code is Code.KEY_UNREADABLE


def test_without_the_last_enrolment_nothing_can_follow(member: Member) -> None:
    member.settings.enrolment_path.unlink()
    with pytest.raises(Misconfigured, match="its coordinator has a copy"):
        rotate(member.settings, signing=True, sealing=True, now=NOW + DAY)
    assert own_enrolment(member.settings) == b""


def test_a_signing_key_that_is_no_file_is_changed_where_it_is(member: Member) -> None:
    settings = load_settings(member.settings.file, environ={"ALMENARA_SIGNING_KEY": "pkcs11:object=pe"})
    with pytest.raises(Misconfigured, match="pkcs11"):
        rotate(settings, signing=True, sealing=False, now=NOW + DAY)
    with pytest.raises(Misconfigured, match="not a file"):
        recover(settings, now=NOW + DAY)


@pytest.mark.softhsm
def test_a_member_goes_over_to_a_key_in_a_token_and_holds_both_until_then(
    member: Member, token: SoftToken
) -> None:
    before, old = member.names, member.first.signing_keys[0].key_id
    made = rotate(member.settings, signing=True, sealing=False, now=NOW + DAY, signing_key=token.uri())
    assert made.signing is not None
    new = made.signing.key_id
    assert [key.key_id for key in member.enrolment.signing_keys_in_force()] == [new]
    assert judge_change(member.first.signed, member.enrolment.signed) is Continuity.CONTINUOUS
    # A node that started before the rotation reads its settings again.
    assert [key.key_id for key in load_keys(member.settings).signing] == [old]
    assert [key.key_id for key in load_keys(reread(member.settings)).signing] == [old, new]

    settings = load_settings(member.settings.file, environ={})
    put_in_place(settings, load_keys(settings), member.admit())
    assert member.names == before, "a file that signing_key still names stays"
    with pytest.raises(Misconfigured, match="next_signing_key names another key already"):
        rotate(settings, signing=True, sealing=False, now=NOW + DAY, signing_key="file:other.json")

    text = with_setting(settings.file.read_text(), "signing_key", token.uri())
    settings.file.write_text(with_setting(text, "next_signing_key", None))
    settings = load_settings(settings.file, environ={})
    assert [key.key_id for key in load_keys(settings).signing] == [new]


def test_a_lost_signing_key_is_replaced_and_what_can_be_read_stays(member: Member) -> None:
    tls, sealing = member.settings.tls_key_path.read_bytes(), load_keys(member.settings).sealing
    (member.settings.keys / "signing.json").unlink()
    made = recover(member.settings, now=NOW + DAY)
    assert made.signing is not None
    assert made.sealing is None
    after = member.enrolment
    assert judge_change(member.first.signed, after.signed) is Continuity.KEY_RESET
    assert after.signing_keys[0].key_id == member.first.signing_keys[0].key_id
    with pytest.raises(Refused, match="--key-reset"):
        member.admit()
    member.starts(member.admit(key_reset=True))
    held = load_keys(member.settings)
    assert [key.key_id for key in held.signing] == [made.signing.key_id]
    assert [key.key_id for key in held.sealing] == [key.key_id for key in sealing]
    assert member.settings.tls_key_path.read_bytes() == tls
    assert open_member(member.settings, now=NOW)


def test_keys_that_cannot_be_read_are_put_aside_and_made_anew(member: Member) -> None:
    for name in ("signing.json", "sealing.json"):
        (member.settings.keys / name).write_bytes(b"damaged")
    member.settings.tls_key_path.unlink()
    made = recover(member.settings, now=NOW + DAY)
    assert made.sealing is not None
    assert {name for name in member.names if name.startswith(LOST)} == {
        f"{LOST}/signing-20261125T093000.json",
        f"{LOST}/sealing-20261125T093000.json",
    }
    member.starts(member.admit(key_reset=True))
    assert open_member(member.settings, now=NOW).keys.sealing[0].key_id == made.sealing.key_id


def test_a_key_that_is_there_is_not_recovered(member: Member) -> None:
    with pytest.raises(Misconfigured, match="almenara member rotate"):
        recover(member.settings, now=NOW + DAY)
    assert member.enrolment.signed == member.first.signed


def test_a_folder_of_keys_that_cannot_be_changed_is_named(member: Member) -> None:
    rotate(member.settings, signing=True, sealing=False, now=NOW + DAY)
    (member.settings.keys / RETIRED).write_text("in the way")
    with pytest.raises(Misconfigured, match="cannot be moved"):
        member.starts(member.admit())


def test_a_checkpoint_key_is_made_for_an_older_member_and_another_takes_its_place(member: Member) -> None:
    path, first = member.settings.checkpoint_key_path, member.first.checkpoint_keys
    path.unlink()  # as in a folder that was made before there were any
    made = rotate(member.settings, signing=False, sealing=False, checkpoint=True, now=NOW + DAY)
    assert made.checkpoint is not None
    assert member.enrolment.signing_keys == member.first.signing_keys
    again = rotate(member.settings, signing=False, sealing=False, checkpoint=True, now=NOW + 2 * DAY)
    assert again.checkpoint is not None
    listed = [entry.key_id for entry in member.enrolment.checkpoint_keys]
    assert listed == [again.checkpoint.key_id, made.checkpoint.key_id, first[0].key_id]
    assert [key.key_id for key in load_keys(member.settings).checkpoint] == listed[:1]
    assert f"{RETIRED}/checkpoint-{made.checkpoint.key_id.hex()[:16]}.json" in member.names
    assert member.admit().member(PE).checkpoint_key_id == again.checkpoint.key_id


def test_a_lost_checkpoint_key_is_made_anew_with_the_signing_key(member: Member) -> None:
    for path in (member.settings.checkpoint_key_path, member.settings.keys / "signing.json"):
        path.write_bytes(b"damaged")
    made = recover(member.settings, now=NOW + DAY)
    assert made.checkpoint is not None
    keys = member.enrolment.checkpoint_keys
    assert [entry.key_id for entry in keys] == [
        made.checkpoint.key_id,
        member.first.checkpoint_keys[0].key_id,
    ]
    assert {name for name in member.names if name.startswith(f"{LOST}/checkpoint-")}
