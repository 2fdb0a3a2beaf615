"""Every command fails in one line with a stable exit status, and starts quickly."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from almenara.cli.__main__ import COMMANDS, almenara
from almenara.cli.app import run
from almenara.errors import Code, Fault, MessageRefused, Misconfigured, Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW = ("aiohttp", "aiokafka", "cryptography", "fastavro", "kafka", "rich", "sqlalchemy", "structlog", "tuf")

NODES = ("aiokafka", "cryptography", "fastavro", "kafka", "sqlalchemy", "tuf")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_help_imports_no_slow_library(arguments: list[str]) -> None:
    script = (
        "import sys; from almenara.cli.__main__ import almenara; from almenara.cli.app import run\n"
        f"status = run(almenara, {arguments!r})\n"
        f"print('slow:', [name for name in {SLOW!r} if name in sys.modules], 'status:', status)"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "slow: [] status: 0"


def test_whoever_asks_a_running_node_imports_nothing_that_only_a_node_needs() -> None:
    script = (
        "import sys, almenara.client, almenara.cli.reach, almenara.cli.publish, almenara.cli.inbox\n"
        f"print([name for name in {NODES!r} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def _leaves(command: click.Command) -> Iterator[click.Command]:
    if not isinstance(command, click.Group):
        yield command
        return
    for below in command.commands.values():
        yield from _leaves(below)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_in_the_list_is_there_and_shows_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(almenara, [name, "--help"]) == 0
    assert "Usage: almenara " in capsys.readouterr().out
    command = almenara.get_command(click.Context(almenara), name)
    assert command is not None
    for leaf in _leaves(command):
        assert f"almenara {name}" in (leaf.help or ""), leaf.name


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (Refused(Code.KEY_RESET, "member PE: other keys; ask"), 1, "member PE: other keys; ask [KEY_RESET]"),
        (
            MessageRefused([Fault(Code.RANGE, "$.a", "too big"), Fault(Code.FORMAT, "$.b", "no date")]),
            1,
            "$.a: too big [RANGE]; $.b: no date [FORMAT]",
        ),
        (Misconfigured(Code.CONFIGURATION, "a: b; c"), 2, "a: b; c [CONFIGURATION]"),
        (Unavailable(Code.BROKER_DOWN, "a: b; c"), 3, "a: b; c [BROKER_DOWN]"),
        (Refused(Code.FORMAT, "x\x1b[2J: y; z"), 1, "x\\x1b[2J: y; z [FORMAT]"),
        (KeyboardInterrupt(), 130, ""),
        (
            ExceptionGroup("tasks", [Unavailable(Code.BROKER_DOWN, "a: b; c")]),
            3,
            "a: b; c [BROKER_DOWN]",
        ),
    ],
    ids=["refused", "message", "configuration", "unavailable", "escape", "interrupted", "task group"],
)
def test_an_error_is_one_line_and_a_status(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    assert run(failing, []) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [line and f"error: {line}"]


def test_an_unknown_bug_is_not_hidden() -> None:
    @click.command()
    def broken() -> None:
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        run(broken, [])
    with pytest.raises(ExceptionGroup):
        run(click.Command("group", callback=_raise_group), [])


def _raise_group() -> None:
    raise ExceptionGroup("tasks", [Unavailable(Code.BROKER_DOWN, "a: b; c"), RuntimeError("bug")])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["federaton"], "federaton"),
        (["federation", "init"], "--state"),
        (["member", "init", "--id", "PE", "--state", "x", "--colour"], "--colour"),
        (["broker", "run", "--state", "x", "--port", "many"], "many"),
        (["broker", "run", "--state", "x", "--forwarded", "9095", "told"], "told"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_wrong_command_line_names_what_is_wrong_and_the_help(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(almenara, arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: almenara")
    assert named in line
    assert "--help [CONFIGURATION]" in line


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = (
        "import click, sys; from almenara.cli.app import run\n"
        "@click.command()\n"
        "def endless():\n"
        "    while True: click.echo('line')\n"
        "sys.exit(run(endless, []))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.wait(timeout=20) == 1
        assert process.stderr.read() == ""
