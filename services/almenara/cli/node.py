"""`almenara node`: run the node of a member."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from almenara.cli.options import member_config
from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from almenara.node.settings import MemberSettings

READY_POLL_S = 0.1


@click.group()
def node() -> None:
    """Run the node of a member.

    It publishes and receives for the member over one store in its folder. Other commands, the SDK
    and national systems reach it by the socket in that folder, and hold no keys.
    """


@node.command()
@member_config
@click.option("--single-process", is_flag=True, help="No child processes: for a small site or a test.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    help="JSON with the process ids and the socket; it stands while the node answers.",
)
def run(config: Path, ready_file: Path | None, *, single_process: bool) -> None:
    """Run in the foreground until Ctrl-C or SIGTERM; it drains before it ends.

    Publisher and subscriber are processes of their own, started again when one ends. The broker may
    be away at any time: what is accepted waits in the store. Logs go to standard error, as JSON
    unless that is a terminal.

    \b
    Example:
      almenara node run --config PE/member.toml
    """
    from almenara import logs
    from almenara.cli.reach import load
    from almenara.cli.signals import until_signalled

    settings = load(config)
    logs.configure()
    asyncio.run(
        until_signalled(
            lambda stopping: _run(settings, stopping, single_process=single_process, ready_file=ready_file)
        )
    )


async def _run(
    settings: MemberSettings, stopping: asyncio.Event, *, single_process: bool, ready_file: Path | None
) -> None:
    from almenara.node.memory import settle_memory
    from almenara.node.supervise import run_sole, run_supervised

    if single_process:
        settle_memory()
    work = run_sole if single_process else run_supervised
    if ready_file is None:
        await work(settings, stopping=stopping)
        return
    ready_file.unlink(missing_ok=True)
    async with asyncio.TaskGroup() as tasks:
        showing = tasks.create_task(_show_ready(settings, ready_file))
        try:
            await work(settings, stopping=stopping)
        finally:
            showing.cancel()
            ready_file.unlink(missing_ok=True)


async def _show_ready(settings: MemberSettings, ready_file: Path) -> None:
    """Keep the file that was asked for the same as the node's own, once that is of this process."""
    import msgspec

    from almenara.node.supervise import READY_RETRY_S, Ready
    from almenara.trust.secretfile import replace_file

    shown = b""
    while True:
        try:
            found = settings.ready_path.read_bytes()
        except FileNotFoundError:
            found = b""
        # Until the node has begun, a node that was killed may have left its own.
        if found and found != shown and msgspec.json.decode(found, type=Ready).pid == os.getpid():
            try:
                replace_file(ready_file, found)
            except OSError as exc:
                if shown:  # it could be written before: a full disk is no reason to end
                    await asyncio.sleep(READY_RETRY_S)
                    continue
                raise Misconfigured(
                    Code.CONFIGURATION,
                    f"{ready_file}: cannot be written ({exc.strerror}); name a file in a folder that you own",
                ) from exc
            shown = found
        await asyncio.sleep(READY_POLL_S)
