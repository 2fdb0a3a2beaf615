"""Help teaches: each command has an example, and every example anywhere can be typed as it stands."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest

from almenara.cli.__main__ import almenara

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = almenara.context_settings


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(leaves(almenara))


def command_lines(text: str) -> list[str]:
    """Return the lines of a text that call almenara, continued ones joined, as the shell would see them."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line.strip() for line in joined.splitlines() if re.match(r"\s*(\$ )?almenara ", line)]


def shown_in(folder: Path) -> list[tuple[str, str]]:
    """Return (where, line) of every command shown in a block of README and docs."""
    pages = [folder / "README.md", *sorted((folder / "docs").rglob("*.md"))]
    found = []
    for page in pages:
        blocks = re.findall(r"^```[a-z]*\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        found += [(page.name, line) for block in blocks for line in command_lines(block)]
    return found


def fault_of(line: str) -> str:
    """Return what click would complain about in a command line, "" if nothing."""
    words = shlex.split(line.removeprefix("$ "), comments=True)
    if "|" in words:
        words = words[: words.index("|")]
    command: click.Command = almenara
    context = click.Context(almenara, info_name="almenara", **SETTINGS)
    rest = words[1:]
    try:
        while True:
            options, rest, _ = command.make_parser(context).parse_args(args=rest)
            for parameter in command.get_params(context):
                if parameter.name in options and isinstance(parameter.type, click.Choice):
                    values = options[parameter.name]
                    for value in values if isinstance(values, list) else [values]:
                        parameter.type.convert(value, parameter, context)
                name = parameter.name or ""
                absent = name not in options or parameter.value_is_missing(options[name])
                if parameter.required and absent:
                    return f"{name} is missing"
            if not isinstance(command, click.Group):
                return f"{rest[0]} is too much" if rest else ""
            called, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command, context = found, click.Context(found, info_name=called, parent=context)
    except click.UsageError as error:
        return error.format_message()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_an_example_of_itself(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    lines = command_lines(command.help.replace("\b", ""))
    own = [line for line in lines if line.split()[1 : len(path) + 1] == list(path)]
    piped = f"almenara {' '.join(path)}" in command.help
    assert own or piped, f"the help of {' '.join(path)} has no example"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    silent = [
        parameter.name
        for parameter in COMMANDS[path].params
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert silent == []


def test_every_command_shown_in_any_help_can_be_typed() -> None:
    shown = [
        (" ".join(path), line)
        for path, command in COMMANDS.items()
        for line in command_lines((command.help or "").replace("\b", ""))
    ]
    shown += [("almenara", line) for line in command_lines((almenara.help or "").replace("\b", ""))]
    assert len(shown) >= len(COMMANDS)
    assert [(where, line, fault_of(line)) for where, line in shown if fault_of(line)] == []


def test_every_command_shown_in_readme_and_docs_can_be_typed(repository: Path) -> None:
    shown = shown_in(repository)
    assert len(shown) > 10
    assert [(where, line, fault_of(line)) for where, line in shown if fault_of(line)] == []


@pytest.mark.parametrize(
    "line",
    [
        "almenara publsh alert.json",
        "almenara publish alert.json --audiense region",
        "almenara publish",
        "almenara inbox list --area BANANAS",
        "almenara verify r.bin",
        "almenara inbox list extra",
    ],
)
def test_the_check_above_finds_what_cannot_be_typed(line: str) -> None:
    assert fault_of(line)
