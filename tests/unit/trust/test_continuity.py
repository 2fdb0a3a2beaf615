"""Key continuity: no quorum of coordinators becomes a member, or adds one, in silence (THREATS 25)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from almenara.errors import Code, DirectoryRefused
from almenara.model.ids import AudienceId
from almenara.trust.continuity import (
    REMOVALS_MAX,
    RESET_DELAY,
    Continuity,
    Merge,
    TrustedDirectory,
    directory_from_bytes,
    judge_change,
    merge,
)
from almenara.trust.directory import AudienceKind, MemberStatus
from almenara.trust.targets import audience_target, member_target
from unit.trust.federation import (
    AR,
    CL,
    CONDOR,
    DAY,
    ENROLMENTS,
    KEYS,
    NOW,
    PE,
    REGION,
    UY,
    Keys,
    audience_file,
    directory,
    enrol,
    member_file,
    new_keys,
    targets,
    verified,
)

if TYPE_CHECKING:
    from almenara.model.ids import MemberId
    from almenara.trust.directory import Directory
    from almenara.trust.enrolment import Enrolment

HELD = merge(None, verified(), now=NOW)
LATER = NOW + 5 * DAY


def with_member(enrolment: Enrolment) -> dict[str, bytes]:
    return {**targets(), member_target(enrolment.member): member_file(enrolment)}


def key_ids(found: Directory, member: MemberId) -> list[bytes]:
    return [entry.key_id for entry in found.member(member).signing_keys]


def publish(held: Merge, enrolment: Enrolment, *, version: int = 2) -> Merge:
    return merge(held.trusted, verified(with_member(enrolment), version=version), now=LATER)


STRANGER = new_keys()


def test_a_readers_first_directory_is_taken_whole() -> None:
    assert HELD.alarms == ()
    assert HELD.directory == directory()


def test_nothing_changed_is_nothing_to_alarm() -> None:
    again = merge(HELD.trusted, verified(version=2), now=LATER)
    assert again.alarms == ()
    assert again.directory == directory(version=2)


def test_a_change_that_the_member_signed_counts_at_once() -> None:
    new = new_keys()
    changed = publish(HELD, enrol(AR, new, at=LATER, previous=KEYS[AR].signing))
    assert changed.alarms == ()
    assert key_ids(changed.directory, AR) == [new.signing.key_id]
    sealing = enrol(AR, Keys(KEYS[AR].signing, new.sealing), at=LATER)
    assert publish(HELD, sealing).directory.member(AR).sealing_key == sealing.sealing_key


def retired_key_vouches() -> tuple[Merge, Enrolment]:
    """Return a directory where AR has retired its first key, and a change that this key signs."""
    second = new_keys()
    retired = msgspec.structs.replace(ENROLMENTS[AR].signing_keys[0], valid_until=NOW + DAY)
    once = enrol(AR, second, at=NOW + DAY, previous=KEYS[AR].signing, retired=(retired,))
    held = merge(HELD.trusted, verified(with_member(once), version=2), now=NOW + DAY)
    return held, enrol(AR, STRANGER, at=LATER, previous=KEYS[AR].signing)


def old_enrolment_again() -> tuple[Merge, Enrolment]:
    """Return a directory where AR has replaced a lost sealing key, and its first enrolment again."""
    once = enrol(AR, Keys(KEYS[AR].signing, new_keys().sealing), at=NOW + DAY)
    held = merge(HELD.trusted, verified(with_member(once), version=2), now=NOW + DAY)
    return held, ENROLMENTS[AR]


RESETS = {
    "other keys, signed by themselves": (HELD, enrol(AR, STRANGER, at=LATER)),
    "other keys, signed by another member": (
        HELD,
        enrol(AR, STRANGER, at=LATER, previous=KEYS[PE].signing),
    ),
    "signed by a key that was retired": retired_key_vouches(),
    "an old enrolment again": old_enrolment_again(),
    "not later than the one before": (HELD, enrol(AR, STRANGER, at=NOW, previous=KEYS[AR].signing)),
}


@pytest.mark.parametrize(("held", "enrolment"), RESETS.values(), ids=RESETS.keys())
def test_a_change_that_the_member_did_not_sign_alarms_and_has_no_effect_for_a_day(
    held: Merge, enrolment: Enrolment
) -> None:
    before = held.directory.member(AR)
    seen = publish(held, enrolment, version=3)
    assert [(alarm.member, alarm.change) for alarm in seen.alarms] == [(AR, Continuity.KEY_RESET)]
    assert seen.directory.member(AR) == before
    files = verified(with_member(enrolment), version=3)
    waiting = merge(seen.trusted, files, now=LATER + RESET_DELAY * 0.99)
    assert waiting.alarms == ()
    assert waiting.directory.member(AR) == before
    passed = merge(waiting.trusted, files, now=LATER + RESET_DELAY)
    assert passed.alarms == ()
    assert passed.trusted.kept_back == ()
    assert passed.directory.member(AR).enrolment == enrolment.signed


def test_a_ghost_member_alarms_and_has_no_effect_for_a_day() -> None:
    ghost = enrol(UY, at=LATER)
    files = {
        **with_member(ghost),
        audience_target(REGION): audience_file(kind=AudienceKind.REGION),
        "audiences/op-sur.json": audience_file(PE, UY),
    }
    seen = merge(HELD.trusted, verified(files, version=2), now=LATER)
    assert [(alarm.member, alarm.change) for alarm in seen.alarms] == [(UY, Continuity.FIRST)]
    assert seen.alarms[0].since == LATER
    assert UY not in seen.directory.members
    for audience in seen.directory.audiences.values():
        assert UY not in audience.members
        assert KEYS[UY].sealing.key_id not in seen.directory.sealing_slots(audience.id)
    passed = merge(seen.trusted, verified(files, version=2), now=LATER + RESET_DELAY)
    assert KEYS[UY].sealing.key_id in passed.directory.sealing_slots(REGION)


def test_the_administrator_may_approve_at_once_and_only_that_change() -> None:
    ghost = enrol(UY, at=LATER)
    swap = enrol(AR, STRANGER, at=LATER)
    files = verified({**with_member(ghost), member_target(AR): member_file(swap)}, version=2)
    seen = merge(HELD.trusted, files, now=LATER)
    approved = merge(seen.trusted.approve(UY), files, now=LATER)
    assert UY in approved.directory.members
    assert key_ids(approved.directory, AR) == [KEYS[AR].signing.key_id]
    assert [change.member for change in approved.trusted.kept_back] == [AR]


def test_a_reader_believes_the_enrolment_that_it_made_itself() -> None:
    own, others = enrol(AR, STRANGER, at=LATER), enrol(PE, new_keys(), at=LATER)
    files = verified({**with_member(own), member_target(PE): member_file(others)}, version=2)
    seen = merge(HELD.trusted, files, now=LATER, own=own.signed.digest)
    assert key_ids(seen.directory, AR) == [STRANGER.signing.key_id]
    assert [alarm.member for alarm in seen.alarms] == [PE]


def test_another_swap_begins_another_wait() -> None:
    first = publish(HELD, enrol(AR, STRANGER, at=LATER))
    approved = first.trusted.approve(AR)
    second = verified(with_member(enrol(AR, new_keys(), at=LATER)), version=3)
    seen = merge(approved, second, now=LATER + RESET_DELAY)
    assert [alarm.member for alarm in seen.alarms] == [AR]
    assert seen.directory.member(AR) == HELD.directory.member(AR)


def test_a_swap_taken_back_leaves_nothing_waiting() -> None:
    seen = publish(HELD, enrol(AR, STRANGER, at=LATER))
    back = merge(seen.trusted, verified(version=3), now=LATER + RESET_DELAY)
    assert back.trusted.kept_back == ()
    assert back.directory == directory(version=3)


def test_a_member_that_vanished_is_remembered_when_it_comes_back() -> None:
    without = {name: data for name, data in targets().items() if name != member_target(CL)}
    gone = merge(HELD.trusted, verified(without, version=2), now=LATER)
    assert CL not in gone.directory.members
    back = publish(gone, enrol(CL, STRANGER, at=LATER), version=3)
    assert [(alarm.member, alarm.change) for alarm in back.alarms] == [(CL, Continuity.KEY_RESET)]


def test_the_coordinators_own_word_counts_at_once() -> None:
    files = {**targets(), member_target(AR): member_file(ENROLMENTS[AR], status=MemberStatus.SUSPENDED)}
    changed = merge(HELD.trusted, verified(files, version=2), now=LATER)
    assert changed.alarms == ()
    assert changed.directory.member(AR).status is MemberStatus.SUSPENDED
    swapped = {
        **targets(),
        member_target(AR): member_file(enrol(AR, STRANGER, at=LATER), status=MemberStatus.SUSPENDED),
    }
    both = merge(HELD.trusted, verified(swapped, version=2), now=LATER)
    assert both.directory.member(AR).status is MemberStatus.SUSPENDED
    assert key_ids(both.directory, AR) == [KEYS[AR].signing.key_id]


def test_a_change_is_judged_by_what_was_accepted() -> None:
    incoming = ENROLMENTS[AR].signed
    assert judge_change(None, incoming) is Continuity.FIRST
    assert judge_change(ENROLMENTS[AR].signed, incoming) is Continuity.CONTINUOUS


def test_a_site_may_wait_for_another_time() -> None:
    files = verified(with_member(enrol(AR, STRANGER, at=LATER)), version=2)
    seen = merge(HELD.trusted, files, now=LATER, delay=DAY / 2)
    assert merge(seen.trusted, files, now=LATER + DAY / 4, delay=DAY / 2).trusted.kept_back
    assert not merge(seen.trusted, files, now=LATER + DAY / 2, delay=DAY / 2).trusted.kept_back


def test_a_directory_older_than_the_one_held_is_refused() -> None:
    held = merge(HELD.trusted, verified(version=5), now=NOW)
    with pytest.raises(DirectoryRefused, match="older than 5") as refusal:
        merge(held.trusted, verified(version=4), now=LATER)
    assert refusal.value.code is Code.DIRECTORY_INVALID


def test_a_directory_of_another_federation_is_refused() -> None:
    files = {"federation.json": b'{"federation":"eur","schemas":[]}'}
    with pytest.raises(DirectoryRefused, match="belongs to ams"):
        merge(HELD.trusted, verified(files, version=2), now=LATER)


def test_what_is_held_comes_back_from_the_store() -> None:
    seen = publish(HELD, enrol(AR, STRANGER, at=LATER))
    data = seen.trusted.to_bytes()
    assert TrustedDirectory.from_bytes(data) == seen.trusted
    assert directory_from_bytes(data) == seen.directory
    with pytest.raises(DirectoryRefused, match="stored directory"):
        directory_from_bytes(b"{}")


def test_a_removal_is_remembered_with_the_time_at_which_it_was_learned() -> None:
    files = {**targets(), member_target(AR): member_file(ENROLMENTS[AR], status=MemberStatus.SUSPENDED)}
    gone = merge(HELD.trusted, verified(files, version=2), now=NOW + DAY)
    assert {(each.audience, each.version, each.seen_at) for each in gone.directory.removals} == {
        (REGION, 2, NOW + DAY),
        (CONDOR, 2, NOW + DAY),
    }
    kept = TrustedDirectory.from_bytes(gone.trusted.to_bytes())
    again = merge(kept, verified(files, version=3), now=NOW + 2 * DAY)
    assert again.directory.removals == gone.directory.removals
    tolerated, tick = NOW + DAY + timedelta(minutes=5), timedelta(microseconds=1)
    asks = again.directory.predates_removal
    assert not asks(REGION, version=1, issued_at=tolerated)
    assert asks(REGION, version=1, issued_at=tolerated + tick)
    assert not asks(REGION, version=2, issued_at=tolerated + tick)
    assert not asks(AudienceId("nowhere"), version=1, issued_at=tolerated + tick)


def test_only_so_many_removals_are_remembered() -> None:
    trusted = HELD.trusted
    out = {**targets(), member_target(CL): member_file(ENROLMENTS[CL], status=MemberStatus.SUSPENDED)}
    for version in range(2, 2 * REMOVALS_MAX + 6):
        files = out if version % 2 == 0 else targets()
        trusted = merge(trusted, verified(files, version=version), now=NOW).trusted
    assert len(trusted.removals) == REMOVALS_MAX
    assert trusted.removals[-1].version == 2 * REMOVALS_MAX + 4
