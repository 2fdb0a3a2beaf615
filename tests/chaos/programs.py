"""How do broker, coordinator and nodes of a storm run? As programs that are started again when they end.

What an init system does for them in service is done here: a program that ends is started anew, once
everything of its last life has gone. To stop one: SIGTERM, which drains; 20 s; SIGKILL. Only processes
that were started here are ended, each by its own id.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import msgspec
import psutil

from almenara import crash
from almenara.bus import bound
from almenara.errors import Unavailable
from almenara.node.settings import ENVIRONMENT_PREFIX
from almenara.node.supervise import Ready

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from almenara.bus.configuration import Forwarded
    from almenara.crash import Point
    from almenara.node.settings import MemberSettings
    from chaos.events.kill import Target

T = TypeVar("T")

COMMAND = (sys.executable, "-m", "almenara.cli")

AGAIN_S = 0.2
"""Between the end of a program and its next start."""

CRASH_FILE = "crash-at"

STOP_TIMEOUT_S = 20.0

GONE_TIMEOUT_S = 10.0
"""How long what a killed program had started may outlive it: the kernel kills it at once."""

_POLL_S = 0.05


class Program:
    """One program and its successive processes; `faults` tells what it did that it should not."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = folder / "program.log"
        self.ready_file = folder / "ready.json"
        self.faults: list[str] = []
        self._command = [*COMMAND, *arguments]
        inherited = {key: text for key, text in os.environ.items() if not key.startswith(ENVIRONMENT_PREFIX)}
        self._environment = {**inherited, **environment}
        self._process: Process | None = None
        self._family: list[psutil.Process] = []
        self._killed = False
        self._between: Callable[[], None] = lambda: None
        self._suspended: dict[str, list[psutil.Process]] = {}
        self._log_begins = 0
        self._stopping = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Tell whether the program runs and says that it is ready."""
        return self._process is not None and self._process.returncode is None and self._says_ready()

    def _says_ready(self) -> bool:
        return self.ready_file.exists()

    async def until_ready(self) -> None:
        """Return when the program says that it is ready."""
        await _until(lambda: self.ready or None)

    async def kill(self, *, then: Callable[[], None] = lambda: None) -> None:
        """Kill the program, once it is ready, with SIGKILL; its next life begins by itself.

        Before that, when all of it has gone, `then` happens.
        """
        process = await _until(lambda: self._process if self.ready else None)
        self._family = _descendants(process)
        self._between = then
        self._killed = True
        process.kill()

    async def suspend(self, part: Target) -> None:
        """Stop that part, and what it has started, with SIGSTOP, once it runs."""
        process = await _until(lambda: self._part(part))
        with suppress(psutil.NoSuchProcess):  # it was killed just now
            process.suspend()
            # Only now can it start no more.
            self._suspended[part] = [process, *process.children(recursive=True)]
            for each in self._suspended[part]:
                each.suspend()

    def resume(self, part: Target) -> None:
        """Let what was stopped go on, as far as it is still there."""
        for process in self._suspended.pop(part, ()):
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def family(self) -> list[psutil.Process]:
        """Return the program's process and all that it has started, none if it does not run."""
        process = self._process
        if process is None or process.returncode is not None:
            return []
        with suppress(psutil.NoSuchProcess):
            return [psutil.Process(process.pid), *_descendants(process)]
        return []

    def _part(self, _part: Target) -> psutil.Process | None:
        """Return the process of a part once it runs; a plain program is one part."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid) if self._process is not None and self.ready else None
        return None

    def _crashed(self, _pid: int) -> bool:
        """Tell whether that process ended at a point where it was to end."""
        return False

    async def keep(self) -> None:
        """Run the program again and again until `stop`."""
        while not self._stopping.is_set():
            self._killed = False
            self.ready_file.unlink(missing_ok=True)
            with self.log.open("ab") as log:
                self._log_begins = log.tell()
                self._process = await asyncio.create_subprocess_exec(
                    *bound.command(self._command),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    # Ctrl-C in a terminal reaches the test, which stops its programs in order.
                    start_new_session=True,
                )
            status = await self._process.wait()
            # A program that ends as unavailable asks to be started again: its store is still held.
            expected = self._killed or self._crashed(self._process.pid)
            if not expected and not self._stopping.is_set() and status != Unavailable.exit_status:
                self.faults.append(f"{self.name}: ended by itself with status {status}; read {self.log}")
            await self._until_gone()
            between, self._between = self._between, lambda: None
            between()
            await asyncio.sleep(AGAIN_S)

    async def stop(self) -> None:
        """End the program for good, and see that it leaves nothing running."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._family = _descendants(process)
        try:
            with suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
            if process.returncode != 0:
                self.faults.append(f"{self.name}: stopped with status {process.returncode}; read {self.log}")
        except TimeoutError:
            self.faults.append(f"{self.name}: did not stop in {STOP_TIMEOUT_S:.0f} s; read {self.log}")
        finally:
            if process.returncode is None:
                process.kill()

    async def _until_gone(self) -> None:
        """Wait for the end of what the program had started; what stays is a fault, and is killed."""
        family, self._family = self._family, []
        _, alive = await asyncio.to_thread(psutil.wait_procs, family, timeout=GONE_TIMEOUT_S)
        for process in alive:
            self.faults.append(f"{self.name}: its process {process.pid} outlived it")
            with suppress(psutil.NoSuchProcess):
                process.kill()


