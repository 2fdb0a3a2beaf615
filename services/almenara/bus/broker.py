"""How does a single site, a demo or a test run a real Apache Kafka without Docker or a system Java?

    start: lock -> check certificate -> ports -> jars -> all nodes at once (kafka_node.py)
    stop:  all nodes at once
    keep:  a node that ends by itself is started again while another runs; each in its turn is
           stopped and started when other certificates are to be turned away (turned_away.py)

One node, or three that each hold every record: then the cluster goes on while one is away (ADR 0019).
State below `<state>/broker`: `broker.pem` (key and chain) and `ca.pem` are put there by the
coordinator; `node-1/` and so on belong to the nodes; `ports.json` says how many there are and keeps
their ports. A crash at any step leaves what the next start takes up. Java inherits the lock, so the
state stays locked until all of it has gone.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import os
import signal
import time
import uuid
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Self

import msgspec
import structlog

from almenara.bus import artifacts
from almenara.bus.configuration import server_properties
from almenara.bus.kafka import in_sync
from almenara.bus.kafka_node import Ground, KafkaNode
from almenara.bus.ports import LOOPBACK, addresses, choose_ports
from almenara.bus.preflight import check_certificate
from almenara.bus.principals import COORDINATOR
from almenara.bus.turned_away import turned_away
from almenara.errors import AlmenaraError, Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from almenara.bus.artifacts import Progress
    from almenara.bus.configuration import Forwarded, Ports
    from almenara.bus.preflight import BrokerIdentity

LOOK_S = 0.5
"""How often it is looked whether a node has ended, and which certificates are to be turned away."""

LEARN_S = 2.0
"""From such a change to the restart: nodes look for a new directory every second, and seal by it then."""

TURN_S = 40.0
"""Longest wait of a node for its turn to be started anew: all connections of a certificate that was
revoked must end within 60 s, even if nodes that come back late make everybody wait then (ADR 0019)."""

AGAIN_S = 1.0
"""Wait before a node that ended by itself is started again; it doubles while that does not last."""

AGAIN_MAX_S = 60.0
"""The longest such wait, and how long a node must have run for the next wait to be short again."""

_IN_SYNC_POLL_S = 0.2
_PRIVATE = 0o700

log = structlog.get_logger()


class Broker:
    """The Kafka nodes over one state folder; enter it to start, leave it to stop.

    `nodes` is how many there are, None as many as ever; `port` 0 takes the ports of the last start, or
    chooses. `operators` are the names whose certificates may do everything, beside the broker's own;
    `forwarded` are further ports for clients behind a forwarder. The ready file stands while the cluster
    answers, that is most of its nodes; it is JSON: `bootstrap`, `pid` of this process, `kafka_pids` of Java
    in the order of the nodes, null for one that does not answer.
    """

    def __init__(
        self,
        state: Path,
        *,
        nodes: int | None = None,
        port: int = 0,
        host: str = LOOPBACK,
        operators: Sequence[str] = (COORDINATOR,),
        forwarded: Sequence[Forwarded] = (),
        ready_file: Path | None = None,
        cache: Path | None = None,
        progress: Progress = artifacts.silent,
    ) -> None:
        self.folder = state.absolute() / "broker"
        self.nodes: tuple[KafkaNode, ...] = ()
        self._wanted = nodes
        self._port = port
        self._host = host
        self._operators = tuple(operators)
        self._forwarded = tuple(forwarded)
        self._ready_file = ready_file
        self._cache = cache
        self._progress = progress
        self._ports: tuple[Ports, ...] = ()
        self._jars: Sequence[Path] = ()
        self._cluster_id = ""
        self._turn = asyncio.Lock()
        self._lock: IO[str] | None = None

    @property
    def bootstrap(self) -> str:
        """Return `host:port` of each node for clients, with commas between, once started."""
        if not self._ports:
            raise RuntimeError("the broker was never started")
        return addresses(self._ports, self._host)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the nodes and return when all answer, or most do and the others have given up.

        Raises Misconfigured for certificates, files or a state in use by another broker, Unavailable
        if a port is taken or Kafka does not come up.
        """
        if any(node.running for node in self.nodes):
            raise RuntimeError("the broker runs already")
        await self.stop()  # what is left of a Kafka that ended by itself, or was killed
        try:
            with self._writable():
                await self._prepare()
            await self._start_most()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End Kafka: SIGTERM, and SIGKILL after 10 s. Stopping twice is once."""
        await self._end(KafkaNode.stop)

    async def kill(self) -> None:
        """End Kafka with SIGKILL, as a crash would; `start` takes up what it left."""
        await self._end(KafkaNode.kill)

    async def keep(self) -> None:
        """Keep all nodes running for ever, each started anew when other certificates are to be turned away.

        Raises Unavailable BROKER_DOWN when the last that ran has ended by itself, and what `start` raises
        when none runs. Clients go on by themselves: what was not acknowledged is sent again.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for node in self.nodes:
                    tasks.create_task(self._keep(node))
        except* AlmenaraError as group:
            raise group.exceptions[0] from None

    async def _keep(self, node: KafkaNode) -> None:
        pause = AGAIN_S
        while True:
            await asyncio.sleep(LOOK_S)
            if not node.running:
                error = node.died()
                self._show()
                if not any(other.running for other in self.nodes):
                    raise error
                log.error("broker.ended", node=node.number, error=error.text, again_in_s=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN_MAX_S)
                await self._start_again(node)
            elif turned_away(self.folder) != node.turned_away:
                await asyncio.sleep(LEARN_S)
                await self._renew(node)
            elif time.monotonic() - node.started_at > AGAIN_MAX_S:
                pause = AGAIN_S

    async def _renew(self, node: KafkaNode) -> None:
        """Stop and start a node in its turn: when the others hold everything, or the time is up."""
        others = tuple(other for other in self.nodes if other is not node)
        async with AsyncExitStack() as turn:
            with suppress(TimeoutError):
                async with asyncio.timeout(TURN_S):
                    await turn.enter_async_context(self._turn)
                    await self._until_spared(others)
            log.info("broker.restarting", node=node.number, turned_away=sorted(turned_away(self.folder)))
            await node.stop()
            self._show()
            await self._start_again(node)

    async def _until_spared(self, others: Sequence[KafkaNode]) -> None:
        """Return when the whole cluster is at hand, so that the others can do without one."""
        reachable = ",".join(other.address for other in others)
        while others:
            if await in_sync(reachable, self._identity().context, brokers=len(self.nodes)):
                return
            await asyncio.sleep(_IN_SYNC_POLL_S)

    async def _start_again(self, node: KafkaNode) -> None:
        """Start one node; what goes wrong is raised if no other runs, else logged for another try."""
        try:
            await self._start_node(node)
        except AlmenaraError as error:
            if not any(other.running for other in self.nodes):
                raise
            log.warning("broker.waiting", node=node.number, code=error.code, error=error.text)
        self._show()

    async def _prepare(self) -> None:
        """Lock the state, and find what all nodes start from."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
        self._take_lock()
        self._identity()
        self._ports = choose_ports(self.folder, nodes=self._wanted, port=self._port, host=self._host)
        self.nodes = tuple(
            KafkaNode(number, folder=self.folder / f"node-{number}", host=self._host, ports=ports)
            for number, ports in enumerate(self._ports, 1)
        )
        self._cluster_id = next(filter(None, (node.cluster_id() for node in self.nodes)), None) or _new_id()
        cache = self._cache or artifacts.cache_folder()
        self._jars = await asyncio.to_thread(artifacts.fetch, cache, progress=self._progress)

    async def _start_most(self) -> None:
        """Start all nodes at once; raise if most of them cannot be started, for without them none answers."""
        failed: list[AlmenaraError] = []

        async def attempt(node: KafkaNode) -> None:
            try:
                await self._start_node(node)
            except AlmenaraError as error:
                failed.append(error)
                if 2 * len(failed) >= len(self.nodes):
                    raise
                log.warning("broker.waiting", node=node.number, code=error.code, error=error.text)

        self._progress("start Kafka", 0, 1)
        try:
            async with asyncio.TaskGroup() as tasks:
                for node in self.nodes:
                    tasks.create_task(attempt(node))
        except* AlmenaraError as group:
            raise group.exceptions[0] from None
        self._progress("start Kafka", 1, 1)
        self._show()

    async def _start_node(self, node: KafkaNode) -> None:
        if self._lock is None:
            raise RuntimeError("the state is not locked")
        identity = self._identity()
        refused = turned_away(self.folder)
        properties = server_properties(
            federation=identity.federation,
            host=self._host,
            number=node.number,
            ports=self._ports,
            data=node.data,
            certificate=self.folder / "broker.pem",
            ca=self.folder / "ca.pem",
            operators=(identity.name, *self._operators),
            turned_away=refused,
            forwarded=self._forwarded,
        )
        ground = Ground(self._jars, self._cluster_id, identity.context, self._lock.fileno())
        with self._writable():
            await node.start(properties, ground, turned_away=refused)

    def _identity(self) -> BrokerIdentity:
        return check_certificate(self.folder / "broker.pem", self.folder / "ca.pem", host=self._host)

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise Misconfigured(
                Code.CONFIGURATION,
                f"broker state {self.folder}: {exc.strerror or exc}; make it writable, with free space",
            ) from exc

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

    def _show(self) -> None:
        """Write the ready file while most nodes answer, and remove it otherwise."""
        if self._ready_file is None:
            return
        pids = [node.pid if node.answering else None for node in self.nodes]
        if 2 * pids.count(None) >= len(pids):
            self._ready_file.unlink(missing_ok=True)
            return
        draft = self._ready_file.with_name(f".{self._ready_file.name}.new")
        draft.write_bytes(
            msgspec.json.encode({"bootstrap": self.bootstrap, "pid": os.getpid(), "kafka_pids": pids})
        )
        draft.replace(self._ready_file)

    async def _end(self, end: Callable[[KafkaNode], Coroutine[Any, Any, None]]) -> None:
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        async with asyncio.TaskGroup() as tasks:
            for node in self.nodes:
                tasks.create_task(end(node))
        if self._lock is not None:
            self._lock.close()
            self._lock = None


async def run(
    state: Path,
    *,
    nodes: int | None = None,
    port: int = 0,
    forwarded: Sequence[Forwarded] = (),
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
            Broker(
                state,
                nodes=nodes,
                port=port,
                forwarded=forwarded,
                ready_file=ready_file,
                cache=cache,
                progress=progress,
            ) as broker,
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


def _new_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
