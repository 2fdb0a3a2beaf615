"""How does a command start quickly, and how does every one of them fail: one line, one exit status?

    0 ok    1 refused    2 configuration or usage    3 unavailable or timed out    130 interrupted

A command is named in `__main__` and its module imported when it is called, so that `--help` costs
no library that it does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, cast

import click

from almenara.errors import AlmenaraError, Code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INTERRUPTED = 130
"""The shell's status for a program ended by Ctrl-C."""


class Lazy(NamedTuple):
    """Where a command stands, `module:attribute`, and its line in the list of commands."""

    target: str
    summary: str


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def __init__(self, *, lazy: Mapping[str, Lazy], **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order in which a newcomer needs them."""
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now; None if there is none of that name."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name].target.partition(":")
        return cast("click.Command", getattr(import_module(module), attribute))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self._lazy.items()])


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; every error ends here as one line on standard error."""
    try:
        status = command.main(
            args=None if arguments is None else list(arguments), prog_name="almenara", standalone_mode=False
        )
    except AlmenaraError as error:
        complain(str(error))
        return error.exit_status
    except BaseExceptionGroup as group:
        return _report_group(group)
    except click.UsageError as error:
        where = "almenara" if error.ctx is None else error.ctx.command_path
        complain(f"{where}: {_fault(error)}; see {where} --help [{Code.CONFIGURATION}]")
        return error.exit_code
    except click.ClickException as error:
        complain(f"almenara: {error.format_message()} [{Code.CONFIGURATION}]")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return status if isinstance(status, int) else 0


def _report_group(group: BaseExceptionGroup[BaseException]) -> int:
    """Report what tasks that run together failed with; a bug among it is raised again."""
    known, bugs = group.split(AlmenaraError)
    if known is None or bugs is not None:
        raise group
    first: BaseException = known
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if not isinstance(first, AlmenaraError):
        raise group
    complain(str(first))
    return first.exit_status


def complain(text: str) -> None:
    """Write one error line; what others wrote into it cannot steer the terminal."""
    from almenara.logs import printable

    label = click.style("error:", fg="red", bold=True)
    click.echo(f"{label} {printable(text)}", err=True)


def _fault(error: click.UsageError) -> str:
    text = error.format_message().rstrip(".")
    return text[:1].lower() + text[1:]
