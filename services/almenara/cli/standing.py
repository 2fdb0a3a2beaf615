"""`almenara member suspend|reinstate|leave|revoke-certificate`: take access away and give it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from almenara.cli.options import federation_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from almenara.coordinator.federation import Federation
    from almenara.trust.directory import Member

_folder = click.option(
    "--federation", "folder", type=federation_folder, required=True, help="The federation's folder."
)


def _reason(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--reason", default="", help="Why, for all members to read.")(command)


@click.command()
@click.argument("member", metavar="ID")
@_folder
@_reason
def suspend(member: str, folder: Path, reason: str) -> None:
    """Take all access from a member for now (the coordinator).

    From then on it reads and writes nothing, its connections end within a minute, and nobody seals
    anything to it: all others take new keys. What it wrote before stays with those who have it.

    \b
    Example:
      almenara member suspend PE --federation D --reason "key material lost"
    """
    federation, entry = _change(member, folder, "suspend", reason)
    click.echo(f"{entry.id}: suspended; give access back with")
    click.echo(f"  almenara member reinstate {entry.id} --federation {federation.folder}")


@click.command()
@click.argument("member", metavar="ID")
@_folder
@_reason
def reinstate(member: str, folder: Path, reason: str) -> None:
    """Give a member that was suspended or has left its access back (the coordinator).

    It is again in the region and in each audience that lists it, with the keys and the certificate
    that it had. It does not get to read what the others shared meanwhile.

    \b
    Example:
      almenara member reinstate PE --federation D
    """
    _, entry = _change(member, folder, "reinstate", reason)
    click.echo(f"{entry.id}: active again; its node goes on by itself")


@click.command()
@click.argument("member", metavar="ID")
@_folder
@_reason
def leave(member: str, folder: Path, reason: str) -> None:
    """Take all access from a member that leaves the federation (the coordinator).

    As `suspend`. Its file stays in the directory, so that what it signed can be proven for ever.

    \b
    Example:
      almenara member leave PE --federation D
    """
    federation, entry = _change(member, folder, "leave", reason)
    click.echo(f"{entry.id}: has left")
    for name in federation.listing(entry.id):
        click.echo(f"  almenara audience amend {name} --remove {entry.id} --federation {federation.folder}")


@click.command("revoke-certificate")
@click.argument("member", metavar="ID")
@_folder
def revoke_certificate(member: str, folder: Path) -> None:
    """Take all access from a member's TLS certificates issued so far (the coordinator).

    For a certificate that is in other hands. The member itself stays, with its signing and sealing
    keys; its node waits for a certificate of the next generation: `member renew`, `member admit`.

    \b
    Example:
      almenara member revoke-certificate PE --federation D
    """
    federation, entry = _change(member, folder, "revoke-certificate", "")
    click.echo(f"{entry.id}: its certificates up to generation {entry.generation - 1} are revoked")
    click.echo("next: the member asks for another, with a new key if that one is in other hands")
    click.echo("  almenara member renew --new-key")
    click.echo("and sends renewal.json, from which this issues it:")
    click.echo(f"  almenara member admit {entry.id}/renewal.json --federation {federation.folder}")


def _change(member: str, folder: Path, change: str, reason: str) -> tuple[Federation, Member]:
    from almenara import clock
    from almenara.cli.cluster import bring_to_cluster
    from almenara.coordinator.federation import Federation
    from almenara.coordinator.membership import MemberChange
    from almenara.model.ids import member_id

    federation = Federation.open(folder)
    entry = federation.change_member(member_id(member), MemberChange(change), now=clock.now(), reason=reason)
    bring_to_cluster(federation)
    return federation, entry
