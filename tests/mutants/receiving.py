"""Controls of what becomes of a proven record."""

from __future__ import annotations

from mutants.mutant import Mutant

STOLEN = "tests/attacks/test_stolen_key.py"
ABSORB = "tests/unit/subscriber/test_absorb.py"
WATCH = "tests/unit/node/test_watch.py"

MUTANTS = (
    Mutant(
        "an author goes back to an older directory",
        "subscriber/poll.py",
        "verified.head.directory_version < state.row.directory_version:",
        "verified.head.directory_version < 0:",
        f"{ABSORB}::test_an_author_never_goes_back_to_an_older_directory",
    ),
    Mutant(
        "two statements for one place leave no trace",
        "subscriber/poll.py",
        "        self._evidence.append(equivocation(verified, expected, at=self._micros))\n",
        "",
        f"{ABSORB}::test_two_statements_at_one_place_are_kept_as_evidence",
    ),
    Mutant(
        "what a new epoch leaves out leaves no trace",
        "subscriber/poll.py",
        "                self._evidence.append(truncated(state.stream, row, at=self._micros))\n",
        "",
        f"{ABSORB}::test_a_new_epoch_gives_up_what_lay_beyond_its_start",
    ),
    Mutant(
        "a gap is not waited for",
        "subscriber/poll.py",
        "            if self._now - since < self._gap_wait:",
        "            if self._now < since:",
        f"{ABSORB}::test_a_gap_is_read_again_and_then_passed_over_marked",
    ),
    Mutant(
        "every gap has a wait of its own",
        "subscriber/poll.py",
        "            if not timedelta() <= self._now - state.waited_until < self._gap_wait:",
        "            if True:",
        "tests/attacks/test_silence.py"
        "::test_gaps_delay_what_follows_by_a_minute_in_all_however_many_they_are",
    ),
    Mutant(
        "a heartbeat shown again sets the clock back",
        "subscriber/state.py",
        "        if next_by < self.row.next_by:",
        "        if next_by < 0:",
        f"{ABSORB}::test_a_heartbeat_claims_the_head_and_an_older_one_changes_nothing",
    ),
    Mutant(
        "a heartbeat from a clock that is ahead hides its member's silence",
        "subscriber/state.py",
        "        next_by = min(beat.next_by, now + AHEAD_MAX + max(0, beat.next_by - beat.issued_at))",
        "        next_by = beat.next_by",
        f"{ABSORB}::test_a_heartbeat_from_a_day_ahead_bars_no_later_word_and_hides_no_silence",
    ),
    Mutant(
        "a heartbeat of a stolen key proves what it names",
        "subscriber/poll.py",
        "        if verified.ended or not state.hears(beat, now=self._micros):",
        "        if not state.hears(beat, now=self._micros):",
        f"{STOLEN}::test_a_heartbeat_of_an_ended_key_says_nothing",
    ),
    Mutant(
        "a stolen key goes on where its successor has not spoken",
        "wire/chain.py",
        "    if ended:\n        return _judge_ended(",
        "    if ended and superseded:\n        return _judge_ended(",
        f"{STOLEN}::test_a_thief_adds_nothing_once_the_reader_knows",
    ),
    Mutant(
        "a far epoch of a stolen key locks its member out",
        "subscriber/poll.py",
        "            held = self._set_aside(state, held, chain.Place(head.epoch, head.seq))",
        "            pass",
        f"{STOLEN}::test_what_was_stored_before_stays_and_the_successor_goes_on",
    ),
    Mutant(
        "what came before its key was listed is lost",
        "subscriber/poll.py",
        "                state.update(unknown_from=received.offset)",
        "                pass",
        f"{STOLEN}::test_a_key_that_the_reader_does_not_know_yet_is_judged_again",
    ),
    Mutant(
        "a heartbeat of another chain is believed",
        "subscriber/poll.py",
        "        if claim is not chain.Claim.FORKED:",
        "        if claim is not chain.Claim.AGREES:",
        f"{WATCH}::test_a_heartbeat_of_another_chain_is_evidence_at_once",
    ),
    Mutant(
        "an id used again for other content goes unnoticed",
        "subscriber/deliver.py",
        "            elif before != message.content:",
        "            elif not before:",
        f"{ABSORB}::test_an_id_used_again_with_other_content_is_quarantined",
    ),
    Mutant(
        "a receipt that contradicts the chain is forgotten with the next",
        "node/watch.py",
        "    quarantine.keep_evidence(connection, rows)\n",
        "",
        f"{WATCH}::test_a_contradicting_receipt_stays_on_record_when_the_next_one_agrees",
    ),
    Mutant(
        "what others know and I lack is nothing to show",
        "node/streams.py",
        "    return bool(word.unmet_since) and late > withheld_after",
        "    return bool(word.unmet_since) and late < withheld_after",
        f"{WATCH}::test_a_receipt_that_knows_more_is_withheld_once_the_wait_is_over",
    ),
)
