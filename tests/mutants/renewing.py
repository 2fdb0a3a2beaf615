"""Controls of a member's own keys: renewals, tokens, passphrases and backups."""

from __future__ import annotations

from mutants.mutant import Mutant

RENEWAL = "tests/unit/trust/test_renewal.py"
TOKEN = "tests/unit/trust/test_token.py"

MUTANTS = (
    Mutant(
        "anybody asks for a certificate in a member's name",
        "trust/renewal.py",
        "in_force[each.key_id].verify(each.signature, pae(RENEWAL_TYPE, renewal.signed.renewal))",
        "pass",
        f"{RENEWAL}::test_a_request_that_was_changed_is_refused",
    ),
    Mutant(
        "a request of long ago gets a certificate",
        "trust/renewal.py",
        "    if not now - RENEWAL_LIFETIME <= renewal.made_at <= now + CLOCK_TOLERANCE:",
        "    if renewal.made_at > now + CLOCK_TOLERANCE:",
        f"{RENEWAL}::test_a_request_that_is_not_the_members_own_is_refused",
    ),
    Mutant(
        "a suspended member renews its certificate",
        "coordinator/renewals.py",
        "    if file is None or file.status is not MemberStatus.ACTIVE:",
        "    if file is None:",
        "tests/unit/coordinator/test_renewals.py::test_a_member_that_is_not_active_gets_none",
    ),
    Mutant(
        "a node leaves its brokers for an address where none answers",
        "node/renewal.py",
        "        if not await answers(bootstrap, context):",
        "        if context is None:",
        "tests/unit/node/test_renewal.py"
        "::test_brokers_that_do_not_answer_at_their_new_address_are_not_moved_to",
    ),
    Mutant(
        "a URI may hold the PIN",
        "trust/tokenuri.py",
        '        if name == "pin-value":\n            raise _wrong("it holds the PIN (pin-value)")\n',
        '        if name == "pin-value":\n            continue\n',
        "tests/unit/trust/test_tokenuri.py::test_a_pin_in_the_uri_is_refused_and_not_repeated",
    ),
    Mutant(
        "a wrong PIN is tried until the token locks",
        "trust/token.py",
        "        if pin == self._refused_pin:",
        "        if pin is None:",
        f"{TOKEN}::test_a_pin_that_was_changed_meanwhile_is_tried_once_only",
    ),
    Mutant(
        "another token's key signs for the node",
        "trust/token.py",
        "        if public != self.public:",
        "        if public is None:",
        f"{TOKEN}::test_another_key_in_its_place_does_not_sign_for_the_node",
    ),
    Mutant(
        "what a backup says in clear may be exchanged",
        "trust/keybackup.py",
        "    return FORMAT.encode() + msgspec.json.encode(header)",
        "    return FORMAT.encode()",
        "tests/unit/trust/test_keybackup.py::test_a_changed_part_does_not_open",
    ),
    Mutant(
        "a crash leaves half of the keys under the new passphrase",
        "trust/replacement.py",
        "    replace_file(plan, msgspec.json.encode([str(path) for path in files]))\n    finish(plan)\n",
        "    for path in files:\n        move_file(_draft(path), path)\n",
        "tests/unit/trust/test_replacement.py::test_a_crash_at_any_step_leaves_all_old_or_all_new",
    ),
)
