"""`almenara store`: see a member's store, back it up, restore it, and upgrade an older one."""

from __future__ import annotations

from pathlib import Path

import click

from almenara.cli.options import member_config, output_format

_file = click.Path(path_type=Path)


@click.group()
def store() -> None:
    """See, back up, restore and upgrade a member's store.

    The store holds what this member has said and heard: signed bytes, chain heads, the inbox, the keys
    of what is retained. By default it is a SQLite file in the state folder. Where member.toml has a line
    such as

    \b
      store = "postgresql://almenara_pe@db.example.org/almenara_pe?passfile=pgpass"

    it stands in that PostgreSQL database, one for each member; deploy/POSTGRES.md tells how to make it.
    `almenara key backup` saves the keys in the member's folder; a member that has lost both needs both.
    """


@store.command()
@member_config
@output_format
def show(config: Path, output: str) -> None:
    """Show where the store stands, its database, its schema version, and its size.

    A store of another version is shown too. No password is shown.

    \b
    Example:
      almenara store show --config PE/member.toml
    """
    from almenara.cli.output import write_rows
    from almenara.cli.reach import load
    from almenara.store.database import describe
    from almenara.store.tables import SCHEMA_VERSION

    found = describe(load(config).store_place)
    write_rows(
        [
            {
                "place": found.name,
                "database": found.server,
                "schema": found.version,
                "program": SCHEMA_VERSION,
                "bytes": found.size,
            }
        ],
        output,
    )


@store.command()
@member_config
@click.option("--output", type=_file, required=True, help="The file to make.")
@click.option("--passphrase-file", type=_file, help="Its passphrase. [default: ask for it, twice]")
def backup(config: Path, output: Path, passphrase_file: Path | None) -> None:
    """Write all that the store holds to one encrypted file; the node runs on meanwhile.

    It is the store of one moment. It holds alerts in clear, so it is sealed piece by piece under a
    passphrase (scrypt, AES-256-GCM), mode 0600, and never overwritten. Make one each night and keep it
    elsewhere: what is said after it is not lost, for readers have it, but counts as withdrawn once it is
    restored.

    \b
    Example:
      almenara store backup --output PE-store.backup
    """
    from almenara import clock
    from almenara.cli.output import count
    from almenara.cli.passphrase import new_passphrase
    from almenara.cli.progress import shown
    from almenara.cli.reach import load
    from almenara.node.store_backup import back_up_store

    settings = load(config)
    under = new_passphrase(passphrase_file, "Passphrase of the backup")
    with shown() as tell:
        made = back_up_store(settings, output, under=under, now=clock.now(), tell=tell)
    size = output.stat().st_size / (1 << 20)
    click.echo(f"{settings.member}: {count(made.rows, 'row')} in {output}, {size:.1f} MiB")


@store.command()
@click.argument("file", metavar="FILE", type=_file)
@member_config
@click.option("--passphrase-file", type=_file, help="Passphrase of the backup. [default: ask for it]")
@click.option("--force", is_flag=True, help="Also if the present store has said more than the backup.")
def restore(file: Path, config: Path, passphrase_file: Path | None, *, force: bool) -> None:
    """Put the store of a backup in place; no node of the member may run.

    The present store, if there is one, is put aside under another name. Each stream of this member opens
    a new epoch with its next statement: readers keep what it had said after the backup as evidence that
    it was withdrawn, and nothing is said twice. What others said since is read again from the broker,
    and comes to whoever follows the inbox once more: tell it by (publisher, message_id).

    \b
    Examples:
      almenara store restore PE-store.backup
      almenara store restore PE-store.backup --force
    """
    from almenara import clock
    from almenara.cli.output import count
    from almenara.cli.passphrase import known_passphrase
    from almenara.cli.progress import shown
    from almenara.cli.reach import load
    from almenara.node.store_backup import read_header, restore_store

    settings = load(config)
    read_header(file, settings)
    under = known_passphrase(passphrase_file, "Passphrase of the backup")
    with shown() as tell:
        done = restore_store(settings, file, under=under, force=force, now=clock.now(), tell=tell)
    click.echo(f"{settings.member}: the store of {done.header.made_at:%Y-%m-%d %H:%MZ} is in place")
    click.echo(f"{count(done.streams, 'stream')} to open a new epoch with the next statement")
    if done.replaced is not None:
        click.echo(f"the one that stood there is now {done.replaced}: delete it once all is well")
    click.echo("")
    click.echo("next: start the node again")
    click.echo(f"  almenara node run --config {config}")


@store.command()
@member_config
def migrate(config: Path) -> None:
    """Upgrade a store that an older program made, in place; no node of the member may run.

    Each step is one transaction: after a crash run it again, and it goes on where it stood. A node
    does the same when it starts; this lets a person choose the hour, for a large SQLite store is written
    anew and needs as much free space again. Back the store up first: nothing here keeps the old one, and
    an older program cannot read the new one. A store that was restored from such a backup later must
    open a new epoch: almenara epoch open.

    \b
    Example:
      almenara store migrate --config PE/member.toml
    """
    from almenara.cli.reach import load
    from almenara.node.node import make_state_folder
    from almenara.store.database import Store, describe
    from almenara.store.lease import lease
    from almenara.store.tables import SCHEMA_VERSION

    settings = load(config)
    place = settings.store_place
    before = describe(place).version
    if before == SCHEMA_VERSION:
        click.echo(f"store {place}: has schema version {SCHEMA_VERSION} already, nothing to do")
        return
    make_state_folder(settings)
    with lease(settings.lease_path, place) as held:
        Store.create(
            place, term=held.term, tell=lambda step, summary: click.echo(f"version {step}: {summary}")
        ).close()
    click.echo(f"store {place}: upgraded from schema version {before} to {SCHEMA_VERSION}")
