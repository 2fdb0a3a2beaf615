"""How does a person read a proposal, and the roles of a directory?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from almenara.logs import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from almenara.cli.output import Row
    from almenara.trust.directory import Directory
    from almenara.trust.judged import Judged
    from almenara.trust.repository import Repository


def judged_from(path: Path, published: Path | None) -> tuple[Judged, str]:
    """Return a proposal judged against what is published, and the fingerprint of the root it goes back to.

    Raises what `judge` raises; a usage error if nobody says what is published.
    """
    from almenara import clock
    from almenara.coordinator import ceremony
    from almenara.trust.judged import judge
    from almenara.trust.proposal import NOTHING
    from almenara.trust.refresh import root_fingerprint

    proposal, known = ceremony.read(path), published or home_of(path)
    if known is not None:
        repository = published_in(known)
        judged = judge(proposal, repository.base, now=clock.now())
        return judged, root_fingerprint(repository.first_root) if repository.version else ""
    if any(part.base for part in proposal.parts):
        raise click.UsageError("say what is published, as you know it: name a folder of its files")
    return judge(proposal, NOTHING, now=clock.now()), ""


def published_in(folder: Path) -> Repository:
    """Return the directory of a federation's folder or of a folder of its files, proven."""
    from almenara.coordinator import ceremony
    from almenara.trust.repository import Repository

    if (folder / ceremony.DIRECTORY).is_dir():
        return ceremony.open_repository(folder)
    return Repository.open(folder)


def home_of(path: Path) -> Path | None:
    """Return the federation's folder in whose proposals/ a file stands, None if it stands elsewhere."""
    from almenara.coordinator.ceremony import DIRECTORY, PROPOSALS

    folder = path.absolute().parent
    return folder.parent if folder.name == PROPOSALS and (folder.parent / DIRECTORY).is_dir() else None


def change_rows(judged: Judged) -> list[Row]:
    """Return what a proposal would change, a row each."""
    from almenara.trust.changes import changes

    return [
        {"ask": change.alarm, "subject": change.subject, "change": change.text} for change in changes(judged)
    ]


def role_rows(repository: Repository, now: datetime) -> list[Row]:
    """Return who signs each role, how many of them must, and until when it is good."""
    from almenara.trust.directory import RENEW_BEFORE
    from almenara.trust.hybrid import HybridKey
    from almenara.trust.rolekeys import ROLES, keys_at_hand

    root, expires = repository.in_force.root, repository.expires
    at_hand = {key.key_id for key in keys_at_hand(repository.keys)}
    rows: list[Row] = []
    for role in ROLES:
        signers = root.roles[role]
        keys = [root.keys[key_id] for key_id in signers.keyids]
        ends: datetime = getattr(expires, role)
        rows.append(
            {
                "role": role,
                "signed_by": f"{signers.threshold} of {len(keys)}",
                "sign_again_by": ends - RENEW_BEFORE[role],
                "expires": ends,
                "due": now >= ends - RENEW_BEFORE[role],
                "keys_here": len(at_hand & set(signers.keyids)),
                "keys": [key.shown for key in keys if isinstance(key, HybridKey)],
            }
        )
    return rows


def directory_rows(directory: Directory, now: datetime) -> list[Row]:
    """Return what a directory says, a row for the whole, each member and each audience."""
    rows: list[Row] = [
        {
            "what": "directory",
            "id": directory.federation,
            "says": f"version {directory.version}, {directory.standing(now)}, good until "
            f"{directory.expires.first:%Y-%m-%d %H:%M:%SZ}",
            "keys": sorted(directory.schemas),
        }
    ]
    for member in sorted(directory.members.values(), key=lambda member: member.id):
        keys = [f"signing {entry.key_id.hex()}" for entry in member.signing_keys]
        if member.sealing_key is not None:
            keys.append(f"sealing {member.sealing_key.key_id.hex()}")
        rows.append(
            {"what": "member", "id": member.id, "says": f"{member.name}, {member.status}", "keys": keys}
        )
    for audience in sorted(directory.audiences.values(), key=lambda audience: audience.id):
        says = f"{audience.kind}, {audience.title}: {', '.join(sorted(audience.members)) or 'nobody'}"
        rows.append({"what": "audience", "id": audience.id, "says": says, "keys": []})
    return rows


def write_with_keys(rows: Sequence[Row], output: str, *, of: Sequence[str]) -> None:
    """Write rows that name keys; in a table the keys stand below, one a line, for an id fills a line.

    `of` are the fields that say whose a key is.
    """
    from almenara.cli.output import write_rows

    if output != "table":
        write_rows(rows, output)
        return
    write_rows([{field: row[field] for field in row if field != "keys"} for row in rows], output)
    below = [
        {**{field: row[field] for field in of}, "key": key}
        for row in rows
        if isinstance(keys := row["keys"], list)
        for key in keys
    ]
    if below:
        click.echo("")
        write_rows(below, output)


def say_changes(judged: Judged, fingerprint: str) -> None:
    """Print what a signature approves, and against what it was computed."""
    from almenara.trust.changes import changes

    made = judged.proposal
    who = printable(made.proposed_by) or "somebody"
    click.echo(f"proposal {made.name}, by {who}, {made.proposed_at:%Y-%m-%d %H:%MZ} (that nobody has signed)")
    if fingerprint:
        click.echo(f"against version {judged.base.version('targets')} of the directory, root {fingerprint}")
    else:
        click.echo("the first version of a directory: read the key ids to their holders over the telephone")
    for change in changes(judged):
        mark = click.style("!", fg="red", bold=True) if change.alarm else " "
        click.echo(f"{mark} {change.subject}: {printable(change.text)}")


def say_signatures(judged: Judged, path: Path) -> None:
    """Print who is missing, and where the file goes next."""
    from almenara.trust.judged import missing_signatures

    missing = missing_signatures(judged)
    for line in missing:
        click.echo(f"still missing: {printable(line)}")
    click.echo("")
    if missing:
        click.echo(f"next: pass {path} on to one of them")
    else:
        click.echo("next: it has all signatures; send it to the coordinator, who runs")
        click.echo(f"  almenara directory publish {path.name} --federation D")
