"""`almenara member`: make a member's folder, admit a member, take its access away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from almenara.cli.options import federation_folder
from almenara.cli.pending import approve, pending
from almenara.cli.renew import renew
from almenara.cli.rotation import recover, rotate
from almenara.cli.standing import leave, reinstate, revoke_certificate, suspend
from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from almenara.coordinator.federation import Federation


@click.group()
def member() -> None:
    """Make a member's folder and change its keys (the member), admit or suspend it (the coordinator).

    A member is a customs administration, named by its ISO country code (PE), or a registered body
    (X-RILOSA). Its private keys are made in its folder and never leave it.
    """


member.add_command(pending)
member.add_command(approve)
member.add_command(renew)
member.add_command(rotate)
member.add_command(recover)
member.add_command(suspend)
member.add_command(reinstate)
member.add_command(leave)
member.add_command(revoke_certificate)


@member.command()
@click.option("--id", "identifier", required=True, help="Country code, as in PE, or X- and a name.")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option("--federation", default="ams", help="The federation to join.")
@click.option("--name", default="", help="Full name of the administration. [default: the country's]")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="File of mode 0600 whose first line protects the keys; the node will read it too.",
)
@click.option("--passphrase", "ask", is_flag=True, help="Ask for the passphrase, twice.")
@click.option(
    "--signing-key",
    default="",
    metavar="URI",
    help="Sign with a key that exists: pkcs11:... in a token, or file:PATH. [default: a new one]",
)
def init(
    *,
    identifier: str,
    state: Path,
    federation: str,
    name: str,
    passphrase_file: Path | None,
    ask: bool,
    signing_key: str,
) -> None:
    """Make a member's keys, settings and enrolment.

    \b
    Made in the folder:
      member.toml      settings of the node
      enrolment.json   name and public keys, signed: for the coordinator
      keys/            private keys, mode 0600

    The signing key may stay in a token (an HSM, a card): its URI is that of RFC 7512 and never holds
    the PIN, which the node reads from the file of pin-source or from ALMENARA_PKCS11_PIN. A passphrase
    that was asked for is written nowhere: name a file with it to the node, by passphrase_file in
    member.toml or by ALMENARA_PASSPHRASE_FILE.

    \b
    Examples:
      almenara member init --id PE --state PE
      almenara member init --id PE --state PE --signing-key \\
        'pkcs11:token=almenara;object=signing?module-path=/usr/lib/p11.so&pin-source=file:/etc/pin'
    """
    from almenara import clock
    from almenara.cli.passphrase import new_passphrase
    from almenara.node.member_folder import init_member

    if ask and passphrase_file is not None:
        raise click.UsageError("give --passphrase-file or --passphrase, not both")
    init_member(
        state,
        member=identifier,
        federation=federation,
        name=name or _country(identifier),
        now=clock.now(),
        passphrase_file=passphrase_file,
        passphrase=new_passphrase(None, "New passphrase of the keys") if ask else None,
        signing_key=signing_key,
    )
    click.echo(f"{identifier}: keys, settings and enrolment made in {state}")
    click.echo("")
    click.echo(f"next: send {state / 'enrolment.json'} to the coordinator of {federation}, who runs")
    click.echo(f"  almenara member admit {state / 'enrolment.json'} --federation D")
    click.echo(f"then put the admission.json that comes back into {state}, and run")
    click.echo(f"  almenara node run --config {state / 'member.toml'}")


@member.command()
@click.argument(
    "enrolments", metavar="ENROLMENT...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--federation", "folder", type=federation_folder, required=True, help="The federation's folder."
)
@click.option(
    "--key-reset",
    is_flag=True,
    help="Take keys that the member's previous ones have not signed: it has lost those.",
)
def admit(enrolments: Sequence[Path], folder: Path, *, key_reset: bool) -> None:
    """Admit the members whose enrolments or renewals are given (the coordinator).

    The member enters the directory and the region; its topics and access are made at once if the
    broker answers. `admission.json` is written beside each enrolment, for the member: it holds its
    TLS certificate and nothing secret. The certificate lives 90 days; a renewal.json (almenara member
    renew), or the same enrolment again, gets the next one.

    A later enrolment of a member changes its keys. If the keys in force have signed it, as with
    `almenara member rotate`, it counts everywhere at once. Otherwise it needs --key-reset: every
    node raises an alarm, and believes it after 24 hours or once its administrator approves it. Ask
    the member by telephone first.

    Where several coordinators sign, the first call leaves a proposal and ends with exit status 3; the
    same call, once that is published, writes the admissions.

    \b
    Example:
      almenara member admit PE/enrolment.json --federation D
    """
    from almenara import clock
    from almenara.cli.cluster import bring_to_cluster
    from almenara.coordinator.federation import Federation

    federation = Federation.open(folder)
    _admit(federation, enrolments, now=clock.now(), key_reset=key_reset)
    bring_to_cluster(federation)
    click.echo(f"root fingerprint, to compare by telephone: {federation.fingerprint}")
    click.echo("")
    click.echo("next: the member puts its admission.json beside its member.toml, and runs")
    for enrolment in enrolments:
        click.echo(f"  almenara node run --config {enrolment.with_name('member.toml')}")


def _admit(federation: Federation, paths: Sequence[Path], *, now: datetime, key_reset: bool) -> None:
    from almenara.trust.enrolment import ENROLMENT_MAX
    from almenara.trust.renewal import is_renewal
    from almenara.trust.secretfile import replace_file

    read = {}
    try:
        for path in paths:
            with path.open("rb") as file:
                read[path] = file.read(ENROLMENT_MAX + 1)
        enrolments = {path: data for path, data in read.items() if not is_renewal(data)}
        admissions = {}
        if enrolments:
            # All in one version of the directory: where several coordinators sign, they sign but once.
            made = federation.admit_all(tuple(enrolments.values()), now=now, key_reset=key_reset)
            admissions = dict(zip(enrolments, made, strict=True))
        for path, data in read.items():
            admission = admissions.get(path) or federation.renew_member(data, now=now)
            written = path.with_name("admission.json")
            replace_file(written, admission.to_bytes(), mode=0o644)
            click.echo(f"{admission.member}: admitted, {written} is for the member")
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{exc.filename}: cannot be read or written ({exc.strerror}); name the member's enrolment.json "
            "in a folder that you may write",
        ) from exc


def _country(identifier: str) -> str:
    import pycountry

    country = pycountry.countries.get(alpha_2=identifier)
    return identifier if country is None else str(country.name)
