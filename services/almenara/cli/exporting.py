"""How does an exported file get onto the disk? Only after it has proven itself here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.trust.exported import VerifiedExport
    from almenara.trust.exportfile import ExportedRecord


def write_export(record: ExportedRecord, target: Path) -> VerifiedExport:
    """Write the file, say what it is, and return what it proves.

    Raises what `verify_exported` raises, and Misconfigured CONFIGURATION if it cannot be written.
    """
    from almenara.trust.exported import verify_exported
    from almenara.trust.refresh import root_fingerprint
    from almenara.trust.secretfile import replace_file

    # What does not prove itself here would not elsewhere: better now than before a court.
    verified = verify_exported(record, fingerprint=root_fingerprint(record.root))
    try:
        replace_file(target, record.to_bytes())
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{target}: cannot be written ({exc.strerror}); name a file in a folder that you may write",
        ) from exc
    head = verified.statement.head
    click.echo(f"{target}: statement {head.epoch}/{head.seq} of {head.publisher} in {head.audience}")
    return verified
