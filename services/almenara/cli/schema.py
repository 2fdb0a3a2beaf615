"""`almenara schema`: the Avro schemas on the wire, their documentation, and the rules they must keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from almenara.cli.options import output_format
from almenara.errors import Code, Refused

if TYPE_CHECKING:
    from almenara.cli.output import Row


@click.group()
def schema() -> None:
    """See the Avro schemas of records and messages, and check changes to them.

    SPEC.md, beside the schemas, says how a second implementation would use them.
    """


@schema.command("list")
@output_format
def list_(output: str) -> None:
    """List the schemas with their fingerprints.

    \b
    Example:
      almenara schema list -o json
    """
    from almenara.cli.output import write_rows
    from almenara.wire import avro
    from almenara.wire.schemas import load_schemas

    rows: list[Row] = []
    for name, definition in load_schemas().items():
        if definition["type"] != "record":
            continue
        rows.append(
            {
                "schema": name,
                "fields": len(definition["fields"]),
                "fingerprint": avro.prefix(name).hex()[4:],
                "sha256": avro.sha256_hex(name),
                "doc": definition.get("doc", "").split(". ")[0],
            }
        )
    write_rows(rows, output)


@schema.command()
@click.argument("name")
def show(name: str) -> None:
    """Print one schema as it stands, each field with its documentation.

    \b
    Example:
      almenara schema show RiskAlert
    """
    from almenara.wire.schemas import schema_text

    click.echo(schema_text(name), nl=False)


@schema.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
def check(folder: Path | None) -> None:
    """Check schemas against the bans, and against every version kept in FOLDER/history.

    Banned is what hostile bytes could use: recursion, items of no width, bare nulls, decimals, deep
    nesting. Every change must be readable by every earlier version, and the other way round.
    Without FOLDER the schemas of this installation are checked.

    \b
    Example:
      almenara schema check schemas
    """
    from almenara.wire.schema_lint import lint, lint_history
    from almenara.wire.schemas import read_folder, read_history, schema_folder

    at = folder or schema_folder()
    files, history = read_folder(at), read_history(at)
    findings = [*lint(files), *lint_history(files, history)]
    for finding in findings:
        click.echo(str(finding), err=True)
    if findings:
        raise Refused(Code.SHAPE, f"schemas in {at}: {len(findings)} findings; see the lines above")
    kept = sum(len(versions) for versions in history.values())
    click.echo(f"{len(files)} schemas sound; compatible with the {kept} versions kept")
