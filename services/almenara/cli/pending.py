"""`almenara member pending|approve`: what of the directory does this node not believe yet?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from almenara.cli.options import member_config, output_format

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from almenara.trust.continuity import TrustedDirectory


@click.command()
@member_config
@output_format
def pending(config: Path, output: str) -> None:
    """List members whose new keys the members themselves have not vouched for.

    FIRST is a member that this node had not seen before, KEY_RESET one whose keys were changed
    without its own signature. Neither has any effect here before the time shown. Ask the member by
    telephone whether the signing key is its own: `almenara doctor` shows it there.

    \b
    Example:
      almenara member pending --config PE/member.toml
    """
    from almenara.cli.output import Row, write_rows
    from almenara.cli.reach import load
    from almenara.store.database import Store
    from almenara.trust.targets import build_directory

    settings = load(config)
    delay = timedelta(seconds=settings.subscriber.reset_delay_s)
    store = Store.open(settings.store_place)
    try:
        trusted = store.read_now(_trusted)
    finally:
        store.close()
    proposed = build_directory(trusted.targets)
    rows: list[Row] = [
        {
            "member": change.member,
            "change": change.change,
            "signing_key": [key.key_id.hex() for key in proposed.member(change.member).signing_keys],
            "since": change.since,
            "effective_at": change.since if change.approved else change.since + delay,
            "approved": change.approved,
        }
        for change in trusted.kept_back
    ]
    write_rows(rows, output)


@click.command()
@click.argument("member", metavar="ID")
@member_config
def approve(member: str, config: Path) -> None:
    """Put a member's new keys in force at this node now, instead of after 24 hours.

    Approve only what that member has confirmed to you by telephone: whoever holds the new keys
    speaks for it from then on. A node that runs takes it up within seconds.

    \b
    Example:
      almenara member approve UY --config PE/member.toml
    """
    from almenara.cli.reach import load
    from almenara.errors import Code, Refused
    from almenara.model.ids import member_id
    from almenara.store import directory as directory_row
    from almenara.store.database import Store

    identifier = member_id(member)

    def commit(connection: Connection) -> None:
        trusted = _trusted(connection)
        waiting = [change.member for change in trusted.kept_back]
        if identifier not in waiting:
            raise Refused(
                Code.UNKNOWN_MEMBER,
                f"member {identifier}: nothing of it is kept back, only of {', '.join(waiting) or 'nobody'}; "
                "see: almenara member pending",
            )
        directory_row.save(
            connection,
            version=trusted.targets.version,
            verified_at=directory_row.verified_at(connection),
            targets=trusted.approve(identifier).to_bytes(),
        )

    store = Store.open(load(config).store_place)
    try:
        store.write_now(commit)
    finally:
        store.close()
    click.echo(f"{identifier}: approved; its new keys are in force when the node looks next")


def _trusted(connection: Connection) -> TrustedDirectory:
    from almenara.errors import Code, Misconfigured
    from almenara.store import directory as directory_row
    from almenara.trust.continuity import TrustedDirectory

    saved = directory_row.load(connection)
    if saved is None:
        raise Misconfigured(
            Code.DIRECTORY_MISSING, "store: no directory was verified yet; start the node: almenara node run"
        )
    return TrustedDirectory.from_bytes(saved)
