"""Controls of whom a reader believes."""

from __future__ import annotations

from mutants.mutant import Mutant

CONTINUITY = "tests/unit/trust/test_continuity.py"
DIRECTORY = "tests/unit/trust/test_directory.py"
REFRESH = "tests/unit/trust/test_refresh.py"
UNVOUCHED = f"{CONTINUITY}::test_a_change_that_the_member_did_not_sign_alarms_and_has_no_effect_for_a_day"

MUTANTS = (
    Mutant(
        "a new key or member counts at once",
        "trust/continuity.py",
        "        if change.approved or change.since + delay <= now:",
        "        if change.approved or change.since <= now:",
        f"{CONTINUITY}::test_a_ghost_member_alarms_and_has_no_effect_for_a_day",
    ),
    Mutant(
        "an old enrolment takes the place of a newer one",
        "trust/continuity.py",
        "    if after.made_at <= before.made_at:",
        "    if after.made_at == before.made_at:",
        UNVOUCHED,
    ),
    Mutant(
        "a retired key vouches for a new one",
        "trust/continuity.py",
        "    for entry in before.signing_keys_in_force():",
        "    for entry in before.signing_keys:",
        UNVOUCHED,
    ),
    Mutant(
        "the store's directory may be rolled back",
        "trust/continuity.py",
        "    if proposed.version < held.version:",
        "    if proposed.version < 0:",
        f"{CONTINUITY}::test_a_directory_older_than_the_one_held_is_refused",
    ),
    Mutant(
        "a member need not sign its own file",
        "trust/enrolment.py",
        "    for entry in in_force:\n        verify_signature(signed, entry)\n",
        "",
        "tests/unit/trust/test_enrolment.py::test_the_coordinator_cannot_forge_an_enrolment",
    ),
    Mutant(
        "a directory never expires to TUF",
        "trust/refresh.py",
        "        updater._trusted_set.reference_time = now ",
        "        updater._trusted_set.reference_time = now.replace(year=2000) ",
        f"{REFRESH}::test_a_frozen_directory_is_noticed_when_its_timestamp_ends",
    ),
    Mutant(
        "the first root is whichever is shown",
        "trust/refresh.py",
        "            bootstrap=root,",
        '            bootstrap=files["metadata/1.root.json"],',
        f"{REFRESH}::test_another_first_root_than_the_one_compared_is_refused",
    ),
    Mutant(
        "a target's hash is not checked",
        "trust/refresh.py",
        "    target.verify_length_and_hashes(data)\n",
        "",
        f"{REFRESH}::test_an_attack_is_refused_and_the_honest_files_are_read_after_it",
    ),
    Mutant(
        "an expired directory goes on sealing",
        "trust/directory.py",
        "        if self.standing(now) is Standing.EXPIRED:",
        "        if self.standing(now) is Standing.FRESH and not self.members:",
        f"{DIRECTORY}::test_nothing_is_sealed_by_an_expired_directory",
    ),
    Mutant(
        "two members may have one signing key",
        "trust/directory.py",
        "                if entry.key_id in signers:",
        "                if entry.key_id == b'':",
        f"{DIRECTORY}::test_two_members_cannot_share_a_key",
    ),
    Mutant(
        "a member's file may hold another's enrolment",
        "trust/targets.py",
        "    if enrolment.member != _name_in(target, MEMBERS):",
        "    if not enrolment.member:",
        f"{DIRECTORY}::test_files_that_contradict_make_no_directory",
    ),
    Mutant(
        "a member that is not active is in its audiences",
        "trust/targets.py",
        "member for member in listed if member in members and members[member].status is MemberStatus.ACTIVE",
        "member for member in listed if member in members",
        f"{DIRECTORY}::test_a_member_that_is_not_active_is_in_no_audience",
    ),
    Mutant(
        "a certificate for a key that its owner does not hold",
        "trust/certificates.py",
        "    if not request.is_signature_valid:",
        "    if request.is_signature_valid is None:",
        "tests/unit/trust/test_certificates.py::test_a_request_that_proves_no_fitting_key_is_refused",
    ),
)
