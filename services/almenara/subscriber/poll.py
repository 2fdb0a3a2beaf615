"""What becomes of each record that arrives?

    record --admit--> heartbeat -----------------> claim about the head
                  |-> statement --judge--> Next, Anchor, NewEpoch, Fill --> opened, delivered
                  |                   |--> Gap, Early -----> the stream waits and is read again
                  |                   |--> Unproven -------> passed over until the successor's word
                  |                   |--> Duplicate ------> nothing
                  |                   '--> Equivocation ---> evidence, alarm
                  |-> Held ----------------------> the stream waits for the directory
                  '-> refused -------------------> quarantine

All that one poll brought is written in the transaction of absorb.py, or none of it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

import structlog

from almenara.clock import to_micros
from almenara.errors import Code, Held, RecordRefused, StatementRefused
from almenara.store import inbox, quarantine
from almenara.store.quarantine import FORKED_CLAIM, Evidence
from almenara.store.witness import Claim
from almenara.subscriber.deliver import Delivery, Reader
from almenara.subscriber.kept import equivocation, refused_record, too_late, truncated
from almenara.subscriber.late import open_late
from almenara.subscriber.state import Seek, StreamState, Wait
from almenara.trust.admit import RefusedInChain, VerifiedHeartbeat, VerifiedStatement, admit
from almenara.wire import chain
from almenara.wire.records import GENESIS_PREV

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.bus.received import Received
    from almenara.model.ids import Stream
    from almenara.trust.directory import Directory
    from almenara.wire.chain import Anchor, ChainState, Fill, NewEpoch, Next, Span

RETRY = timedelta(seconds=1)
"""How often a stream that stands still looks again: cheap, one record."""

log = structlog.get_logger()


class Poll:
    """One transaction's work."""

    def __init__(
        self,
        connection: Connection,
        *,
        reader: Reader,
        gap_wait: timedelta,
        directory: Directory,
        now: datetime,
    ) -> None:
        self.seeks: dict[Stream, Seek] = {}
        self._gap_wait = gap_wait
        self._connection = connection
        self._directory = directory
        self._now = now
        self._micros = to_micros(now)
        self._delivery = Delivery(connection, reader=reader, directory=directory, now=now)
        self._evidence: list[Evidence] = []
        self._hashes: dict[tuple[Stream, int, int], bytes] = {}

    def take(self, state: StreamState, received: Received) -> None:
        """Take one record of a stream, unless the stream stands still since an earlier one."""
        if state.stream in self.seeks:
            return
        if state.links_lost:
            self._judge_again(state)
            return
        self._judge(state, received)
        if state.stream in self.seeks:
            return
        if state.wait is None or received.offset >= state.wait.offset:
            state.stand(None)
            state.update(next_offset=max(state.row.next_offset, received.offset + 1))

    def store(self, states: Collection[StreamState]) -> int:
        """Open what waited for its key, write everything; return how many messages are new."""
        open_late(self._connection, states, delivery=self._delivery, directory=self._directory, now=self._now)
        changed = [state for state in states if state.changed]
        inbox.save_chains(self._connection, [state.row for state in changed])
        for state in changed:
            if state.gaps_changed:
                inbox.save_gaps(self._connection, state.stream, state.gaps)
        quarantine.keep_evidence(self._connection, self._evidence)
        # After the chains, against which the claims among them are measured.
        return self._delivery.store()

    def _judge(self, state: StreamState, received: Received) -> None:
        try:
            admitted = admit(received.value, stream=state.stream, directory=self._directory, now=self._now)
        except Held as held:
            self._stand_still(state, held.code, received.offset)
        except RefusedInChain as refusal:
            self._refuse(state, received, refusal)
            self._statement(state, refusal.verified, received, refused=refusal.code)
        except (RecordRefused, StatementRefused) as refusal:
            if refusal.code is Code.UNKNOWN_KEY and state.row.unknown_from < 0:
                state.update(unknown_from=received.offset)
            self._refuse(state, received, refusal)
        else:
            if isinstance(admitted, VerifiedHeartbeat):
                self._heartbeat(state, admitted)
            else:
                self._statement(state, admitted, received)

    def _heartbeat(self, state: StreamState, verified: VerifiedHeartbeat) -> None:
        beat = verified.heartbeat
        if verified.ended or not state.hears(beat, now=self._micros):
            return  # no word of the member any more, or an older one, read again
        state.ended.stood_by = beat.head_hash
        if self._stands_by(state, beat.head_hash):
            return
        self._compare(state, verified)
        self._delivery.claim(
            Claim(
                audience=state.stream.audience,
                publisher=state.stream.publisher,
                witness=state.stream.publisher,
                epoch=beat.epoch,
                seq=beat.head_seq,
                hash=beat.head_hash,
                claimed_at=self._micros,
            )
        )

    def _compare(self, state: StreamState, verified: VerifiedHeartbeat) -> None:
        """Keep a heartbeat that names another statement than the one held at its place."""
        beat = verified.heartbeat
        known = self._hash_at(state.stream, beat.epoch, beat.head_seq)
        claim = chain.compare_claim(
            state.chain, epoch=beat.epoch, seq=beat.head_seq, claimed_hash=beat.head_hash, known=known
        )
        if claim is not chain.Claim.FORKED:
            return
        place = chain.Place(beat.epoch, beat.head_seq)
        log.error("stream.equivocation", stream=str(state.stream), epoch=place.epoch, seq=place.seq)
        self._evidence.append(
            Evidence(
                kind=FORKED_CLAIM,
                audience=state.stream.audience,
                publisher=state.stream.publisher,
                epoch=place.epoch,
                seq=place.seq,
                hash=beat.head_hash,
                known_hash=known or b"",
                kept_at=self._micros,
                record=verified.record,
            )
        )

    def _statement(
        self, state: StreamState, verified: VerifiedStatement, received: Received, *, refused: str = ""
    ) -> None:
        head = verified.head
        if not verified.ended and head.seq == 0 and self._stands_by(state, head.prev):
            return
        held = state.chain
        expected = held is not None and (head.epoch, head.seq) == (held.epoch, held.seq + 1)
        known = None if expected else self._hash_at(state.stream, head.epoch, head.seq)
        superseded = self._directory.is_in_force(state.row.key_id)
        if held is not None and known is None and not (superseded or verified.ended):
            held = self._set_aside(state, held, chain.Place(head.epoch, head.seq))
        step = chain.judge(
            head,
            verified.statement_hash,
            chain=held,
            known=known,
            prev_at=self._prev_at(state, verified),
            ended=verified.ended and verified.statement_hash not in state.ended.proven,
            superseded=superseded,
        )
        match step:
            case chain.Anchor() | chain.Next() | chain.NewEpoch() | chain.Fill():
                self._accept(state, verified, received, step, refused)
            case chain.Duplicate():
                pass
            case chain.BeforeAnchor():
                state.passed_over = True
            case chain.Equivocation(place=place, expected=expected_hash):
                self._equivocation(state, verified, place, expected_hash)
            case chain.Gap() | chain.Early():
                self._gap(state, verified, received, step, refused)
            case chain.Unproven():
                self._pass_over(state, verified, received.offset)
            case chain.OldEpoch():
                state.passed_over = True  # an epoch still to come may stand by it
                self._refuse(state, received, too_late(verified))
            case _:
                assert_never(step)

    def _accept(
        self,
        state: StreamState,
        verified: VerifiedStatement,
        received: Received,
        step: Anchor | Next | NewEpoch | Fill,
        refused: str,
    ) -> None:
        flag = ""
        match step:
            case chain.Anchor(complete=complete):
                state.update(anchor_epoch=verified.head.epoch, anchor_seq=verified.head.seq)
                flag = "" if complete else "NOTHING_PROVEN_BEFORE"
            case chain.NewEpoch(truncated=truncated):
                self._truncated(state, () if truncated is None else (truncated,))
                log.warning("stream.new_epoch", stream=str(state.stream), epoch=verified.head.epoch)
            case chain.Fill(truncated=spans):
                self._truncated(state, spans)
                flag = "FILL"
            case chain.Next():
                pass
            case _:
                assert_never(step)
        if isinstance(step, chain.Next) and verified.head.directory_version < state.row.directory_version:
            # An author that goes back to an older directory seals to readers who have been removed.
            text = f"statement {state.stream} {verified.head.seq}: its directory is older than the last one's"
            self._refuse(state, received, StatementRefused(Code.DIRECTORY_FELL, text))
            refused = refused or Code.DIRECTORY_FELL
        self._take_in(state, verified, received.offset, step.chain, flag=flag, refused=refused)
        if self._directory.is_in_force(state.row.key_id):
            if state.ended.links:
                self._judge_again(state)  # the successor has spoken: what it left out is refused by name
            elif not state.gaps:
                state.ended.proven.clear()
        if isinstance(step, chain.Fill):
            self._look_back(state)

    def _take_in(
        self,
        state: StreamState,
        verified: VerifiedStatement,
        offset: int,
        after: ChainState,
        *,
        flag: str,
        refused: str,
    ) -> None:
        head = verified.head
        if after.hash == verified.statement_hash:
            state.update(key_id=verified.key_id)
        state.move(after)
        state.update(
            directory_version=max(state.row.directory_version, head.directory_version),
            accepted_at=self._micros,
            eliciting=state.row.eliciting + head.elicits_receipt,
        )
        if verified.post_quantum:
            state.cover(chain.Place(head.epoch, head.seq))
        self._hashes[state.stream, head.epoch, head.seq] = verified.statement_hash
        self._delivery.take(state, verified, offset, flag=flag, refused=refused)

    def _gap(
        self,
        state: StreamState,
        verified: VerifiedStatement,
        received: Received,
        step: chain.Gap | chain.Early,
        refused: str,
    ) -> None:
        if isinstance(step, chain.Early):
            state.passed_over = True
            return
        wait = state.wait
        if wait is None or wait.code != "GAP":
            log.warning("stream.gap", stream=str(state.stream), missing=str(step.missing))
            # Whoever makes many gaps must not delay what follows by a wait for each.
            if not timedelta() <= self._now - state.waited_until < self._gap_wait:
                state.stand(Wait("GAP", received.offset, self._now))
                self.seeks[state.stream] = Seek(None, self._now)
                return
        else:
            # Met below where the stream waits: the topic has changed, and the wait is now for this one.
            # By a clock that was set back the wait begins again: it is never longer than twice its time.
            since = min(wait.since, self._now)
            state.stand(wait._replace(offset=min(wait.offset, received.offset), since=since))
            if self._now - since < self._gap_wait:
                self.seeks[state.stream] = Seek(received.offset, since + self._gap_wait)
                return
            state.waited_until = self._now
        held = state.chain
        if held is None:  # a gap lies above something held
            raise AssertionError(str(state.stream))
        after = chain.after_gap(verified.head, verified.statement_hash, chain=held)
        self._take_in(state, verified, received.offset, after, flag="AFTER_GAP", refused=refused)
        log.error("stream.after_gap", stream=str(state.stream), missing=str(step.missing))
        self._look_back(state)

    def _pass_over(self, state: StreamState, verified: VerifiedStatement, offset: int) -> None:
        """Leave a statement of an ended key for later: its successor decides, whatever its dates say."""
        if not state.ended.links:
            log.warning("stream.key_ended", stream=str(state.stream), key_id=verified.key_id.hex())
        state.ended.hold(verified.statement_hash, verified.head.prev)
        if state.row.ended_from < 0:
            state.update(ended_from=offset)
        self._stands_by(state, state.ended.stood_by)

    def _stands_by(self, state: StreamState, named: bytes) -> bool:
        """Note that a key in force names a statement; tell if one that was passed over is proven by it."""
        if not state.ended.prove(named):
            return False
        self._judge_again(state)
        return True

    def _judge_again(self, state: StreamState) -> None:
        """Read on from the first statement that was passed over for its ended key.

        A crash before the next commit does so too, for the offset goes back in the same transaction.
        """
        offset = state.row.ended_from
        state.go_back(offset)
        self.seeks[state.stream] = Seek(offset, self._now)

    def _set_aside(self, state: StreamState, held: ChainState, place: chain.Place) -> ChainState | None:
        """Go back below a place that a key in force has taken, where an ended key wrote above it.

        Whoever stole that key could open an epoch far in the future; its member's next one, by the clock,
        lies below, and counts all the same. What was held above is evidence.
        """
        if place > held.place:
            return held
        end = chain.Place(held.epoch, held.seq + 1)
        self._truncated(state, (chain.Span(after=place, before=end),))
        below = inbox.last_before(self._connection, state.stream, place)
        if below is None:
            state.update(epoch=0, seq=-1, hash=b"", key_id=b"")
            state.gaps = ()
            state.uncover(chain.NOWHERE, end)
        else:
            gaps = tuple(gap for gap in held.gaps if gap.high <= (below.epoch, below.seq))
            state.move(chain.ChainState(epoch=below.epoch, seq=below.seq, hash=below.hash, gaps=gaps))
            state.uncover(chain.Place(below.epoch, below.seq), end)
        return state.chain

    def _look_back(self, state: StreamState) -> None:
        """Read once more what was passed over before there was a gap that it may fill."""
        if state.passed_over and state.gaps:
            state.passed_over = False
            self.seeks[state.stream] = Seek(None, self._now)

    def _stand_still(self, state: StreamState, code: str, offset: int) -> None:
        wait = state.wait
        if wait is None or wait.code != code:
            log.warning("stream.held", stream=str(state.stream), code=code)
            wait = Wait(code, offset, self._now)
        state.stand(wait._replace(offset=min(wait.offset, offset)))
        self.seeks[state.stream] = Seek(offset, self._now + RETRY)

    def _truncated(self, state: StreamState, spans: Sequence[Span]) -> None:
        if spans:
            self._delivery.flush()
        for span in spans:
            state.uncover(span.after, span.before)
            for row in inbox.statements_between(self._connection, state.stream, span.after, span.before):
                self._evidence.append(truncated(state.stream, row, at=self._micros))
                log.error("stream.truncated", stream=str(state.stream), epoch=row.epoch, seq=row.seq)

    def _equivocation(
        self, state: StreamState, verified: VerifiedStatement, place: chain.Place, expected: bytes
    ) -> None:
        log.error("stream.equivocation", stream=str(state.stream), epoch=place.epoch, seq=place.seq)
        self._evidence.append(equivocation(verified, expected, at=self._micros))

    def _refuse(
        self, state: StreamState, received: Received, refusal: RecordRefused | StatementRefused
    ) -> None:
        log.warning(
            "record.refused",
            stream=str(state.stream),
            offset=received.offset,
            code=refusal.code,
            fault=refusal.text,
        )
        self._delivery.refuse(refused_record(state.stream, received, refusal, at=self._micros))

    def _hash_at(self, stream: Stream, epoch: int, seq: int) -> bytes | None:
        return self._hashes.get((stream, epoch, seq)) or inbox.hash_at(self._connection, stream, epoch, seq)

    def _prev_at(self, state: StreamState, verified: VerifiedStatement) -> tuple[int, int] | None:
        """Return where the statement stands that the opener of an epoch goes on from."""
        head = verified.head
        if head.seq > 0 or head.prev == GENESIS_PREV or state.row.seq < 0:
            return None
        for (stream, epoch, seq), known in self._hashes.items():
            if stream == state.stream and known == head.prev:
                return epoch, seq
        return inbox.place_of(self._connection, state.stream, head.prev)
