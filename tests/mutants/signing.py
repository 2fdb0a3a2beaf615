"""Controls of the directory's ceremonies: who signs, what, and when it takes effect."""

from __future__ import annotations

from mutants.mutant import Mutant

PROPOSAL = "tests/unit/trust/test_proposal.py"
REFUSED = f"{PROPOSAL}::test_what_is_not_sound_is_refused_whoever_has_signed_it"
HYBRID = "tests/unit/trust/test_hybrid.py"
CHANGES = "tests/unit/trust/test_changes.py"

MUTANTS = (
    Mutant(
        "the post-quantum half of a role's signature is not checked",
        "trust/hybrid.py",
        "            self._mldsa65.verify(both[ED25519_SIGNATURE:], message)\n",
        "",
        f"{HYBRID}::test_a_signature_that_is_not_both_is_none",
    ),
    Mutant(
        "the classical half of a role's signature is not checked",
        "trust/hybrid.py",
        "            self._ed25519.verify(both[:ED25519_SIGNATURE], message)\n",
        "",
        f"{HYBRID}::test_a_signature_that_is_not_both_is_none",
    ),
    Mutant(
        "one role key counts under two names",
        "trust/hybrid.py",
        "        if key.keyid != keyid or ",
        "        if ",
        f"{HYBRID}::test_one_key_under_two_names_does_not_count_twice",
    ),
    Mutant(
        "a root may name keys of another algorithm",
        "trust/refresh.py",
        "        require_hybrid(signed)\n",
        "",
        f"{HYBRID}::test_a_root_that_lets_in_another_algorithm_is_refused_by_readers",
    ),
    Mutant(
        "one signature publishes",
        "trust/judged.py",
        "        return max(0, self.threshold - len(self.signed))",
        "        return max(0, 1 - len(self.signed))",
        f"{PROPOSAL}::test_it_takes_effect_at_the_threshold_and_not_before",
    ),
    Mutant(
        "a proposal is published over a newer version",
        "trust/judged.py",
        "        if part.base != base.version(part.role):",
        "        if part.base < 0:",
        f"{PROPOSAL}::test_a_proposal_of_which_the_base_was_published_over_is_refused",
    ),
    Mutant(
        "a file is exchanged under a signature",
        "trust/judged.py",
        "            target.verify_length_and_hashes(data)\n",
        "            pass\n",
        REFUSED,
    ),
    Mutant(
        "a new root need not be let in by the old one's quorum",
        "trust/judged.py",
        '    return (_signers(part, "root before", base.root), after)',
        "    return (after,)",
        f"{PROPOSAL}::test_a_new_root_quorum_is_let_in_by_the_old_one_and_shows_its_keys",
    ),
    Mutant(
        "bytes are signed that say more than is shown",
        "trust/judged.py",
        " or signed.unrecognized_fields:",
        ":",
        REFUSED,
    ),
    Mutant(
        "a key reset is shown as the member's own change",
        "trust/changes.py",
        " is Continuity.KEY_RESET:",
        " is Continuity.FIRST:",
        f"{CHANGES}::test_each_change_has_its_line",
    ),
)
