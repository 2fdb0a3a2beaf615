"""How is told what an exported file proves, to people and to programs?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from almenara.clock import from_micros

if TYPE_CHECKING:
    from collections.abc import Iterator

    from almenara.trust.admit import VerifiedLink
    from almenara.trust.evidence import VerifiedReceipt
    from almenara.trust.exported import VerifiedExport

TIME_UNPROVEN = "UNPROVEN"
TIME_BOUNDED = "BOUNDED"
"""Between what the author says and what a receipt says: two members' words."""

EQUIVOCATION = "EQUIVOCATION"


def proof_report(verified: VerifiedExport) -> dict[str, Any]:
    """Return all that the file proves; times are the words of those who signed."""
    statement = verified.statement
    head = statement.head
    receipts = [_receipt(verified, each) for each in verified.receipts]
    checkpoint = verified.checkpoint
    by = min((each["at"] for each in receipts if not each["key_ended"]), default=None)
    return {
        "verified": True,
        "verdict": "PROVEN" if verified.rival is None else EQUIVOCATION,
        "federation": head.federation,
        "root_fingerprint": verified.root_fingerprint,
        "directory_version": verified.directory.version,
        "sealed_by_directory": head.directory_version,
        "audience": head.audience,
        "author": head.publisher,
        "author_name": verified.directory.member(head.publisher).name,
        **_signed(statement),
        "time": TIME_UNPROVEN if by is None else TIME_BOUNDED,
        "existed_by": by,
        "scope": head.scope,
        "recipients": list(verified.recipients),
        "links": len(verified.links),
        "post_quantum_to": None if checkpoint is None else f"{checkpoint.head.epoch}/{checkpoint.head.seq}",
        "receipts": receipts,
        "rival": None if verified.rival is None else _signed(verified.rival),
        "messages": None if verified.messages is None else _messages(verified),
    }


def proof_row(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report in one row: of messages their ids, of receipts whose they are."""
    rival = report["rival"]
    return {
        **report,
        "receipts": [each["member"] for each in report["receipts"]],
        "rival": "" if rival is None else rival["hash"],
        "messages": [
            str(entry["message"]["message_id"]) for entry in report["messages"] or () if entry["message"]
        ],
    }


def proof_page(verified: VerifiedExport, lang: str) -> Iterator[str]:
    """Yield what the file proves, line by line."""
    from almenara.cli.output import count
    from almenara.cli.pages import message_page
    from almenara.errors import MessageRefused
    from almenara.logs import printable

    report = proof_report(verified)
    for label, value in _facts(verified, report):
        yield f"{label:<14} {printable(value)}"
    if report["rival"] is not None:
        return
    if verified.messages is None:
        yield "content        sealed: it was exported without --disclose"
        return
    yield f"content        {count(len(verified.messages), 'message')}, opened by the key in the file"
    for each, row in zip(verified.messages, report["messages"], strict=True):
        yield ""
        if not isinstance(each.message, MessageRefused):
            yield from message_page(each.message, [], lang=lang)
        for fault in row["faults"]:
            yield f"breaks a rule: {printable(fault)}"


def _facts(verified: VerifiedExport, report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    author = f"{report['author']}, {report['author_name']}"
    stream = f"{report['audience']} of {report['federation']}, directory {report['directory_version']}"
    if report["rival"] is not None:
        yield EQUIVOCATION, f"{author} signed two statements that cannot stand in one chain"
        yield "stream", stream
        yield from _rivals(report)
        return
    yield "verified", f"signed by {author}"
    yield "stream", stream
    yield "place", f"epoch {report['epoch']}, seq {report['seq']}"
    yield "hash", report["hash"]
    shown = "; it has ended since, and the file shows that its owner signed" if report["key_ended"] else ""
    yield "signing key", f"{report['key_id']}{shown}"
    everybody = f"all of {report['audience']}" if report["scope"] == "AUDIENCE" else "a list, not disclosed"
    yield "to", ", ".join(verified.recipients) or everybody
    by = report["existed_by"]
    bound = "TIME UNPROVEN" if by is None else f"it existed by {_time(by)}, as a reader says"
    yield "issued", f"{_time(report['issued_at'])} as its author says; {bound}"
    if report["post_quantum_to"] is not None:
        yield "post-quantum", f"signed with ML-DSA-65 too, by the checkpoint {report['post_quantum_to']}"
    yield from _receipts(report)


def _rivals(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for label, one in (("one", report), ("the other", report["rival"])):
        yield label, f"epoch {one['epoch']}, seq {one['seq']}, issued {_time(one['issued_at'])} as it says"
        yield "  hash", one["hash"]
        yield "  before it", one["prev"]
        yield "  signing key", one["key_id"]


def _receipts(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for each in report["receipts"]:
        opened = f"did not open it ({each['code']})" if each["code"] else "received it"
        yield "receipt", f"{each['member']}, {each['name']}: {opened}, by {_time(each['at'])} as it says"
        yield "  up to", f"epoch {each['received_epoch']}, seq {each['received_seq']}"
        yield "  hash there", each["received_hash"]
        unproven = "; it has ended since, so it proves no time" if each["key_ended"] else ""
        yield "  signing key", f"{each['key_id']}{unproven}"


def _time(moment: Any) -> str:  # noqa: ANN401 - a report holds times beside text
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"


def _signed(statement: VerifiedLink) -> dict[str, Any]:
    head = statement.head
    return {
        "key_id": statement.key_id.hex(),
        "epoch": head.epoch,
        "seq": head.seq,
        "hash": statement.statement_hash.hex(),
        "prev": head.prev.hex(),
        "issued_at": from_micros(head.issued_at),
        "key_ended": statement.ended,
    }


def _receipt(verified: VerifiedExport, receipt: VerifiedReceipt) -> dict[str, Any]:
    return {
        "member": receipt.member,
        "name": verified.directory.member(receipt.member).name,
        "at": from_micros(receipt.statement.head.issued_at),
        "code": receipt.code,
        "received_epoch": receipt.place.epoch,
        "received_seq": receipt.place.seq,
        "received_hash": receipt.hash.hex(),
        "key_id": receipt.statement.key_id.hex(),
        "key_ended": receipt.statement.ended,
        "hash": receipt.statement.statement_hash.hex(),
    }


def _messages(verified: VerifiedExport) -> list[dict[str, Any]]:
    """Return each message with the rules it breaks, judged as every reader did: by its own time."""
    from almenara.errors import MessageRefused
    from almenara.model.json import message_json
    from almenara.model.rules import check

    rows: list[dict[str, Any]] = []
    for each in verified.messages or ():
        message, faults = each.message, list[str]()
        if isinstance(message, MessageRefused):
            rows.append({"message": None, "faults": [str(message)]})
            continue
        try:
            check(message, now=message.issued_at, audience=verified.statement.stream.audience)
        except MessageRefused as refusal:
            faults = [repr(fault) for fault in refusal.faults]
        rows.append({"message": message_json(message), "faults": faults})
    return rows
