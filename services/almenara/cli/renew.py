"""`almenara member renew`: ask for the next TLS certificate, while the node goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from almenara.cli.options import member_config

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@member_config
@click.option("--new-key", is_flag=True, help="Make a new TLS key; it takes its place with the certificate.")
def renew(config: Path, *, new_key: bool) -> None:
    """Write renewal.json, with which the coordinator issues the next TLS certificate.

    It is signed with the member's signing key and holds nothing secret. The node may run all the time:
    it takes up the admission.json that comes back by itself, within ten seconds, and reconnects without
    losing anything. Until then the certificate in use stays. To be done in the last 14 of its 90 days,
    when doctor and the node's log say so.

    \b
    Examples:
      almenara member renew
      almenara member renew --new-key
    """
    from almenara import clock
    from almenara.cli.reach import load
    from almenara.node.member_folder import write_renewal

    settings = load(config)
    path = write_renewal(settings, new_key=new_key, now=clock.now())
    click.echo(f"{settings.member}: request for the next certificate written to {path}")
    click.echo("")
    click.echo(f"next: send it to the coordinator of {settings.federation}, who runs")
    click.echo(f"  almenara member admit {path} --federation D")
    click.echo(f"then put the admission.json that comes back in the place of {settings.admission_path}")
