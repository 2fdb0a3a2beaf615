"""`almenara member rotate|recover`: change a member's keys, or begin anew without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from almenara.cli.options import member_config

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.node.rotation import NewKeys
    from almenara.node.settings import MemberSettings


@click.command()
@click.option("--signing", is_flag=True, help="A new signing key.")
@click.option("--sealing", is_flag=True, help="A new sealing key. [default: both]")
@click.option("--checkpoint", is_flag=True, help="A new checkpoint key, or the first.")
@click.option(
    "--signing-key",
    default="",
    metavar="URI",
    help="Go over to a signing key that exists: pkcs11:... in a token, or file:PATH.",
)
@member_config
def rotate(*, signing: bool, sealing: bool, checkpoint: bool, signing_key: str, config: Path) -> None:
    """Make new keys and the enrolment that announces them.

    Nothing changes before the coordinator has admitted the new enrolment. Then the node goes over to
    the new keys by itself, without a restart: its next statements open a new epoch, which readers
    take for the end of the old key, and what was sealed to the old key stays readable. The old key
    signs the change, so it counts everywhere at once.

    With --signing-key, member.toml names the new key as next_signing_key and both are held. Once the
    node signs with it, name it as signing_key and remove next_signing_key, at any time.

    \b
    Example:
      almenara member rotate --signing --config PE/member.toml
    """
    from almenara import clock
    from almenara.cli.reach import load
    from almenara.node.rotation import rotate as rotate_keys

    settings = load(config)
    both = not signing_key and signing == sealing and (signing or not checkpoint)
    made = rotate_keys(
        settings,
        signing=signing or both or bool(signing_key),
        sealing=sealing or both,
        checkpoint=checkpoint,
        now=clock.now(),
        signing_key=signing_key,
    )
    _tell(settings, made)
    click.echo(f"next: send {settings.enrolment_path} to the coordinator of {settings.federation}, who runs")
    click.echo(f"  almenara member admit {settings.enrolment_path} --federation D")
    click.echo("until then nothing changes; the node needs no restart")


@click.command()
@member_config
def recover(config: Path) -> None:
    """Begin anew after the signing key was lost.

    Makes a new signing key, and a new sealing key and TLS key where those are lost too. The old key
    cannot sign the change, so every other node raises an alarm (KEY_RESET) and believes it after 24
    hours, or once its administrator approves it: tell them by telephone. A key file that cannot be
    read is put aside, not deleted. It refuses while a node of this member runs.

    \b
    Example:
      almenara member recover --config PE/member.toml
    """
    from almenara import clock
    from almenara.cli.reach import load
    from almenara.node.node import make_state_folder
    from almenara.node.rotation import recover as recover_keys
    from almenara.store.lease import lease

    settings = load(config)
    make_state_folder(settings)
    with lease(settings.lease_path, settings.store_place):
        made = recover_keys(settings, now=clock.now())
    _tell(settings, made)
    click.echo(f"next: send {settings.enrolment_path} to the coordinator of {settings.federation}, who runs")
    click.echo(f"  almenara member admit {settings.enrolment_path} --federation D --key-reset")
    click.echo(f"then put the admission.json that comes back into {settings.folder}, and run")
    click.echo(f"  almenara node run --config {settings.file}")
    click.echo("the administrators of the others, once they have heard it from you, run")
    click.echo(f"  almenara member approve {settings.member}")


def _tell(settings: MemberSettings, made: NewKeys) -> None:
    for kind, key in (
        ("signing", made.signing),
        ("sealing", made.sealing),
        ("checkpoint", made.checkpoint),
    ):
        if key is not None:
            click.echo(f"{settings.member}: new {kind} key {key.key_id.hex()}")
    click.echo("")
