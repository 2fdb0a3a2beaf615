"""Rows for the tests of the store: what a publisher or a subscriber would write, in one line each."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.store import outbox, tables
from almenara.store.inbox import MessageRow, StatementRow
from almenara.store.outbox import OutboxRecord, Outgoing, OwnHead
from almenara.store.quarantine import Refusal

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from almenara.store.database import Store

REGION = AudienceId("region")
PE, AR, CL = MemberId("PE"), MemberId("AR"), MemberId("CL")
STREAM = Stream(REGION, PE)


def a_hash(*parts: object) -> bytes:
    return sha256(repr(parts).encode()).digest()


def own_head(seq: int, *, epoch: int = 1, made_by: str = "", **changes: Any) -> OwnHead:  # noqa: ANN401 - any field
    """Return the head at that place; two makers give two hashes."""
    head = OwnHead(
        audience=REGION,
        epoch=epoch,
        seq=seq,
        hash=a_hash(epoch, seq, made_by),
        key_id=a_hash(PE),
        issued_at=1000 + seq,
        directory_version=1,
        fresh_epoch=False,
    )
    return replace(head, **changes)


def outgoing(number: int, head: OwnHead, *, kind: str = "RISK_ALERT") -> Outgoing:
    return Outgoing(
        message_id=number.to_bytes(16, "big"),
        content=a_hash(number),
        audience=head.audience,
        epoch=head.epoch,
        seq=head.seq,
        kind=kind,
        expected=(AR, CL),
        accepted_at=1000,
    )


def record(head: OwnHead) -> OutboxRecord:
    return OutboxRecord(
        audience=head.audience,
        epoch=head.epoch,
        seq=head.seq,
        hash=head.hash,
        record=b"record of %d" % head.seq,
    )


def says(
    store: Store, before: OwnHead | None, after: OwnHead, *numbers: int, kind: str = "RISK_ALERT"
) -> OwnHead:
    """Commit one statement with these messages and return the head after it."""
    store.write_now(
        lambda c: outbox.append(
            c,
            before=before,
            after=after,
            records=[record(after)],
            messages=[outgoing(number, after, kind=kind) for number in numbers],
        )
    )
    return after


def statement_row(seq: int, *, epoch: int = 1, code: str = "") -> StatementRow:
    return StatementRow(
        audience=REGION,
        publisher=PE,
        epoch=epoch,
        seq=seq,
        hash=a_hash(epoch, seq),
        code=code,
        flags="",
        received_at=1000 + seq,
        record=b"record %d" % seq,
    )


def message_row(number: int, **changes: Any) -> MessageRow:  # noqa: ANN401 - any field
    row = MessageRow(
        publisher=PE,
        message_id=number.to_bytes(16, "big"),
        content=a_hash(number),
        audience=REGION,
        epoch=1,
        seq=number,
        recipients="",
        flags="",
        kind="RISK_ALERT",
        area="DRUGS",
        level="HIGH",
        origin="EC",
        hs=" 0803 ",
        issued_at=1000,
        received_at=2000,
        body=b"body",
    )
    return replace(row, **changes)


def refusal(offset: int, *, proven: bool = False, publisher: MemberId = PE) -> Refusal:
    return Refusal(
        audience=REGION,
        publisher=publisher,
        offset=offset,
        proven=proven,
        code="STREAM_OWNER" if proven else "BAD_SIGNATURE",
        detail="a fault",
        kept_at=1000 + offset,
        record=b"record at %d" % offset,
    )


def put(connection: Connection, name: str, value: str = "") -> None:
    connection.execute(tables.meta.insert().values(name=name, value=value))


def names(store: Store) -> set[str]:
    """Return what `put` has left in the store."""
    found = store.read_now(lambda c: {row.name for row in c.execute(tables.meta.select())})
    return found - {"schema_version", "term"}