class BrokerProgram(Program):
    """`almenara broker run` over a federation's folder."""

    def __init__(self, state: Path, folder: Path, *, nodes: int, forwarded: Sequence[Forwarded]) -> None:
        super().__init__("broker", ("broker", "run", "--state", str(state)), folder=folder, environment={})
        self._command += ("--nodes", str(nodes), "--ready-file", str(self.ready_file))
        for port, told in forwarded:
            self._command += ("--forwarded", str(port), str(told))

    async def all_answer(self) -> Sequence[psutil.Process]:
        """Return the processes of all nodes, once each says that it answers."""
        return await _until(self._kafka)

    def _kafka(self) -> Sequence[psutil.Process] | None:
        if not self.ready:
            return None
        with suppress(FileNotFoundError, psutil.NoSuchProcess):
            pids = msgspec.json.decode(self.ready_file.read_bytes(), type=_BrokerReady).kafka_pids
            processes = [psutil.Process(pid) for pid in pids if pid is not None]
            alive = [each for each in processes if each.status() != psutil.STATUS_ZOMBIE]
            return alive if len(alive) == len(pids) else None
        return None


class CoordinatorProgram(Program):
    """`almenara coordinator run` over a federation's folder; it has no ready file, its log tells."""

    def __init__(self, state: Path, folder: Path) -> None:
        command = ("coordinator", "run", "--state", str(state))
        super().__init__("coordinator", command, folder=folder, environment={})

    def _says_ready(self) -> bool:
        return any(event.event == "coordinator.started" for event in self._events())

    def synchronized(self) -> int:
        """Return up to which version of the directory this process has seen to the cluster, 0 if none."""
        return max((event.version for event in self._events()), default=0)

    def _events(self) -> Iterator[_Event]:
        """Yield what the process that runs has logged."""
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            yield from _events(log.read())


