"""`almenara verify`, `almenara evidence verify`: what does a file prove? No node, no network, no account."""

from __future__ import annotations

import re
from pathlib import Path

import click

from almenara.cli.options import output_format
from almenara.errors import Code, Misconfigured


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
    """Prove from the federation's root who signed a statement, and what it says.

    FILE is what `almenara inbox export` or `almenara evidence export` wrote. It is checked by itself:
    root, directory, the member's key, signature, place in its chain and, if disclosed, content. One
    changed byte anywhere is refused with its code, exit status 1. Receipts of other members in it bound
    its time; without one only its author says when: TIME UNPROVEN. Two statements that contradict each
    other are shown as EQUIVOCATION.

    \b
    Examples:
      almenara verify r.bin --root-fingerprint 5f2a... -o json
      almenara evidence verify e.bin --root-fingerprint 5f2a...
    """
    from almenara.cli.proof import proof_page, proof_report, proof_row
    from almenara.trust.exported import verify_exported
    from almenara.trust.exportfile import parse_exported

    fingerprint = _fingerprint(root_fingerprint)
    verified = verify_exported(parse_exported(_read(file)), fingerprint=fingerprint)
    if output == "table":
        click.echo("\n".join(proof_page(verified, lang or "")))
        return
    from almenara.cli.output import json_document, json_line, write_rows

    report = proof_report(verified)
    if output == "csv":
        write_rows([proof_row(report)], output)
        return
    click.echo((json_document if output == "json" else json_line)(report))


def _read(file: Path) -> bytes:
    from almenara.trust.exportfile import EXPORT_MAX

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
