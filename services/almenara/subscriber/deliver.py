"""How does an accepted statement become messages in the inbox?

Unwrap the announced sender key, open, check each message, and collect the rows; `store` writes
those of one poll together. What cannot be opened or breaks a rule is named and kept.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import structlog

from almenara.clock import from_micros, to_micros
from almenara.errors import Code, Fault, MessageRefused, StatementRefused
from almenara.model.alert import RiskAlert
from almenara.model.bodies import ControlResult, Receipt, RiskAlertUpdate
from almenara.model.codes import BARRED_WHEN_CLOSED
from almenara.model.ids import Stream
from almenara.model.rules import check
from almenara.store import inbox, quarantine, tally, witness
from almenara.store.inbox import PREDATES_REMOVAL, MessageRow, SenderKeyRow, StatementRow
from almenara.store.quarantine import Refusal
from almenara.store.tally import Tally
from almenara.store.witness import Claim, DecisionRow
from almenara.trust.admit import open_statement, read_statement, unwrap_sender_key
from almenara.wire.chain import NOWHERE
from almenara.wire.messages import content_hash
from almenara.wire.records import Scope, without_content
from almenara.wire.seal import SenderKey, sender_key_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.model.bodies import SharedKey
    from almenara.model.codes import Kind
    from almenara.model.ids import AudienceId, MemberId
    from almenara.model.messages import Message
    from almenara.subscriber.state import StreamState
    from almenara.trust.admit import OpenedMessage, OpenedStatement, ReadStatement, VerifiedStatement
    from almenara.trust.directory import Directory
    from almenara.trust.keys import SealingKey
    from almenara.wire.records import Head

CLOCK_TOLERANCE = timedelta(minutes=5)
"""A statement dated further ahead than this is flagged, never refused (DESIGN 5)."""

CLOCK_AHEAD = "CLOCK_AHEAD"
LATE_KEY = "LATE_KEY"

_NO_OFFSET = -1

log = structlog.get_logger()


class Reader(NamedTuple):
    """Who opens: the member and its sealing keys, newest first."""

    member: MemberId
    sealing_keys: Sequence[SealingKey]


class Delivery:
    """Collect what one poll delivers; nothing reaches the store before `store`."""

    def __init__(
        self, connection: Connection, *, reader: Reader, directory: Directory, now: datetime
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._directory = directory
        self._now = now
        self._micros = to_micros(now)
        self._statements: list[StatementRow] = []
        self._messages: list[MessageRow] = []
        self._keys: list[SenderKeyRow] = []
        self._claims: dict[tuple[str, MemberId, MemberId], Claim] = {}
        self._decisions: list[DecisionRow] = []
        self._refusals: list[Refusal] = []
        self._opened: Counter[Tally] = Counter()

    def refuse(self, refusal: Refusal) -> None:
        """Keep a refusal."""
        self._refusals.append(refusal)

    def claim(self, claim: Claim) -> None:
        """Keep the latest word of a witness."""
        key = (claim.audience, claim.publisher, claim.witness)
        before = self._claims.get(key)
        if before is None or (claim.told_epoch, claim.told_seq) >= (before.told_epoch, before.told_seq):
            self._claims[key] = claim

    def take(
        self, state: StreamState, verified: VerifiedStatement, offset: int, *, flag: str, refused: str
    ) -> None:
        """Open an accepted statement, unless it is refused already, and collect what it brings."""
        flags = [flag] if flag else []
        if from_micros(verified.head.issued_at) > self._now + CLOCK_TOLERANCE:
            flags.append(CLOCK_AHEAD)
        if self._predates_removal(state, verified.head):
            flags.append(PREDATES_REMOVAL)
        code = refused or self._open(state, verified, offset, " ".join(flags))
        self._count(code)
        row = StatementRow(
            audience=state.stream.audience,
            publisher=state.stream.publisher,
            epoch=verified.head.epoch,
            seq=verified.head.seq,
            hash=verified.statement_hash,
            code=code,
            flags=" ".join(flags),
            received_at=self._micros,
            record=_kept(verified, code),
        )
        self._statements.append(row)

    def _predates_removal(self, state: StreamState, head: Head) -> bool:
        """Tell, and log, whether the author still seals to somebody who is out of the audience."""
        found = self._directory.predates_removal(
            state.stream.audience, version=head.directory_version, issued_at=from_micros(head.issued_at)
        )
        if found:
            log.error(
                "statement.predates_removal",
                stream=str(state.stream),
                seq=head.seq,
                directory_version=head.directory_version,
            )
        return found

    def reopen(self, state: StreamState, verified: VerifiedStatement) -> None:
        """Open a statement held with KEY_MISSING, now that its sender key is known."""
        quarantine.take_back(self._connection, state.stream, Code.KEY_MISSING, verified.record)
        code = self._open(state, verified, _NO_OFFSET, LATE_KEY)
        self._count(code)
        if code != Code.KEY_MISSING:  # what asked for a receipt, and was excepted in one, is confirmed anew
            state.update(eliciting=state.row.eliciting + verified.head.elicits_receipt)
        inbox.judge_statement_again(
            self._connection,
            state.stream,
            verified.head.epoch,
            verified.head.seq,
            code=code,
            record=_kept(verified, code),
        )

    def _count(self, code: str) -> None:
        if code == "":
            self._opened[Tally.OPENED] += 1
        elif code == Code.NOT_FOR_ME:
            self._opened[Tally.NOT_FOR_ME] += 1

    def flush(self) -> None:
        """Write the statements and keys collected so far, so that a look into the store sees them."""
        inbox.insert_statements(self._connection, self._statements)
        inbox.insert_sender_keys(self._connection, self._keys)
        self._statements.clear()
        self._keys.clear()

    def store(self) -> int:
        """Write everything collected; return how many messages are new in the inbox."""
        connection = self._connection
        self.flush()
        held = inbox.contents(connection, [(m.publisher, m.message_id) for m in self._messages])
        fresh: list[MessageRow] = []
        for message in self._messages:
            identity = (message.publisher, message.message_id)
            before = held.setdefault(identity, message.content)
            if before is message.content:
                fresh.append(message)
            elif before != message.content:
                self._refusals.append(self._reused(message))
        inbox.insert_messages(connection, fresh)
        witness.save_claims(connection, list(self._claims.values()), now=self._micros)
        witness.save_decisions(connection, self._decisions)
        quarantine.keep(connection, self._refusals)
        tally.add(connection, {**self._opened, Tally.HELD: len(fresh)})
        return len(fresh)

    def _reused(self, message: MessageRow) -> Refusal:
        """Return the refusal of an id that came before with other content; its statement stays sealed."""
        stream = Stream(message.audience, message.publisher)
        record = inbox.record_at(self._connection, stream, message.epoch, message.seq)
        if record is None:
            raise AssertionError(str(stream))  # a bug: its statement was flushed before
        return Refusal(
            audience=message.audience,
            publisher=message.publisher,
            offset=_NO_OFFSET,
            proven=True,
            code=Code.MESSAGE_ID_REUSED,
            detail=f"message {message.message_id.hex()}: this id came before with other content",
            kept_at=self._micros,
            record=record,
        )

    def _open(self, state: StreamState, verified: VerifiedStatement, offset: int, flags: str) -> str:
        """Collect a statement's messages; return "" or the code of the first thing refused in it.

        One bad message does not hold back its neighbours.
        """
        try:
            read = read_statement(verified)
            key = self._sender_key(state, read)
            opened = open_statement(
                read, reader=self._reader.member, sender_key=key, directory=self._directory
            )
        except StatementRefused as refusal:
            if refusal.code != Code.NOT_FOR_ME:
                self._refuse(state, offset, verified, refusal.code, refusal.text)
            return refusal.code
        code = ""
        for each in opened.messages:
            try:
                row = self._message(state, opened, each, flags)
            except MessageRefused as refusal:
                self._refuse(state, offset, verified, refusal.code, _without_values(refusal))
                code = code or refusal.code
            else:
                if row is not None:
                    self._messages.append(row)
        return code

    def _sender_key(self, state: StreamState, read: ReadStatement) -> SenderKey:
        """Return the statement's sender key, from memory, the store or its announcement.

        Raises StatementRefused: KEY_MISSING when it was never given to this member, NOT_FOR_ME for a list
        when what was given is something else.
        """
        head = read.verified.head
        if not self.has_key(state, head):
            if not read.key_wraps:
                raise StatementRefused(
                    Code.KEY_MISSING,
                    f"statement {state.stream} {head.seq}: its sender key was never announced here; the"
                    " author's next key will be",
                )
            self._unwrap(state, read)
        found = state.keys[head.sender_key]
        if found is None:
            if head.scope is Scope.AUDIENCE:
                text = f"statement {state.stream} {head.seq}: its sender key was given to others alone"
                raise StatementRefused(Code.KEY_MISSING, f"{text}; its author must seal it again")
            raise StatementRefused(
                Code.NOT_FOR_ME, f"statement {state.stream} {head.seq}: its list does not name this member"
            )
        return SenderKey(key=found, id=head.sender_key)

    def has_key(self, state: StreamState, head: Head) -> bool:
        """Tell whether a statement's sender key was given to this member, or noise in its place."""
        if head.sender_key not in state.keys:
            row = inbox.sender_key_of(self._connection, state.stream, head.epoch, head.sender_key)
            if row is None:
                return False
            state.keys[head.sender_key] = row.key
        return True

    def _unwrap(self, state: StreamState, read: ReadStatement) -> None:
        """Take the key that a statement announces; statements that came before it may open now."""
        key = None
        try:
            key = unwrap_sender_key(read, self._reader.sealing_keys).key
        except StatementRefused as refusal:
            if refusal.code != Code.NOT_FOR_ME:
                raise
        head = read.verified.head
        state.keys[head.sender_key] = key
        self._remember(state, epoch=head.epoch, key_id=head.sender_key, key=key)
        if (head.epoch, head.seq) < (state.row.epoch, state.row.seq):
            state.late = NOWHERE

    def _take_shared(self, state: StreamState, keys: Sequence[SharedKey]) -> None:
        """Take keys that their author shares, of this stream of its own alone; one that is known stays.

        Noise stands for a list that leaves this member out, as in a slot.
        """
        for shared in keys:
            genuine = sender_key_id(shared.key) == shared.sender_key
            self._remember(
                state,
                epoch=shared.epoch,
                key_id=bytes(shared.sender_key),
                key=bytes(shared.key) if genuine else None,
            )
        if keys:
            state.late = NOWHERE

    def _remember(self, state: StreamState, *, epoch: int, key_id: bytes, key: bytes | None) -> None:
        self._keys.append(
            SenderKeyRow(
                audience=state.stream.audience,
                publisher=state.stream.publisher,
                epoch=epoch,
                key_id=key_id,
                key=key,
                kept_at=self._micros,
            )
        )

    def _message(
        self,
        state: StreamState,
        opened: OpenedStatement,
        each: OpenedMessage,
        flags: str,
    ) -> MessageRow | None:
        message, head = each.message, opened.verified.head
        if isinstance(message, MessageRefused):
            raise message
        # Judged as of its author's time: every reader comes to the same verdict, even years on.
        check(message, now=message.issued_at, audience=state.stream.audience)
        self._require_open(state.stream.audience, message.kind, from_micros(head.issued_at))
        if isinstance(message.body, Receipt):
            self._receipt(state, message.body, head)
            self._take_shared(state, message.body.keys)
            return None
        return MessageRow(
            publisher=state.stream.publisher,
            message_id=message.message_id.bytes,
            content=content_hash(each.item, state.stream.audience, opened.recipients),
            audience=state.stream.audience,
            epoch=head.epoch,
            seq=head.seq,
            recipients=" ".join(opened.recipients),
            flags=flags,
            kind=message.kind,
            issued_at=to_micros(message.issued_at),
            received_at=self._micros,
            body=each.item,
            reference=message.reference,
            **_selectors(message),
        )

    def _require_open(self, name: AudienceId, kind: Kind, issued_at: datetime) -> None:
        """Return if the audience took that kind then; raise MessageRefused AUDIENCE_CLOSED if not."""
        entry = self._directory.audience(name)
        if kind in BARRED_WHEN_CLOSED and not entry.is_open(issued_at, tolerance=CLOCK_TOLERANCE):
            text = f"{name} was not open when its author issued it; ask the author"
            raise MessageRefused([Fault(Code.AUDIENCE_CLOSED, "$.audience", text)])

    def _receipt(self, state: StreamState, receipt: Receipt, head: Head) -> None:
        reader = state.stream.publisher
        for received in receipt.received:
            self.claim(
                Claim(
                    audience=state.stream.audience,
                    publisher=received.publisher,
                    witness=reader,
                    epoch=received.epoch,
                    seq=received.seq,
                    hash=bytes(received.hash),
                    excepted=received.excepted,
                    claimed_at=head.issued_at,
                    told_epoch=head.epoch,
                    told_seq=head.seq,
                )
            )
        self._decisions.extend(
            DecisionRow(
                publisher=decision.publisher,
                message_id=decision.message_id.bytes,
                reader=reader,
                state=decision.state,
                code=decision.code,
                at=to_micros(decision.at),
            )
            for decision in receipt.decisions
        )

    def _refuse(
        self, state: StreamState, offset: int, verified: VerifiedStatement, code: str, detail: str
    ) -> None:
        log.warning(
            "statement.refused", stream=str(state.stream), seq=verified.head.seq, code=code, fault=detail
        )
        self._refusals.append(
            Refusal(
                audience=state.stream.audience,
                publisher=state.stream.publisher,
                offset=offset,
                proven=True,
                code=code,
                detail=detail,
                kept_at=self._micros,
                record=verified.record,
            )
        )