class NodeProgram(Program):
    """`almenara node run` of a member: a parent and two children."""

    def __init__(self, settings: MemberSettings, environment: Mapping[str, str]) -> None:
        super().__init__(
            f"node of {settings.member}",
            ("node", "run", "--config", str(settings.file)),
            folder=settings.folder,
            environment={**environment, crash.VARIABLE: str(settings.folder / CRASH_FILE)},
        )
        self._crash_file = settings.folder / CRASH_FILE
        self._known_crashes: set[int] = set()
        self._command += ("--ready-file", str(self.ready_file))
        self._last_victim: dict[Target, int] = {}

    async def kill_child(self, part: Target) -> None:
        """Kill one child of the node, once it runs, with SIGKILL; its parent starts it again."""
        child = await _until(lambda: self._child(part))
        self._last_victim[part] = child.pid
        os.kill(child.pid, signal.SIGKILL)

    def _part(self, part: Target) -> psutil.Process | None:
        return super()._part(part) if part == "node" else self._child(part)

    def _child(self, part: Target) -> psutil.Process | None:
        """Return the child as the node tells it, if it is a living child of our own node."""
        if self._process is None or not self.ready:
            return None
        with suppress(FileNotFoundError, psutil.NoSuchProcess):
            ready = msgspec.json.decode(self.ready_file.read_bytes(), type=Ready)
            child = psutil.Process(ready.children[part])
            alive = child.status() != psutil.STATUS_ZOMBIE and child.ppid() == self._process.pid
            return child if alive and child.pid != self._last_victim.get(part) else None
        return None

    def arm(self, point: Point) -> None:
        """Have the next process of this node that comes to the point end there."""
        draft = self._crash_file.with_suffix(".new")
        draft.write_text(point)
        draft.replace(self._crash_file)

    def disarm(self) -> None:
        """Let nobody end any more."""
        self._crash_file.unlink(missing_ok=True)

    async def until_crashed(self) -> None:
        """Return once a process came to the armed point, and has ended."""
        pid = await _until(self._newly_crashed)
        await _until(lambda: True if _ended(pid) else None)

    def _newly_crashed(self) -> int | None:
        """Return the process that came to a point since this was asked last."""
        found = {int(path.suffix[1:]) for path in self._crash_file.parent.glob(f"{CRASH_FILE}.[0-9]*")}
        new = found - self._known_crashes
        self._known_crashes |= new
        return new.pop() if new else None

    def _crashed(self, pid: int) -> bool:
        return self._crash_file.with_name(f"{CRASH_FILE}.{pid}").exists()

    def crashes(self) -> list[str]:
        """Return the children that ended by themselves, by the log of their parent.

        One that ends as unavailable began while its disk was full; it is started again.
        """
        return [
            f"{self.name}: its {event.part} ended with status {event.status}; read {self.log}"
            for event in _events(self.log.read_bytes())
            if event.event == "child.ended" and event.status not in (-signal.SIGKILL, Unavailable.exit_status)
        ]


class _BrokerReady(msgspec.Struct, frozen=True):
    """What the broker says while it answers, as far as it matters here; null: that node does not."""

    kafka_pids: tuple[int | None, ...]


class _Event(msgspec.Struct, frozen=True):
    """A line of a log, as far as it matters here."""

    event: str
    part: str = ""
    status: int = 0
    version: int = 0


def _events(log: bytes) -> Iterator[_Event]:
    # Other lines are Python's own words, or what a killed process did not finish.
    lines = (line for line in log.splitlines() if line.startswith(b"{") and line.endswith(b"}"))
    return (msgspec.json.decode(line, type=_Event) for line in lines)


@asynccontextmanager
async def kept(program: Program) -> AsyncIterator[None]:
    """Keep a program running while the caller works; then stop it, whatever happened."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(program.keep())
        try:
            yield
        finally:
            await program.stop()


async def until_ready(program: Program, *, timeout_s: float) -> None:
    """Return when the program says that it is ready; raise TimeoutError naming its log."""
    try:
        async with asyncio.timeout(timeout_s):
            await program.until_ready()
    except TimeoutError as exc:
        raise TimeoutError(f"{program.name}: not ready in {timeout_s:.0f} s; read {program.log}") from exc


async def _until(find: Callable[[], T | None]) -> T:
    """Return what is found, once it is; another process brings it about."""
    while (found := find()) is None:  # noqa: ASYNC110 - no event of ours tells
        await asyncio.sleep(_POLL_S)
    return found


def _ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _descendants(process: Process) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
