"""Controls of what a record proves: `trust/admit.py` and `trust/signatures.py`."""

from __future__ import annotations

from mutants.mutant import Mutant

ADMIT = "trust/admit.py"
SIGNATURES = "trust/signatures.py"
TESTS = "tests/unit/trust/test_admit.py"
OPENING = "tests/unit/trust/test_open.py"
UNPROVEN = f"{TESTS}::test_a_record_that_proves_nothing_is_refused_before_its_payload_is_decoded"
SECOND = "tests/unit/trust/test_checkpoints.py::test_a_second_signature_left_out_or_altered_proves_nothing"
NOT_HERE = f"{TESTS}::test_what_is_signed_and_does_not_belong_here_touches_no_chain"
ADDRESSED = f"{OPENING}::test_a_batch_names_its_readers_as_its_scope_says"

MUTANTS = (
    Mutant(
        "the signature is not checked",
        SIGNATURES,
        "        key.public.verify(signature.signature, pae(record.payload_type, record.payload))",
        "        pae(record.payload_type, record.payload)",
        UNPROVEN,
    ),
    Mutant(
        "the payload type is not signed",
        SIGNATURES,
        "key.public.verify(signature.signature, pae(record.payload_type, record.payload))",
        "key.public.verify(signature.signature, pae(PAYLOAD_STATEMENT, record.payload))",
        UNPROVEN,
    ),
    Mutant(
        "one signature of several is enough",
        SIGNATURES,
        "    if len(record.signatures) > 1:",
        "    if len(record.signatures) > 2:",
        SECOND,
    ),
    Mutant(
        "a checkpoint may lose its second signature",
        SIGNATURES,
        "    if not keys:",
        "    if not keys or len(record.signatures) < _CHECKPOINT_SIGNATURES:",
        SECOND,
    ),
    Mutant(
        "the second signature is not checked",
        SIGNATURES,
        "        public.verify(signature.signature, pae(record.payload_type, record.payload))\n",
        "        pae(record.payload_type, record.payload)\n",
        SECOND,
    ),
    Mutant(
        "a key speaks at any time",
        SIGNATURES,
        "    if from_micros(issued_at) < key.valid_from - CLOCK_TOLERANCE:",
        "    if key.valid_from < key.valid_from - CLOCK_TOLERANCE:",
        f"{TESTS}::test_a_key_speaks_for_its_member_from_its_start_on",
    ),
    Mutant(
        "the content may be exchanged",
        ADMIT,
        "    if sha256(said.record.content).digest() != statement.content_hash:",
        "    if not statement.content_hash:",
        f"{TESTS}::test_a_content_that_its_author_did_not_sign_proves_nothing",
    ),
    Mutant(
        "any member may write any stream",
        ADMIT,
        "    if member != stream.publisher:",
        "    if not member:",
        NOT_HERE,
    ),
    Mutant(
        "a statement may stand on another stream",
        ADMIT,
        "    if (what.federation, what.audience, what.publisher) != (said.directory.federation, *stream):",
        "    if not what.federation:",
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
        "    if said.member.id not in audience.members:\n        raise RefusedInChain(",
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
