"""How does a passphrase come from a person or a file, and never from a command line?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.node.settings import MemberSettings


def new_passphrase(file: Path | None, what: str) -> bytes:
    """Return the first line of a file, or what is typed twice."""
    return _read(file) or _ask(what, twice=True)


def known_passphrase(file: Path | None, what: str) -> bytes:
    """Return the first line of a file, or what is typed."""
    return _read(file) or _ask(what, twice=False)


def node_passphrase(settings: MemberSettings) -> bytes | None:
    """Return the passphrase of the member's keys, None if they have none; ask if no file is named."""
    from almenara.node.keyring import protected

    if settings.passphrase_file is None and protected(settings):
        return _ask("Present passphrase of the keys", twice=False)
    return _read(settings.passphrase_file)


def _read(file: Path | None) -> bytes | None:
    from almenara.node.identity import read_passphrase

    return read_passphrase(file)


def _ask(what: str, *, twice: bool) -> bytes:
    answer: str = click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
    return answer.encode()
