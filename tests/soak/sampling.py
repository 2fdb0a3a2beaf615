"""What is there to see of a federation that runs? Of its processes, stores and readers, from outside.

One line of JSON a sample, written as it is taken: a run that is broken off loses none.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from uuid import UUID

    from almenara.model.ids import MemberId
    from chaos.load import Offer
    from chaos.programs import Program
    from chaos.scene import Scene

MIB = 1024 * 1024


class ProcessSample(msgspec.Struct, frozen=True, kw_only=True):
    """One process. `memory` is what would be free without it, in bytes: shared pages do not count."""

    pid: int
    memory: int
    handles: int
    threads: int
    cpu_s: float


class StoreSample(msgspec.Struct, frozen=True, kw_only=True):
    """One store: bytes of its file and of its write-ahead log, and what the node says that it holds."""

    file: int
    log: int
    messages: int
    """Its own and those of others."""


class ReaderSample(msgspec.Struct, frozen=True, kw_only=True):
    """One reader: how many accepted messages have not come, and the longest that any took or has waited.

    `lag_s` is from the call of the publisher to the reader's hands, of those that came since the last
    sample and of those that wait.
    """

    waiting: int
    lag_s: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one time, in seconds from the begin of the load."""

    at_s: float
    accepted: int
    """How many messages callers were told of that they were accepted."""
    machine_cpu: float
    """How busy all processors were since the last sample, 0 to 1, whatever else ran included."""
    processes: dict[str, ProcessSample]
    stores: dict[str, StoreSample]
    readers: dict[str, ReaderSample]


class Samples:
    """The file of a run's samples, one line each; and what it holds."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
        self.taken: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """Write one sample; it is in the file when this returns."""
        with self._file.open("ab") as lines:
            lines.write(msgspec.json.encode(sample) + b"\n")
        self.taken.append(sample)


def processes(scene: Scene) -> dict[str, ProcessSample]:
    """Return every process of the federation that lives, by what it is called."""
    programs: list[Program] = [scene.broker, scene.coordinator, *scene.nodes.values()]
    found: dict[str, ProcessSample] = {}
    for program in programs:
        for process in program.family():
            with suppress(psutil.NoSuchProcess):
                # A child that has not become its program yet has its parent's name: the parent was first.
                called = name(program.name, process.cmdline())
                found[called] = found.get(called) or _process(process)
    return found


def name(program: str, command: Iterable[str]) -> str:
    """Return what a process of a program is called: `publisher of PE` is a child of `node of PE`."""
    words = list(command)
    if "almenara.node.child" in words:
        return program.replace("node", words[-1], 1)
    return "Kafka" if words and words[0].endswith("java") else program


def _process(process: psutil.Process) -> ProcessSample:
    with process.oneshot():
        cpu = process.cpu_times()
        return ProcessSample(
            pid=process.pid,
            memory=process.memory_full_info().uss,
            handles=process.num_fds(),
            threads=process.num_threads(),
            cpu_s=cpu.user + cpu.system,
        )


async def stores(scene: Scene) -> dict[str, StoreSample]:
    """Return every member's store. Raises Unavailable if a node does not answer."""
    found: dict[str, StoreSample] = {}
    for member, bus in scene.buses.items():
        counts = (await bus.node.status()).counts
        file = scene.settings(member).store_path
        found[member] = StoreSample(
            file=_size(file),
            log=_size(file.with_name(f"{file.name}-wal")),
            messages=counts.held + counts.published,
        )
    return found


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


class Lag:
    """How far the readers are behind the callers; it looks at each message until it has come.

    `offers` and each reader's `first_at` grow as callers and followers go on.
    """

    def __init__(
        self, offers: Sequence[Offer], first_at: Mapping[MemberId, Mapping[tuple[MemberId, UUID], float]]
    ) -> None:
        self._offers = offers
        self._first_at = first_at
        self._seen = 0
        self.accepted = 0
        self._due: dict[MemberId, dict[tuple[MemberId, UUID], float]] = {reader: {} for reader in first_at}

    def readers(self, now: float) -> dict[str, ReaderSample]:
        """Return each reader at a time of `time.monotonic`."""
        self._take_up()
        return {reader: self._reader(reader, now) for reader in self._first_at}

    def _take_up(self) -> None:
        """Note what was offered since the last time and is known to be accepted."""
        for offer in self._offers[self._seen :]:
            if offer.told is None:
                continue
            self.accepted += 1
            for reader in offer.message.recipients or self._first_at:
                if reader != offer.publisher:
                    self._due[reader][offer.publisher, offer.message.message_id] = offer.offered_at
        self._seen = len(self._offers)

    def _reader(self, reader: MemberId, now: float) -> ReaderSample:
        due, first_at = self._due[reader], self._first_at[reader]
        lag_s = 0.0
        for identity, offered_at in list(due.items()):
            came_at = first_at.get(identity)
            lag_s = max(lag_s, (now if came_at is None else came_at) - offered_at)
            if came_at is not None:
                del due[identity]
        return ReaderSample(waiting=len(due), lag_s=lag_s)
