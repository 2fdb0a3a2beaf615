"""`almenara completion`: let the shell complete commands and options."""

from __future__ import annotations

import click

_PROGRAM = "almenara"
_VARIABLE = "_ALMENARA_COMPLETE"
_INSTALL = {
    "bash": 'eval "$(almenara completion bash)"      # this line goes into ~/.bashrc',
    "zsh": 'eval "$(almenara completion zsh)"       # this line goes into ~/.zshrc',
    "fish": "almenara completion fish | source       # this line goes into ~/.config/fish/config.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(_INSTALL)))
def completion(shell: str) -> None:
    """Print the script that lets your shell complete commands and options.

    \b
    Example, for good:
      echo 'eval "$(almenara completion bash)"' >> ~/.bashrc
    """
    from click.shell_completion import get_completion_class

    from almenara.cli.__main__ import almenara

    completer = get_completion_class(shell)
    if completer is None:
        raise AssertionError(shell)
    click.echo(f"# {_INSTALL[shell]}")
    click.echo(completer(almenara, {}, _PROGRAM, _VARIABLE).source())
