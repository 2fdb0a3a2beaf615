"""Controls of what a record proves: `trust/admit.py`."""

from __future__ import annotations

from mutants.mutant import Mutant

ADMIT = "trust/admit.py"
TESTS = "tests/unit/trust/test_admit.py"
OPENING = "tests/unit/trust/test_open.py"
UNPROVEN = f"{TESTS}::test_a_record_that_proves_nothing_is_refused_before_its_payload_is_decoded"
NOT_HERE = f"{TESTS}::test_what_is_signed_and_does_not_belong_here_touches_no_chain"
ADDRESSED = f"{OPENING}::test_a_batch_names_its_readers_as_its_scope_says"

MUTANTS = (
    Mutant(
        "the signature is not checked",
        ADMIT,
        "        key.public.verify(signature.signature, pae(record.payload_type, record.payload))",
        "        pae(record.payload_type, record.payload)",
        UNPROVEN,
    ),
    Mutant(
        "the payload type is not signed",
        ADMIT,
        "verify(signature.signature, pae(record.payload_type, record.payload))",
        "verify(signature.signature, pae(PAYLOAD_STATEMENT, record.payload))",
        UNPROVEN,
    ),
    Mutant(
        "one signature of several is enough",
        ADMIT,
        "    if len(record.signatures) > 1:",
        "    if len(record.signatures) > 2:",
        UNPROVEN,
    ),
    Mutant(
        "a key speaks at any time",
        ADMIT,
        "    if from_micros(issued_at) < key.valid_from - CLOCK_TOLERANCE:",
        "    if key.valid_from < key.valid_from - CLOCK_TOLERANCE:",
        f"{TESTS}::test_a_key_speaks_for_its_member_from_its_start_on",
    ),
    Mutant(
        "the content may be exchanged",
        ADMIT,
        "    if sha256(record.content).digest() != statement.content_hash:",
        "    if not statement.content_hash:",
        f"{TESTS}::test_a_content_that_its_author_did_not_sign_proves_nothing",
    ),
    Mutant(
        "any member may write any stream",
        ADMIT,
        "    if member.id != stream.publisher:",
        "    if not member.id:",
        NOT_HERE,
    ),
    Mutant(
        "a statement may stand on another stream",
        ADMIT,
        "    if (said.federation, said.audience, said.publisher) != (directory.federation, *stream):",
        "    if not said.federation:",
        NOT_HERE,
    ),
    Mutant(
        "a statement of a newer directory is judged by the old one",
        ADMIT,
        "    if head.directory_version > directory.version:",
        "    if head.directory_version < 0:",
        f"{TESTS}::test_a_statement_of_a_newer_directory_is_held_until_it_has_come",
    ),
    Mutant(
        "who is not in the audience speaks there",
        ADMIT,
        "    if member.id not in audience.members:\n        raise RefusedInChain(",
        "    if not audience.id:\n        raise RefusedInChain(",
        f"{TESTS}::test_a_statement_from_outside_the_audience_is_refused_in_its_place_in_the_chain",
    ),
    Mutant(
        "a member may be left out of what is for all",
        ADMIT,
        "        if refusal.code is Code.NOT_FOR_ME and head.scope is Scope.AUDIENCE:",
        "        if refusal.code is Code.UNSEALABLE and head.scope is Scope.AUDIENCE:",
        f"{OPENING}::test_nobody_in_the_audience_may_be_left_out_of_what_is_for_all",
    ),
    Mutant(
        "a schema that nobody allowed is decoded",
        ADMIT,
        "    if _batch_schema() not in directory.schemas:",
        "    if not _batch_schema():",
        f"{OPENING}::test_a_schema_that_the_directory_does_not_allow_is_not_decoded",
    ),
    Mutant(
        "who is not named reads a list",
        ADMIT,
        "    return bool(recipients) and reader in {*recipients, publisher}",
        "    return bool(recipients)",
        ADDRESSED,
    ),
    Mutant(
        "an empty list names everyone",
        ADMIT,
        "    return bool(recipients) and reader in {*recipients, publisher}",
        "    return not recipients or reader in {*recipients, publisher}",
        ADDRESSED,
    ),
    Mutant(
        "what is for all may name some",
        ADMIT,
        "        return not recipients",
        "        return True",
        ADDRESSED,
    ),
)
