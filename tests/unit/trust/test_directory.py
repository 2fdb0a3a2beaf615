"""The directory as values: who is whose, who reads what, how long it may be relied on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from almenara.errors import Code, DirectoryRefused, RecordRefused, StatementRefused, Unavailable
from almenara.model.ids import AudienceId, Stream
from almenara.trust.directory import AudienceKind, Directory, MemberStatus, Standing
from almenara.trust.targets import VerifiedTargets, audience_target, build_directory, member_target
from unit.trust.federation import (
    AR,
    CL,
    CONDOR,
    DAY,
    ENROLMENTS,
    EXPIRES,
    KEYS,
    NOW,
    PE,
    REGION,
    UY,
    audience_file,
    directory,
    enrol,
    federation_file,
    member_file,
    new_keys,
    targets,
    verified,
)

if TYPE_CHECKING:
    from datetime import datetime


def test_the_files_make_the_directory() -> None:
    found = directory(version=7)
    assert (found.federation, found.version, found.bootstrap) == ("ams", 7, "127.0.0.1:9094")
    assert set(found.members) == {PE, AR, CL}
    assert found.member(PE).name == "Customs of PE"
    assert found.audience(REGION).members == {PE, AR, CL}
    assert found.audience(CONDOR).members == {PE, AR}
    assert len(found.schemas) == 1


def test_a_key_leads_to_its_member() -> None:
    member, entry = directory().signer(KEYS[AR].signing.key_id)
    assert member.id == AR
    assert entry.public == KEYS[AR].signing.public


def test_what_is_not_there_is_refused_by_name() -> None:
    found = directory()
    with pytest.raises(StatementRefused) as member:
        found.member(UY)
    with pytest.raises(StatementRefused) as audience:
        found.audience(AudienceId("nowhere"))
    with pytest.raises(RecordRefused) as key:
        found.signer(KEYS[UY].signing.key_id)
    codes = [refusal.value.code for refusal in (member, audience, key)]
    assert codes == [Code.UNKNOWN_MEMBER, Code.UNKNOWN_AUDIENCE, Code.UNKNOWN_KEY]


def test_a_member_reads_the_streams_of_others_in_its_audiences() -> None:
    found = directory()
    assert found.streams_read_by(AR, now=NOW) == (Stream(CONDOR, PE), Stream(REGION, CL), Stream(REGION, PE))
    assert found.streams_read_by(CL, now=NOW) == (Stream(REGION, AR), Stream(REGION, PE))
    assert found.streams_read_by(UY, now=NOW) == ()


@pytest.mark.parametrize("status", [MemberStatus.SUSPENDED, MemberStatus.LEFT])
def test_a_member_that_is_not_active_is_in_no_audience(status: MemberStatus) -> None:
    found = directory({**targets(), member_target(AR): member_file(ENROLMENTS[AR], status=status)})
    assert found.audience(REGION).members == {PE, CL}
    assert found.audience(CONDOR).members == {PE}
    assert found.streams_read_by(AR, now=NOW) == ()
    assert KEYS[AR].sealing.key_id not in found.sealing_slots(REGION)


def test_every_keyed_member_has_a_slot_the_publisher_too_and_keyless_ones_are_named() -> None:
    found = directory(targets(ENROLMENTS[PE], enrol(AR, sealing=False), ENROLMENTS[CL]))
    slots = found.sealing_slots(REGION)
    assert {key_id: member for key_id, (member, _) in slots.items()} == {
        KEYS[PE].sealing.key_id: PE,
        KEYS[CL].sealing.key_id: CL,
    }
    assert found.keyless(REGION) == {AR}
    with pytest.raises(StatementRefused):
        found.sealing_slots(AudienceId("nowhere"))


STANDINGS: dict[str, tuple[datetime, Standing]] = {
    "before the first expiry": (NOW + DAY - timedelta(microseconds=1), Standing.FRESH),
    "at the first expiry": (NOW + DAY, Standing.GRACE),
    "just before the grace is over": (NOW + 4 * DAY - timedelta(microseconds=1), Standing.GRACE),
    "after 72 hours of grace": (NOW + 4 * DAY, Standing.EXPIRED),
}


@pytest.mark.parametrize(("now", "standing"), STANDINGS.values(), ids=STANDINGS.keys())
def test_a_directory_serves_24_hours_and_72_more(now: datetime, standing: Standing) -> None:
    assert directory().standing(now) is standing


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_whichever_role_expires_first_counts(role: str) -> None:
    expires = msgspec.structs.replace(EXPIRES, **{"timestamp": NOW + 300 * DAY, role: NOW - 5 * DAY})
    found = build_directory(VerifiedTargets(version=1, targets=targets(), expires=expires))
    assert found.standing(NOW) is Standing.EXPIRED


def test_nothing_is_sealed_by_an_expired_directory() -> None:
    found = directory()
    found.require_publishable(NOW + 4 * DAY - timedelta(seconds=1))
    with pytest.raises(Unavailable) as refusal:
        found.require_publishable(NOW + 4 * DAY)
    assert refusal.value.code is Code.DIRECTORY_EXPIRED


def test_an_operation_is_open_between_its_dates() -> None:
    audience = directory().audience(CONDOR)
    assert audience.is_open(NOW)
    dated = msgspec.structs.replace(audience, opens_at=NOW, closes_at=NOW + DAY)
    assert not dated.is_open(NOW - timedelta(seconds=1))
    assert dated.is_open(NOW)
    assert not dated.is_open(NOW + DAY)


def test_the_closing_date_stands_in_the_audiences_file() -> None:
    files = {**targets(), audience_target(CONDOR): audience_file(PE, AR, closes_at=NOW)}
    assert not directory(files).audience(CONDOR).is_open(NOW)


def test_a_copy_leads_keys_to_its_own_members() -> None:
    found = directory()
    copy = msgspec.structs.replace(found, members={PE: found.members[PE]}, audiences={})
    assert copy.signer(KEYS[PE].signing.key_id)[0].id == PE
    with pytest.raises(RecordRefused):
        copy.signer(KEYS[AR].signing.key_id)
    assert found.signer(KEYS[AR].signing.key_id)[0].id == AR


def test_two_members_cannot_share_a_key() -> None:
    fresh = new_keys()
    same_signing = enrol(AR, fresh._replace(signing=KEYS[PE].signing))
    same_sealing = enrol(AR, fresh._replace(sealing=KEYS[PE].sealing))
    for enrolment, text in ((same_signing, "signing key"), (same_sealing, "sealing key")):
        with pytest.raises(DirectoryRefused, match=text):
            directory(targets(ENROLMENTS[PE], enrolment))


def test_a_directory_of_values_names_no_member_without_a_file() -> None:
    found = directory()
    with pytest.raises(DirectoryRefused, match="has no file"):
        Directory(
            federation="ams",
            version=1,
            members={PE: found.members[PE]},
            audiences=found.audiences,
            schemas=found.schemas,
            expires=EXPIRES,
        )


def changed(**files: bytes | None) -> dict[str, bytes]:
    """Return the federation's files with these replaced, or left out if None."""
    merged: dict[str, bytes | None] = {**targets(), **files}
    return {name: data for name, data in merged.items() if data is not None}


