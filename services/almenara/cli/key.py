"""`almenara key`: see a member's keys, protect them, back them up and restore them."""

from __future__ import annotations

from pathlib import Path

import click

from almenara.cli.options import member_config, output_format

_file = click.Path(path_type=Path)


@click.group()
def key() -> None:
    """See a member's keys, protect them by a passphrase, back them up and restore them.

    Private keys stand below keys/ in the member's folder, mode 0600; no command prints one.
    """


@key.command()
@member_config
@output_format
def show(config: Path, output: str) -> None:
    """Show every key: its id, kind, file, protection and mode, and when its certificate ends.

    No passphrase is asked for. A key in a token is looked up there.

    \b
    Example:
      almenara key show
    """
    from almenara.cli.output import write_rows
    from almenara.cli.reach import load
    from almenara.node.keyring import held_keys

    write_rows(
        [
            {
                "kind": held.kind,
                "key_id": held.key_id,
                "protection": held.protection,
                "mode": held.mode,
                "expires": None if held.expires is None else held.expires.isoformat(),
                "place": held.place,
                "fault": held.fault,
            }
            for held in held_keys(load(config))
        ],
        output,
    )


@key.command()
@member_config
@click.option("--passphrase-file", type=_file, help="File of mode 0600 whose first line protects the keys.")
@click.option("--passphrase", "ask", is_flag=True, help="Ask for the passphrase, twice.")
@click.option("--remove", is_flag=True, help="Leave the keys in clear, mode 0600.")
def protect(config: Path, passphrase_file: Path | None, *, ask: bool, remove: bool) -> None:
    """Add, change or remove the passphrase of all keys, all at once; no node of the member may run.

    The passphrase goes through scrypt at 128 MiB, the keys under AES-256-GCM. A node reads it from the
    file that passphrase_file in member.toml names, or ALMENARA_PASSPHRASE_FILE: a systemd credential,
    for instance. A crash leaves all keys under the old passphrase or all under the new. What a disk
    kept of files in clear is beyond this command. The TLS key has no passphrase: it lives 90 days,
    and neither signs nor opens a message.

    \b
    Examples:
      almenara key protect --passphrase-file /etc/almenara/PE.passphrase
      almenara key protect --remove
    """
    from almenara.cli.output import count
    from almenara.cli.passphrase import new_passphrase, node_passphrase
    from almenara.cli.reach import load
    from almenara.node.node import make_state_folder
    from almenara.node.protection import protect as protect_keys
    from almenara.store.lease import folder_lease

    if [passphrase_file is not None, ask, remove].count(True) != 1:
        raise click.UsageError("give one of --passphrase-file, --passphrase and --remove")
    settings = load(config)
    make_state_folder(settings)
    with folder_lease(settings.lease_path):  # the keys are this folder's, whoever has the store
        present = node_passphrase(settings)
        new = None if remove else new_passphrase(passphrase_file, "New passphrase of the keys")
        done = protect_keys(settings, passphrase=present, new=new, passphrase_file=passphrase_file)
    state = "in clear, mode 0600" if remove else "under the new passphrase"
    click.echo(f"{settings.member}: {count(done, 'key')} {state}")
    if ask:
        click.echo("")
        click.echo("next: name a file of mode 0600 with the passphrase, for the node to read:")
        click.echo("passphrase_file in member.toml, or ALMENARA_PASSPHRASE_FILE")


@key.command()
@member_config
@click.option("--output", type=_file, required=True, help="The file to make.")
@click.option("--passphrase-file", type=_file, help="Its passphrase. [default: ask for it, twice]")
def backup(config: Path, output: Path, passphrase_file: Path | None) -> None:
    """Write all keys to one encrypted file, under a passphrase of its own.

    It holds the private keys, also older ones that only open what is retained, certificates, settings,
    enrolment and admission. It does not hold the store, and no key that stays in a token. The node may
    run. Back up again after each rotation and renewal, keep file and passphrase apart, and try a restore.

    \b
    Example:
      almenara key backup --output PE-keys.backup
    """
    from almenara import clock
    from almenara.cli.output import count
    from almenara.cli.passphrase import new_passphrase, node_passphrase
    from almenara.cli.reach import load
    from almenara.node.backup import back_up

    settings = load(config)
    present = node_passphrase(settings)
    under = new_passphrase(passphrase_file, "Passphrase of the backup")
    held = back_up(settings, output, passphrase=present, under=under, now=clock.now())
    click.echo(f"{settings.member}: {count(len(held), 'file')} in {output}")
    if settings.signing_key_path is None:
        click.echo("the signing key is in a token and not in the backup: back it up by the token's own means")


@key.command()
@click.argument("file", metavar="FILE", type=_file)
@click.option("--state", type=_file, required=True, help="The empty or new folder of the member.")
@click.option("--passphrase-file", type=_file, help="Passphrase of the backup. [default: ask for it]")
@click.option(
    "--keys-passphrase-file",
    type=_file,
    help="File of mode 0600 whose first line protects the restored keys. [default: none]",
)
def restore(file: Path, state: Path, passphrase_file: Path | None, keys_passphrase_file: Path | None) -> None:
    """Make a member's folder out of a backup of its keys; nothing is overwritten.

    Every key is checked against its id. The store is not in it: it has a backup of its own (almenara store
    restore). If that is lost too, the node reads again what the broker still retains, and publishes once
    its administrator has let it open a new epoch: almenara epoch open.

    \b
    Example:
      almenara key restore PE-keys.backup --state PE
    """
    from almenara.cli.passphrase import known_passphrase, new_passphrase
    from almenara.node.backup import restore as restore_keys

    under = known_passphrase(passphrase_file, "Passphrase of the backup")
    new = None
    if keys_passphrase_file is not None:
        new = new_passphrase(keys_passphrase_file, "New passphrase of the keys")
    header = restore_keys(file, state, under=under, new=new, passphrase_file=keys_passphrase_file)
    click.echo(f"{header.member}: keys of {header.made_at:%Y-%m-%d %H:%MZ} restored to {state}")
    click.echo(f"root fingerprint, to compare by telephone: {header.root_fingerprint}")
    click.echo("")
    click.echo("the store is not part of it. If you have a backup of that, run")
    click.echo(f"  almenara store restore FILE --config {state / 'member.toml'}")
    click.echo("If it is lost, run")
    click.echo(f"  almenara node run --config {state / 'member.toml'}")
    click.echo(
        "which reads again what is retained. This member published before, so it must open a new epoch"
    )
    click.echo("before it publishes: stop the node, run this, and start the node again")
    click.echo(f"  almenara epoch open --config {state / 'member.toml'}")