def _kept(verified: VerifiedStatement, code: str) -> bytes:
    """Return what the store keeps of a statement: of a list without this member, the link (SPEC, links).

    Its slots for all the others can be 200 KB, and its batch will never be opened here.
    """
    return without_content(verified.record) if code == Code.NOT_FOR_ME else verified.record


def _without_values(refusal: MessageRefused) -> str:
    """Return which fields break which rules: what stands in them is content, for no log and no list."""
    return "; ".join(f"{fault.path} [{fault.code}]" for fault in refusal.faults)


def _selectors(message: Message) -> dict[str, str]:
    """Return the columns that filters use; "" where the kind has none."""
    body = message.body
    if isinstance(body, RiskAlertUpdate):
        body = body.alert
    if isinstance(body, RiskAlert):
        codes = "".join(f" {goods.hs}" for goods in body.goods if goods.hs)
        return {"area": body.area, "level": body.level, "origin": body.origin, "hs": codes and codes + " "}
    if isinstance(body, ControlResult):
        areas = [finding.area for finding in body.findings]
        codes = "".join(f" {finding.hs}" for finding in body.findings if finding.hs)
        return {"area": areas[0] if areas else "", "level": "", "origin": "", "hs": codes and codes + " "}
    return {"area": "", "level": "", "origin": "", "hs": ""}