REFUSED: dict[str, tuple[dict[str, bytes], str]] = {
    "no federation file": (changed(**{"federation.json": None}), "missing"),
    "a federation file of another shape": (changed(**{"federation.json": b"{}"}), "not of its shape"),
    "a federation without a name": (
        changed(**{"federation.json": federation_file().replace(b'"ams"', b'"A S"')}),
        "federation name",
    ),
    "a schema that is no hash": (
        changed(**{"federation.json": b'{"federation":"ams","schemas":["latest"]}'}),
        "not of its shape",
    ),
    "a member of another federation": (
        changed(**{"members/AR.json": member_file(enrol(AR, federation="eur"))}),
        "for federation eur",
    ),
    "a member under another name": (
        changed(**{"members/UY.json": member_file(enrol(AR, new_keys()))}),
        "that of AR",
    ),
    "a member of no generation": (
        changed(
            **{"members/AR.json": member_file(ENROLMENTS[AR]).replace(b'"generation": 1', b'"generation": 0')}
        ),
        "not of its shape",
    ),
    "an audience without an id": (changed(**{"audiences/OP.json": audience_file(PE)}), "audience id"),
    "an audience of no member id": (
        changed(**{"audiences/op.json": audience_file(PE).replace(b'"PE"', b'"pe"')}),
        "member id",
    ),
    "an audience of an unknown member": (
        changed(**{"audiences/op.json": audience_file(PE, UY)}),
        "names UY, which has no file",
    ),
    "a region that lists members": (
        changed(**{"audiences/region.json": audience_file(PE, kind=AudienceKind.REGION)}),
        "lists members",
    ),
    "a region under another id": (
        changed(**{"audiences/all.json": audience_file(kind=AudienceKind.REGION)}),
        "kind REGION",
    ),
    "an operation as the region": (
        changed(**{"audiences/region.json": audience_file(PE)}),
        "kind OPERATION",
    ),
    "a pair of three": (
        changed(**{"audiences/pe-ar.json": audience_file(PE, AR, CL, kind=AudienceKind.PAIR)}),
        "a pair of 3",
    ),
}


@pytest.mark.parametrize(("files", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_files_that_contradict_make_no_directory(files: dict[str, bytes], text: str) -> None:
    with pytest.raises(DirectoryRefused, match=text) as refusal:
        directory(files)
    assert refusal.value.code is Code.DIRECTORY_INVALID


def test_a_pair_is_two() -> None:
    files = changed(**{"audiences/pe-ar.json": audience_file(PE, AR, kind=AudienceKind.PAIR)})
    assert directory(files).audience(AudienceId("pe-ar")).members == {PE, AR}


def test_files_of_unknown_names_grant_nothing() -> None:
    assert directory(changed(**{"policies/retention.json": b"{"})) == directory()


def test_verified_files_come_back_from_the_store() -> None:
    files = verified(version=3)
    assert VerifiedTargets.from_bytes(files.to_bytes()) == files
    with pytest.raises(DirectoryRefused, match="stored directory"):
        VerifiedTargets.from_bytes(b"{}")


def test_an_audience_is_over_once_its_retention_has_passed_since_it_closed() -> None:
    found = directory()
    condor = msgspec.structs.replace(found.audience(CONDOR), closes_at=NOW, retention_days=7)
    ending = msgspec.structs.replace(found, audiences={**found.audiences, CONDOR: condor})
    end = NOW + 7 * DAY
    assert condor.ends_at == end
    for now, over in ((NOW, False), (end - timedelta(microseconds=1), False), (end, True)):
        assert condor.is_over(now) is over
        assert (Stream(CONDOR, PE) in ending.streams_read_by(AR, now=now)) is not over
    assert found.audience(REGION).ends_at is None
    assert not found.audience(REGION).is_over(NOW + 3650 * DAY)
