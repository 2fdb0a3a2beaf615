"""Controls of the seal, and of who may open it."""

from __future__ import annotations

from mutants.mutant import Mutant

SEAL = "tests/unit/wire/test_seal.py"
SEALING = "tests/unit/publisher/test_sealing.py"

MUTANTS = (
    Mutant(
        "the commitment is not checked",
        "wire/seal.py",
        "    if key_commitment(statement_key) != head.key_commitment:",
        "    if not head.key_commitment:",
        "tests/attacks/test_two_texts.py"
        "::test_a_ciphertext_made_for_two_keys_opens_with_the_committed_one_alone",
    ),
    Mutant(
        "the head is not authenticated with the ciphertext",
        "wire/seal.py",
        "    return _framed(_SEALED_BATCH, PAYLOAD_STATEMENT.encode(), head_bytes)",
        "    return _framed(_SEALED_BATCH, PAYLOAD_STATEMENT.encode())",
        f"{SEAL}::test_a_batch_lifted_under_another_head_is_unsealable",
    ),
    Mutant(
        "a slot that opens is not compared with the head",
        "wire/seal.py",
        "    if sender_key_id(key) != sender_key:",
        "    if not sender_key:",
        "tests/unit/trust/test_open.py::test_a_list_is_not_for_a_member_whose_slot_opens_to_noise",
    ),
    Mutant(
        "a list has slots for its members alone",
        "wire/seal.py",
        "        for key_id in sorted(slots)",
        "        for key_id in sorted(readers)",
        f"{SEAL}::test_a_list_and_the_audience_look_alike",
    ),
    Mutant(
        "every slot of a list holds the key",
        "wire/seal.py",
        "sender_key.key if key_id in readers else os.urandom(KEY_BYTES)",
        "sender_key.key",
        f"{SEAL}::test_a_member_not_entitled_opens_its_slot_to_nothing_of_use",
    ),
    Mutant(
        "all statements under a sender key share one key",
        "wire/seal.py",
        "    info = _framed(_STATEMENT_KEY, *context.parts(), _u64(seq))",
        "    info = _framed(_STATEMENT_KEY, *context.parts())",
        f"{SEAL}::test_every_place_has_its_own_statement_key",
    ),
    Mutant(
        "a slot is good in every stream",
        "wire/seal.py",
        "    return _framed(_KEY_WRAP, *context.parts(), sender_key, key_id)",
        "    return _framed(_KEY_WRAP, sender_key, key_id)",
        f"{SEAL}::test_a_slot_opens_in_its_own_stream_and_epoch_alone",
    ),
    Mutant(
        "a nonce is used again",
        "wire/seal.py",
        "    nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce",
        "    nonce = bytes(NONCE_BYTES) if nonce is None else nonce",
        f"{SEAL}::test_nonces_are_random_unless_a_vector_gives_one",
    ),
    Mutant(
        "any size is a bucket",
        "wire/seal.py",
        "    if len(sealed) not in _SEALED_SIZES:",
        "    if len(sealed) < min(_SEALED_SIZES) // 2:",
        f"{SEAL}::test_a_size_that_is_no_buckets_is_refused",
    ),
    Mutant(
        "the padding is not looked at",
        "wire/padding.py",
        "    if pad(batch) != padded:",
        "    if not padded:",
        f"{SEAL}::test_padding_in_another_form_is_refused",
    ),
    Mutant(
        "a sender key lives for ever",
        "publisher/sealing.py",
        "            and abs(now - live.born) < SENDER_KEY_LIFETIME\n",
        "",
        f"{SEALING}::test_a_key_lives_at_most_a_day",
    ),
    Mutant(
        "a reader that has left keeps the sender key",
        "publisher/sealing.py",
        "            and live.slots == slots.keys()\n",
        "",
        f"{SEALING}::test_a_change_of_readers_makes_a_new_key_for_the_audience_and_every_list",
    ),
    Mutant(
        "one that joins without a sealing key is owed what was said before",
        "publisher/sealing.py",
        "            and live.keyless == keyless\n",
        "",
        "tests/unit/subscriber/test_shared_keys.py"
        "::test_one_that_joins_without_a_key_is_owed_nothing_from_before",
    ),
    Mutant(
        "a list is sealed to the whole audience",
        "publisher/sealing.py",
        "                if not group.recipients or member in group.recipients\n",
        "",
        f"{SEALING}::test_a_statement_opens_for_those_it_names_and_for_nobody_else",
    ),
    Mutant(
        "an empty list is everyone",
        "publisher/accept.py",
        "    if to is not None and not recipients:",
        "    if to is None and message.recipients and not recipients:",
        "tests/unit/publisher/test_accept.py::test_refused",
    ),
)
