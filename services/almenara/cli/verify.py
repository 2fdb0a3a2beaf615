"""`almenara verify`: who signed an exported record? No node, no network, no account."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from almenara.cli.options import output_format
from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from almenara.trust.exported import VerifiedExport

TIME_UNPROVEN = "UNPROVEN"


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--root-fingerprint",
    required=True,
    metavar="HEX",
    help="The federation's, as the coordinator tells it; never take it from whoever sent FILE.",
)
@click.option("--lang", type=click.Choice(["es", "en", "fr", "pt"]), help="Show texts in this language.")
@output_format
def verify(*, file: Path, root_fingerprint: str, lang: str | None, output: str) -> None:
    """Prove from the federation's root who signed an exported record, and what it says.

    FILE is what `almenara inbox export` wrote. It is checked by itself: root, directory, the member's
    key, signature, place in its chain and, if it was exported with --disclose, content. One changed
    byte anywhere is refused with its code, exit status 1. When it was made only its author says:
    TIME UNPROVEN.

    \b
    Example:
      almenara verify r.bin --root-fingerprint 5f2a... -o json
    """
    from almenara.trust.exported import parse_exported, verify_exported

    fingerprint = _fingerprint(root_fingerprint)
    verified = verify_exported(parse_exported(_read(file)), fingerprint=fingerprint)
    if output == "table":
        _print_page(verified, lang or "")
        return
    from almenara.cli.output import json_document, json_line, write_rows

    report = _report(verified)
    if output == "csv":
        report["messages"] = [str(entry["message"]["message_id"]) for entry in report["messages"] or ()]
        write_rows([report], output)
        return
    click.echo((json_document if output == "json" else json_line)(report))


def _read(file: Path) -> bytes:
    from almenara.trust.exported import EXPORT_MAX

    try:
        with file.open("rb") as opened:
            return opened.read(EXPORT_MAX + 1)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{file}: cannot be read ({exc.strerror}); name an exported record"
        ) from exc


def _fingerprint(text: str) -> str:
    """Return the fingerprint as lower-case hex; people write it in groups."""
    fingerprint = re.sub(r"[\s:]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", fingerprint):
        raise Misconfigured(
            Code.CONFIGURATION,
            f"--root-fingerprint {text[:80]!r}: not 64 hexadecimal digits; the coordinator prints it with: "
            "almenara federation show",
        )
    return fingerprint


def _report(verified: VerifiedExport) -> dict[str, Any]:
    from almenara.clock import from_micros

    statement = verified.statement
    head = statement.head
    return {
        "verified": True,
        "federation": head.federation,
        "root_fingerprint": verified.root_fingerprint,
        "directory_version": verified.directory.version,
        "audience": head.audience,
        "author": head.publisher,
        "author_name": verified.directory.member(head.publisher).name,
        "key_id": statement.key_id.hex(),
        "epoch": head.epoch,
        "seq": head.seq,
        "hash": statement.statement_hash.hex(),
        "prev": head.prev.hex(),
        "issued_at": from_micros(head.issued_at),
        "time": TIME_UNPROVEN,
        "scope": head.scope,
        "recipients": list(verified.recipients),
        "messages": None if verified.messages is None else _messages(verified),
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


def _print_page(verified: VerifiedExport, lang: str) -> None:
    from almenara.cli.output import count
    from almenara.cli.pages import message_page
    from almenara.errors import MessageRefused
    from almenara.logs import printable

    report = _report(verified)
    recipients = ", ".join(verified.recipients) or (
        f"all of {report['audience']}" if report["scope"] == "AUDIENCE" else "a list, not disclosed"
    )
    for label, value in (
        ("verified", f"signed by {report['author']}, {report['author_name']}"),
        (
            "stream",
            f"{report['audience']} of {report['federation']}, directory {report['directory_version']}",
        ),
        ("place", f"epoch {report['epoch']}, seq {report['seq']}"),
        ("hash", report["hash"]),
        ("signing key", report["key_id"]),
        ("to", recipients),
        ("issued", f"{report['issued_at']:%Y-%m-%d %H:%M:%SZ} as its author says; TIME UNPROVEN"),
    ):
        click.echo(f"{label:<14} {printable(value)}")
    if verified.messages is None:
        click.echo("content        sealed: it was exported without --disclose")
        return
    click.echo(f"content        {count(len(verified.messages), 'message')}, opened by the key in the file")
    for each, row in zip(verified.messages, report["messages"], strict=True):
        click.echo("")
        if not isinstance(each.message, MessageRefused):
            click.echo("\n".join(message_page(each.message, [], lang=lang)))
        for fault in row["faults"]:
            click.echo(f"breaks a rule: {printable(fault)}")
