"""`almenara directory key`: a holder's own key for a role of the directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from almenara.cli.options import output_format

if TYPE_CHECKING:
    from almenara.trust.hybrid import HybridKey, RoleKey

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="File of mode 0600 whose first line is the key's passphrase.",
)


@click.group()
def key() -> None:
    """Make a key on its holder's own machine, and show what others need of it.

    A role key is Ed25519 and ML-DSA-65 together. Its private half never leaves its holder; the public
    half, the .pub.json beside it, is what `directory init --key` or `directory propose --add` names.
    """


@key.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--holder", required=True, help="Who holds it: a name that the others know.")
@passphrase_option
def create(path: Path, holder: str, passphrase_file: Path | None) -> None:
    """Make a key, with the passphrase that is given or asked for; an empty answer leaves it unprotected.

    \b
    Example:
      almenara directory key create ana.json --holder "Ana Torres, SUNAT"
    """
    from almenara.node.identity import read_passphrase
    from almenara.trust.rolekeys import create_role_key, public_path

    passphrase = read_passphrase(passphrase_file)
    if passphrase is None:
        asked: str = click.prompt(
            "passphrase", default="", hide_input=True, confirmation_prompt=True, show_default=False
        )
        passphrase = asked.encode() or None
    made = create_role_key(path, holder=holder, passphrase=passphrase)
    click.echo(f"{path}: the private half, for {holder} alone")
    click.echo(f"{public_path(path)}: the public half, to be sent")
    click.echo(f"key id: {made.key_id}")
    click.echo("")
    click.echo("next: send the public half, and read the key id to the receiver over the telephone")


@key.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@output_format
def show(path: Path, output: str) -> None:
    """Show the id and holder of a public half, to compare them over the telephone.

    \b
    Example:
      almenara directory key show ana.pub.json
    """
    from almenara.cli.output import write_rows
    from almenara.trust.rolekeys import read_role_key

    shown: HybridKey = read_role_key(path)
    write_rows(
        [
            {"field": "key id", "value": shown.keyid},
            {"field": "holder", "value": shown.holder},
            {"field": "scheme", "value": shown.scheme},
        ],
        output,
    )


@key.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="File of mode 0600 whose first line is the new passphrase. [default: ask for it, twice]",
)
@click.option("--remove", is_flag=True, help="Leave the key in clear, mode 0600, for a daemon to use.")
def protect(path: Path, passphrase_file: Path | None, *, remove: bool) -> None:
    """Put a private half under a passphrase, or another one: before it goes to its holder, say.

    \b
    Example:
      almenara directory key protect D/directory/keys/root-1.json
    """
    from almenara.cli.passphrase import new_passphrase
    from almenara.trust.rolekeys import protect_role_key

    present = _present(path, None)
    new = None if remove else new_passphrase(passphrase_file, f"new passphrase of {path}")
    protect_role_key(path, passphrase=present, new=new)
    click.echo(f"{path}: {'in clear, mode 0600' if remove else 'under the new passphrase'}")


def load_key(path: Path, passphrase_file: Path | None) -> RoleKey:
    """Return a private role key, asking for its passphrase if it has one and no file says it.

    Raises Misconfigured KEY_UNREADABLE if the file does not give the key.
    """
    from almenara.trust.rolekeys import load_role_key

    return load_role_key(path, passphrase=_present(path, passphrase_file))


def _present(path: Path, passphrase_file: Path | None) -> bytes | None:
    from almenara.cli.passphrase import known_passphrase
    from almenara.trust.keyfile import inspect_key_file

    if not inspect_key_file(path).protected:
        return None
    return known_passphrase(passphrase_file, f"passphrase of {path}")
