"""Controls of the encoding and of the chain."""

from __future__ import annotations

from mutants.mutant import Mutant

AVRO = "tests/unit/wire/test_avro.py"
CHAIN = "tests/unit/wire/test_chain.py"
RECORDS = "tests/unit/wire/test_records.py"
MESSAGES = "tests/unit/wire/test_messages.py"

MUTANTS = (
    Mutant(
        "bytes may follow a value",
        "wire/avro.py",
        "    if end != len(data):",
        "    if end > len(data):",
        f"{AVRO}::test_bytes_that_are_no_statement_are_refused_with_their_code",
    ),
    Mutant(
        "no cap on the size",
        "wire/avro.py",
        "    if len(data) > cap:",
        "    if len(data) > 1000 * cap:",
        f"{RECORDS}::test_more_than_the_cap_is_refused_before_it_is_decoded",
    ),
    Mutant(
        "a number may have a longer form",
        "wire/avro.py",
        "            if place and not byte:",
        "            if place < 0:",
        f"{AVRO}::test_a_long_in_another_than_its_shortest_form_is_refused",
    ),
    Mutant(
        "a batch may go on behind its messages",
        "wire/messages.py",
        '    if data[at:] != (_END_OF_ARRAY if count else b""):',
        "    if not data[at:] and count:",
        f"{MESSAGES}::test_what_is_no_batch_is_refused_as_a_whole",
    ),
    Mutant(
        "a message of any size",
        "wire/messages.py",
        "            if end - at > MESSAGE_MAX:",
        "            if end < at:",
        "tests/attacks/test_message_bombs.py::test_the_largest_message_is_read_and_a_larger_one_is_not",
    ),
    Mutant(
        "compressed records are unpacked",
        "bus/kafka/__init__.py",
        "\nrefuse_compressed_records()\n",
        "\n",
        "tests/attacks/test_decompression.py::"
        "test_a_broker_that_serves_compressed_records_itself_is_told_off_before_they_are_unpacked",
    ),
    Mutant(
        "recipients in any order, and twice",
        "wire/messages.py",
        "    if recipients != sorted(set(recipients)):",
        "    if not recipients:",
        f"{MESSAGES}::test_what_is_no_batch_is_refused_as_a_whole",
    ),
    Mutant(
        "the content of a message is the same whoever it is for",
        "wire/messages.py",
        """    digest.update(f"\\0{audience}\\0{' '.join(recipients)}".encode())\n""",
        "",
        f"{MESSAGES}::test_the_content_hash_tells_apart_what_is_said_and_to_whom",
    ),
    Mutant(
        "a record may have a longer form",
        "wire/records.py",
        '    if not value.startswith(_up_to_last("SignedRecord", {**fields, "content": b""}, len(content))):',
        "    if not value:",
        f"{RECORDS}::test_a_longer_form_of_a_number_is_not_canonical",
    ),
    Mutant(
        "a member may have two slots",
        "wire/records.py",
        "    if any(left >= right for left, right in pairwise(ids)):",
        "    if any(left > right for left, right in pairwise(ids)):",
        f"{RECORDS}::test_slots_must_be_sorted_one_each",
    ),
    Mutant(
        "numbers of a head beyond any range",
        "wire/records.py",
        "    if not low <= number < end:",
        "    if number is None:",
        f"{RECORDS}::test_a_number_out_of_range_is_malformed",
    ),
    Mutant(
        "prev is not compared",
        "wire/chain.py",
        """        if head.prev != chain.hash:
            return Equivocation(place=chain.place, expected=chain.hash)
        return Next(""",
        "        return Next(",
        f"{CHAIN}::test_the_next_seq_with_another_prev_is_an_equivocation_over_the_head",
    ),
    Mutant(
        "another statement at a held place is a duplicate",
        "wire/chain.py",
        "return Duplicate() if held == statement_hash else Equivocation(place=here, expected=held)",
        "return Duplicate()",
        f"{CHAIN}::test_another_hash_at_a_held_place_is_an_equivocation",
    ),
    Mutant(
        "a statement of an ended epoch is only early",
        "wire/chain.py",
        "    return BeforeAnchor() if head.epoch == chain.epoch else OldEpoch()",
        "    return BeforeAnchor()",
        f"{CHAIN}::test_a_statement_of_an_ended_epoch_is_refused",
    ),
    Mutant(
        "a stolen key goes on in an ended epoch",
        "wire/chain.py",
        "        if gap.low_epoch == gap.high_epoch:",
        "        if gap.low_epoch <= gap.high_epoch:",
        f"{CHAIN}::test_a_gap_across_epochs_takes_ancestors_of_the_later_epoch_alone",
    ),
    Mutant(
        "a fill need not meet the low end of its gap",
        "wire/chain.py",
        "    if follows_low and head.prev != gap.low_hash:",
        "    if follows_low and not head.prev:",
        f"{CHAIN}::test_the_last_fill_is_an_equivocation_if_the_ends_do_not_meet",
    ),
    Mutant(
        "a claim of another head agrees",
        "wire/chain.py",
        "return Claim.AGREES if claimed_hash == chain.hash else Claim.FORKED",
        "return Claim.AGREES",
        f"{CHAIN}::test_a_claim_is_compared_with_what_is_held",
    ),
)
