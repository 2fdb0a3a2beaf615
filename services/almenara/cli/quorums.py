"""How does a command line say who signs for the directory's roles?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from almenara.trust.hybrid import HybridKey
    from almenara.trust.rolekeys import Quorum, Thresholds

ROLES = ("root", "targets", "snapshot", "timestamp")


def founding_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--quorum` and `--key`, passed on as `quorums` and `keys`, and what a new directory says."""
    for option in (
        click.option(
            "--key",
            "keys",
            multiple=True,
            metavar="ROLE=FILE",
            help="Public half of a holder's own key (.pub.json), as in root=ana.pub.json; may be repeated. "
            "For roles that are not named keys are made here.",
        ),
        click.option(
            "--quorum",
            "quorums",
            multiple=True,
            metavar="ROLE=M/N",
            help="Of N keys of a role M must sign; may be repeated. "
            "[default: root=3/5, targets=2/3, snapshot=1/1, timestamp=1/1]",
        ),
        click.option("--retention-days", default=90, help="How long the region keeps its messages."),
        click.option(
            "--bootstrap", default="", help="Address of your own brokers; without it the embedded one serves."
        ),
        click.option("--title", default="All members", help="Title of the audience of all members."),
    ):
        command = option(command)
    return command


def thresholds(quorums: Sequence[str]) -> Thresholds:
    """Return the quorums of `--quorum`, for the others those of a federation in service."""
    import msgspec

    from almenara.trust.rolekeys import SERVICE

    return msgspec.structs.replace(SERVICE, **dict(map(role_quorum, quorums)))


def role_quorum(text: str) -> tuple[str, Quorum]:
    """Return role and quorum of `targets=2/3`; raise Misconfigured CONFIGURATION for another form."""
    from almenara.trust.rolekeys import Quorum

    role, _, quorum = text.partition("=")
    threshold, _, keys = quorum.partition("/")
    if role not in ROLES or not (threshold.isdecimal() and keys.isdecimal()):
        raise Misconfigured(
            Code.CONFIGURATION,
            f"quorum {text!r}: not ROLE=M/N with a role of {', '.join(ROLES)}; write it as in root=3/5",
        )
    return role, Quorum(int(threshold), int(keys))


def named_keys(keys: Sequence[str]) -> dict[str, list[HybridKey]]:
    """Return the public halves of `--key` by role; raise Misconfigured CONFIGURATION for another form."""
    from almenara.trust.rolekeys import read_role_key

    named: dict[str, list[HybridKey]] = {}
    for text in keys:
        role, _, path = text.partition("=")
        if role not in ROLES or not path:
            raise Misconfigured(
                Code.CONFIGURATION,
                f"key {text!r}: not ROLE=FILE with a role of {', '.join(ROLES)}; "
                "write it as in root=ana.pub.json",
            )
        named.setdefault(role, []).append(read_role_key(Path(path)))
    return named


def say_where_keys_go(folder: Path) -> None:
    """Say which private keys should leave a new federation's folder, and how one signs with them then."""
    offline = sorted(
        path.name
        for path in (folder / "directory" / "keys").glob("*.json")
        if path.name.startswith(("root-", "targets-")) and not path.name.endswith(".pub.json")
    )
    if len(offline) < 3:
        return
    click.echo("next, the keys: give each holder one of them, the root's on a medium that stays offline,")
    click.echo(f"and remove them from {folder / 'directory' / 'keys'}; snapshot and timestamp stay there")
    click.echo(f"  {' '.join(offline)}")
    click.echo("with a passphrase each, if you like")
    click.echo(f"  almenara directory key protect {folder / 'directory' / 'keys' / 'root-1.json'}")
    click.echo("from then on a change waits until enough holders have signed it with")
    click.echo(f"  almenara directory sign {folder / 'proposals'}/FILE --key root-1.json")
    click.echo("")
