"""`almenara directory`: who signs the directory, what is to be signed, and who has."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from almenara.cli.options import federation_folder, output_format
from almenara.cli.proposals import home_of, judged_from, published_in, say_changes, say_signatures
from almenara.cli.quorums import founding_options
from almenara.cli.rolekey import key, load_key, passphrase_option
from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tuf.api.metadata import Root

    from almenara.trust.repository import Repository

proposal_file = click.Path(path_type=Path)

files_option = click.option(
    "--output",
    "output_folder",
    type=click.Path(path_type=Path),
    help="Also write the directory as plain files into this folder.",
)


@click.group()
def directory() -> None:
    """Sign the directory in a quorum: the coordinators.

    The directory says who is a member, with which keys, and who shares what. Its root and its targets
    are signed by several holders, of whom so many must agree (root 3 of 5, targets 2 of 3, unless
    `--quorum` says otherwise); nobody of them can change it alone. A change that lacks signatures
    becomes a proposal: a file that is passed on by any channel and signed in turn.
    """


directory.add_command(key)


@directory.command()
@click.option("--state", type=click.Path(path_type=Path), required=True, help="The federation's folder.")
@click.option("--name", required=True, help="Short name, a-z and 0-9: every topic begins with it.")
@founding_options
def init(
    *,
    state: Path,
    name: str,
    title: str,
    bootstrap: str,
    retention_days: int,
    quorums: Sequence[str],
    keys: Sequence[str],
) -> None:
    """Begin a directory that several holders sign, each with a key of their own.

    Each holder has made a key (`directory key create`) and sent its public half. The first version is
    a proposal for them to sign; `federation init` in the same folder makes the rest. Without `--key`
    all keys are made here, to be handed out.

    \b
    Example:
      almenara directory init --state D --name ams --quorum root=2/3 --quorum targets=2/3 \\
        --key root=ana.pub.json --key root=luis.pub.json --key root=sol.pub.json \\
        --key targets=ana.pub.json --key targets=luis.pub.json --key targets=sol.pub.json
    """
    from almenara import clock
    from almenara.cli.quorums import named_keys, say_where_keys_go, thresholds
    from almenara.coordinator.ceremony import Founding, found_directory

    wish = Founding(name, title, retention_days, bootstrap, thresholds(quorums), named_keys(keys))
    waits = found_directory(state, wish, now=clock.now())
    click.echo(f"{name}: directory begun in {state}")
    click.echo("")
    say_where_keys_go(state)
    if waits is not None:
        click.echo("next: pass this file on; each holder signs it, then it is published here")
        click.echo(f"  almenara directory sign {waits} --key KEY")
        click.echo(f"  almenara directory publish {waits} --federation {state}")
    click.echo("next: make the rest of the federation")
    click.echo(f"  almenara federation init --state {state} --name {name}")


@directory.command()
@click.argument("proposal", metavar="[PROPOSAL]", required=False, type=proposal_file)
@click.option(
    "--federation",
    "folder",
    type=federation_folder,
    help="The federation's folder, or the directory's files.",
)
@files_option
@output_format
def show(*, proposal: Path | None, folder: Path | None, output_folder: Path | None, output: str) -> None:
    """Show who signs each role and until when it is good; or what a proposal would change.

    With `--output` the directory is also written as plain files: what a holder elsewhere signs
    against, and what anybody can verify.

    \b
    Examples:
      almenara directory show --federation D --output ams-directory
      almenara directory show D/proposals/targets-7.json -o json
    """
    from almenara import clock
    from almenara.cli.output import write_rows
    from almenara.cli.proposals import change_rows, role_rows, write_with_keys
    from almenara.coordinator import ceremony

    if proposal is not None:
        judged, _ = judged_from(proposal, folder)
        write_rows(change_rows(judged), output)
        return
    if folder is None:
        raise click.UsageError("name a proposal, or --federation D")
    repository, now = published_in(folder), clock.now()
    write_with_keys(role_rows(repository, now), output, of=("role",))
    _copy(repository, output_folder)
    waits = ceremony.waiting(folder, repository.base, now=now)
    if waits is not None:
        click.echo(f"a change waits for signatures: almenara directory show {waits.path}", err=True)


@directory.command()
@click.option(
    "--federation", "folder", type=federation_folder, required=True, help="The federation's folder."
)
@click.option(
    "--role",
    type=click.Choice(("targets", "root")),
    default="targets",
    help="Which role to renew, if nothing else is proposed.",
)
@click.option(
    "--rotate",
    "rotation",
    metavar="ROLE=M/N",
    help="Let other keys sign for a role: M of N of them from then on.",
)
@click.option(
    "--add",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Public half (.pub.json) of a key that is to sign for that role; may be repeated.",
)
@click.option(
    "--remove", multiple=True, metavar="ID", help="Id of a key that is to sign no more; may be repeated."
)
def propose(
    *, folder: Path, role: str, rotation: str | None, add: Sequence[Path], remove: Sequence[str]
) -> None:
    """Propose to renew the targets or the root, or to let other keys sign for a role.

    Root lives a year, targets half a year: propose them again before (the coordinator's log and
    `directory show` say when). A rotation is a new root: the quorum of the old one signs it, of a
    rotated root the new one too, and of rotated targets their new signers. `--rotate timestamp=1/1`
    alone makes a new online key here in place of the old. If enough keys are here, it is published at
    once; else it waits for the others, to be signed with `directory sign`.

    \b
    Examples:
      almenara directory propose --federation D
      almenara directory propose --federation D --rotate targets=2/3 \\
        --add sol.pub.json --remove 2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe
    """
    from almenara import clock
    from almenara.cli.cluster import bring_to_cluster
    from almenara.cli.quorums import role_quorum
    from almenara.coordinator import ceremony
    from almenara.coordinator.federation import Federation
    from almenara.trust.rolekeys import read_role_key

    now = clock.now()
    draft: Callable[[Repository], Root] | None = None
    if rotation is not None:
        rotated, quorum = role_quorum(rotation)
        public = [read_role_key(path) for path in add]
        draft = partial(ceremony.rotation, role=rotated, quorum=quorum, add=public, remove=remove, now=now)
    elif add or remove:
        raise click.UsageError("say for which role: --rotate ROLE=M/N")
    elif role == "root":
        draft = partial(ceremony.renewal, now=now)
    federation = Federation.open(folder)
    waits = federation.propose(draft, now=now)
    if waits is None:
        click.echo("signed by the keys that are here, and published")
        bring_to_cluster(federation)
        return
    click.echo(f"{waits.path}: waits for signatures")
    say_signatures(waits.judged, waits.path)


@directory.command()
@click.argument("path", metavar="PROPOSAL", type=proposal_file)
@click.option(
    "--key", "key_path", type=click.Path(path_type=Path), required=True, help="Your private key's file."
)
@click.option(
    "--published",
    type=click.Path(path_type=Path),
    help="The directory as you know it: a federation's folder, or its files. "
    "[default: the folder in whose proposals/ the file stands]",
)
@click.option("--yes", is_flag=True, help="Do not ask: you have read what it changes.")
@passphrase_option
def sign(
    *, path: Path, key_path: Path, published: Path | None, yes: bool, passphrase_file: Path | None
) -> int:
    """Read what a proposal changes, and sign it.

    What is shown is computed from the bytes that you sign, against the published version that you
    have; what else stands in the file counts for nothing. A line that begins with ! asks you to speak
    with somebody first. The signature is added to the file: pass it on to the next holder, or back.

    \b
    Example:
      almenara directory sign targets-7.json --key ana.json --published ams-directory
    """
    from almenara import clock
    from almenara.coordinator import ceremony
    from almenara.trust import judged as judging

    judged, fingerprint = judged_from(path, published)
    signer = load_key(key_path, passphrase_file)
    after = judging.sign(judged, signer)
    say_changes(judged, fingerprint)
    if not (yes or click.confirm(f"sign this with key {signer.key_id}?")):
        click.echo("nothing signed")
        return 1
    ceremony.write(path, after)
    click.echo(f"signed with key {signer.key_id}")
    say_signatures(judging.judge(after, judged.base, now=clock.now()), path)
    return 0


@directory.command()
@click.argument("paths", metavar="PROPOSAL...", nargs=-1, required=True, type=proposal_file)
@click.option(
    "--federation",
    "folder",
    type=federation_folder,
    help="The federation's folder. [default: the one in whose proposals/ the file stands]",
)
@files_option
def publish(paths: Sequence[Path], folder: Path | None, output_folder: Path | None) -> None:
    """Publish a proposal that enough holders have signed; several copies count together.

    With too few signatures nothing is published and those that came are kept: exit status 3, and who
    is still missing.

    \b
    Example:
      almenara directory publish D/proposals/targets-7.json
    """
    from almenara import clock
    from almenara.cli.cluster import bring_to_cluster
    from almenara.coordinator import ceremony
    from almenara.coordinator.federation import Federation
    from almenara.coordinator.lock import locked
    from almenara.coordinator.settings import SETTINGS_FILE
    from almenara.trust.refresh import root_fingerprint

    home = folder or home_of(paths[0])
    if home is None:
        raise click.UsageError("name the federation's folder: --federation D")
    proposals = [ceremony.read(path) for path in paths]
    with locked(home / "lock"):
        repository = ceremony.open_repository(home)
        version = ceremony.publish(home, repository, proposals, now=clock.now())
    click.echo(f"published: version {version} of the directory")
    click.echo(f"root fingerprint: {root_fingerprint(repository.first_root)}")
    _copy(repository, output_folder)
    if (home / SETTINGS_FILE).exists():
        bring_to_cluster(Federation.open(home))
    if any(name.startswith("members/") for proposal in proposals for name in proposal.files):
        click.echo(
            "next: for each member that was admitted, the same command again, which writes its admission"
        )


@directory.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--root-fingerprint", "fingerprint", required=True, help="SHA-256 of the first root, in hex.")
@output_format
def verify(folder: Path, fingerprint: str, output: str) -> int:
    """Prove a folder of the directory's files from the root's fingerprint on, without a network.

    Prints what it says: until when it is good, its members with their keys, its audiences. Exit status
    1 if it does not prove itself, 3 if it does and expired more than its 72 hours of grace ago.

    \b
    Example:
      almenara directory verify ams-directory \\
        --root-fingerprint 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 -o json
    """
    from almenara import clock
    from almenara.cli.proposals import directory_rows, write_with_keys
    from almenara.errors import Unavailable
    from almenara.trust.directory import Standing
    from almenara.trust.published import verify_folder
    from almenara.trust.targets import build_directory

    proven = build_directory(verify_folder(folder, fingerprint=fingerprint.strip().lower()))
    now = clock.now()
    write_with_keys(directory_rows(proven, now), output, of=("what", "id"))
    return Unavailable.exit_status if proven.standing(now) is Standing.EXPIRED else 0


def _copy(repository: Repository, folder: Path | None) -> None:
    if folder is None:
        return
    try:
        repository.copy_to(folder)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{folder}: cannot be written ({exc.strerror}); name a folder that you own"
        ) from exc
    click.echo(f"the directory's files are in {folder}", err=True)
