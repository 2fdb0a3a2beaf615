"""What does `almenara node run` do? It keeps the two halves of a node running, each in a process.

    lease --> prepare --> publisher --answers the socket--> node.ready       (turn.py waits for the lease)
                     '--> subscriber

    child ends by itself --backoff--> started again       (an unknown bug ends it; restart is safe)
    child says "configuration" (status 2) --------------> the node ends with it: only a person can mend
    another node has taken over ------------------------> the children are killed, the node ends (status 3)
    SIGTERM or SIGINT --> children drain, 10 s --> SIGKILL --> the lease is free

The kernel kills the children when their parent dies (bus.bound), and the lease is theirs too: it is
free once the last of the three has gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import structlog

from almenara import clock
from almenara.bus import bound
from almenara.crash import Point, crash_point
from almenara.errors import Code, Misconfigured, Superseded
from almenara.node.api import serve
from almenara.node.node import make_state_folder, open_node, prepare, whole_node
from almenara.node.notify import notify
from almenara.node.remote import RemoteNode
from almenara.node.settings import MemberSettings
from almenara.node.turn import turn, watch
from almenara.trust.secretfile import replace_file

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from almenara.store.lease import Lease

STOP_TIMEOUT_S = 10.0
"""How long a child may drain before SIGKILL; a publisher waits 3 s for the broker at most."""

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0)
"""Waits before a child that ended is started again; the last one stays."""

STEADY_S = 60.0
"""A child that ran so long begins with the first wait again."""

READY_POLL_S = 0.05

READY_RETRY_S = 5.0
"""How soon the ready file is written again where the disk was full."""

PARTS = ("publisher", "subscriber")

log = structlog.get_logger()


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What `<state>/node.ready` says once the socket answers; it is gone when the node has stopped."""

    pid: int
    member: str
    socket: str
    children: dict[str, int]
    at: datetime


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a parent writes to its child: the settings, and the term of the lease under which it writes."""

    settings: MemberSettings
    term: int | None

    def to_bytes(self) -> bytes:
        """Return it as it is written."""
        return msgspec.json.encode(self, enc_hook=str)

    @classmethod
    def from_bytes(cls, data: bytes) -> Start:
        """Return what a parent wrote."""

        def decode(kind: type, value: object) -> object:
            return kind(value)

        return msgspec.json.decode(data, type=cls, dec_hook=decode)


async def run_sole(settings: MemberSettings, *, stopping: asyncio.Event) -> None:
    """Run the whole node in this process until `stopping` is set; wait while another node has its turn.

    Raises Unavailable STORE_LOCKED where that is one of this folder, Superseded, Misconfigured.
    """
    make_state_folder(settings)
    async with turn(settings, stopping=stopping) as held:
        if held is None:
            return
        await _run_whole(settings, held, stopping)


async def _run_whole(settings: MemberSettings, held: Lease, stopping: asyncio.Event) -> None:
    async with whole_node(settings, held) as node:
        if node.service is None:
            raise AssertionError(str(settings.file))
        async with serve(node.service, settings.socket_path) as api, asyncio.TaskGroup() as tasks:
            crashed = tasks.create_task(_until(api.crashed))
            _announce(settings, children={})
            try:
                await node.run(stopping)
            finally:
                crashed.cancel()
                _retract(settings)


async def run_supervised(settings: MemberSettings, *, stopping: asyncio.Event) -> None:
    """Run the node as this process and two children until `stopping` is set; wait while another has its turn.

    Raises Unavailable STORE_LOCKED where that is one of this folder, Superseded, Misconfigured; also when a
    child finds something only a person can mend.
    """
    make_state_folder(settings)
    async with turn(settings, stopping=stopping) as held:
        if held is None:
            return
        crash_point(Point.NODE_LEASED)
        await prepare(settings, term=held.term)
        crash_point(Point.NODE_PREPARED)
        supervisor = _Supervisor(settings, held, stopping)
        try:
            async with asyncio.TaskGroup() as tasks:
                besides = [tasks.create_task(supervisor.announce()), tasks.create_task(supervisor.guard())]
                children = [tasks.create_task(supervisor.keep(part)) for part in PARTS]
                await asyncio.wait(children)
                for task in besides:
                    task.cancel()
        finally:
            _retract(settings)
        if supervisor.fault is not None:
            raise supervisor.fault


class _Supervisor:
    """The parent of the two children."""

    def __init__(self, settings: MemberSettings, held: Lease, stopping: asyncio.Event) -> None:
        self._settings = settings
        self._held = held
        self._stopping = stopping
        self._children: dict[str, int] = {}
        self.fault: Misconfigured | Superseded | None = None

    async def guard(self) -> None:
        """End the node when another one of this member has taken over."""
        try:
            await watch(self._held)
        except Superseded as error:
            self.fault = error
            self._stopping.set()

    async def keep(self, part: str) -> None:
        """Start a child, and again whenever it ends, until the node stops."""
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stopping.is_set():
            started = loop.time()
            process = await self._start(part)
            crash_point(Point.CHILD_STARTED)
            self._children[part] = process.pid
            log.info("child.started", part=part, pid=process.pid)
            status = await self._wait(process)
            if self._stopping.is_set():
                break
            if status == Misconfigured.exit_status:
                self.fault = Misconfigured(
                    Code.CONFIGURATION, f"node: its {part} cannot run with this configuration; see its log"
                )
                self._stopping.set()
                break
            failures = 0 if loop.time() - started >= STEADY_S else failures
            wait_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            failures += 1
            log.error("child.ended", part=part, pid=process.pid, status=status, again_in_s=wait_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stopping.wait()

    async def _start(self, part: str) -> Process:
        program = [sys.executable, "-P", "-m", "almenara.node.child", part]
        process = await asyncio.create_subprocess_exec(
            *bound.command(program),
            stdin=PIPE,
            pass_fds=(self._held.folder.descriptor,),
            start_new_session=True,
        )
        if process.stdin is None:
            raise AssertionError(part)
        with suppress(ConnectionError):  # it ended at once: `_wait` tells
            process.stdin.write(Start(settings=self._settings, term=self._held.term).to_bytes())
            await process.stdin.drain()
        process.stdin.close()
        return process

    async def _wait(self, process: Process) -> int:
        """Return the status of a child that ended; once the node stops, see to it that it does."""
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(process.wait())
            stop = tasks.create_task(self._stopping.wait())
            await asyncio.wait((ended, stop), return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if not ended.done():
                with suppress(ProcessLookupError):
                    # What a child that was overtaken might still do nobody waits for.
                    overtaken = isinstance(self.fault, Superseded)
                    process.send_signal(signal.SIGKILL if overtaken else signal.SIGTERM)
                _, late = await asyncio.wait((ended,), timeout=STOP_TIMEOUT_S)
                if late:
                    log.error("child.killed", pid=process.pid, after_s=STOP_TIMEOUT_S)
                    with suppress(ProcessLookupError):
                        process.kill()
        return ended.result()

    async def announce(self) -> None:
        """Say that the node is ready once the socket answers, and again with every new child."""
        announced: dict[str, int] = {}
        async with RemoteNode(self._settings.socket_path) as node:
            while True:
                children = dict(self._children)
                wait_s = READY_POLL_S
                if children.keys() == set(PARTS) and children != announced and await node.answers():
                    if _announce(self._settings, children=children):
                        announced = children
                    else:
                        wait_s = READY_RETRY_S
                await asyncio.sleep(wait_s)


async def run_child(part: str, start: Start, *, stopping: asyncio.Event) -> None:
    """Run one half of a node, under a parent that holds the lease and has prepared the store.

    Raises Superseded when a write is refused because another node has taken over, Misconfigured.
    """
    settings, publishing = start.settings, part == "publisher"
    async with open_node(settings, start.term, publishing=publishing, receiving=not publishing) as node:
        if node.service is None:
            await node.run(stopping)
            return
        async with serve(node.service, settings.socket_path) as api, asyncio.TaskGroup() as tasks:
            crashed = tasks.create_task(_until(api.crashed))
            await node.run(stopping)
            crashed.cancel()


async def _until(crashed: asyncio.Future[None]) -> None:
    await crashed


def _announce(settings: MemberSettings, *, children: dict[str, int]) -> bool:
    """Say that the node is ready; return whether the file could be written: the node works without it."""
    ready = Ready(
        pid=os.getpid(),
        member=settings.member,
        socket=str(settings.socket_path),
        children=children,
        at=clock.now(),
    )
    written = True
    try:
        replace_file(settings.ready_path, msgspec.json.encode(ready))
    except OSError as exc:
        log.warning("ready.not_written", file=str(settings.ready_path), error=exc.strerror)
        written = False
    crash_point(Point.NODE_ANNOUNCED)
    notify(f"READY=1\nSTATUS=speaks for {settings.member}")
    log.info("node.ready", member=settings.member, socket=str(settings.socket_path), pid=ready.pid)
    return written


def _retract(settings: MemberSettings) -> None:
    settings.ready_path.unlink(missing_ok=True)
