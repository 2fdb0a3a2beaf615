"""How does a member's node learn of a newer directory, and what does it do with an unproven change?

    topic --read--> files --TUF--> verified --merge with what was accepted--> committed --> in force

The broker only carries the files: what is shown to us must prove itself, and what does not leaves
the last verified directory in force. A crash anywhere reads the topic again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from almenara import clock
from almenara.clock import to_micros
from almenara.crash import Point, crash_point
from almenara.errors import AlmenaraError
from almenara.model.ids import directory_topic
from almenara.store import directory as directory_row
from almenara.trust.continuity import TrustedDirectory, merge
from almenara.trust.refresh import refresh

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path

    from sqlalchemy import Connection

    from almenara.bus.kafka import Reader
    from almenara.bus.received import Received
    from almenara.store.database import Store
    from almenara.trust.directory import Directory
    from almenara.trust.targets import VerifiedTargets

log = structlog.get_logger()


class DirectoryFollower:
    """Keep the store's directory the newest that proves itself; `current` is the one in force."""

    def __init__(
        self, *, store: Store, cache: Path, root: bytes, reset_delay: timedelta, own: bytes = b""
    ) -> None:
        self._store = store
        self._cache = cache
        self._root = root
        self._reset_delay = reset_delay
        self._own = own  # the digest of the member's own enrolment, which needs nobody's approval
        self.current: Directory | None = None

    async def load(self) -> None:
        """Take up the directory that the store keeps."""
        saved = await self._store.read(directory_row.load)
        if saved is not None:
            self.current = TrustedDirectory.from_bytes(saved).directory()

    async def start(
        self, files: Mapping[str, bytes], *, reader: Reader, federation: str, wait_s: float
    ) -> None:
        """Take up the store's directory; on the first start the topic's, else the admission's `files`.

        A reader's first directory is taken whole, and whoever comes later is kept back (continuity).
        So the first is the newest there is, and the admission's only where no broker answers.
        """
        await self.load()
        if self.current is not None:
            return
        try:
            async with asyncio.timeout(wait_s):
                records = await reader.read_all(directory_topic(federation))
            await self.take(_files(records))
        except (AlmenaraError, TimeoutError) as error:
            log.warning("directory.from_admission", error=str(error) or "the broker did not answer in time")
            await self.take(files)

    async def take(self, files: Mapping[str, bytes]) -> None:
        """Verify these files and put them in force as far as their members vouch for them.

        Raises DirectoryRefused or Unavailable; then nothing has changed.
        """
        now = clock.now()
        verified = await asyncio.to_thread(refresh, files, cache=self._cache, root=self._root, now=now)
        crash_point(Point.DIRECTORY_VERIFIED)

        def commit(connection: Connection) -> Directory:
            return self._merge(connection, verified)

        taken = await self._store.write(commit)
        crash_point(Point.DIRECTORY_COMMITTED)
        self.current = taken

    async def review(self) -> None:
        """Put in force what has waited long enough, or was approved since."""

        def commit(connection: Connection) -> Directory | None:
            saved = directory_row.load(connection)
            if saved is None:
                return None
            trusted = TrustedDirectory.from_bytes(saved)
            return self._merge(connection, trusted.targets) if trusted.kept_back else None

        changed = await self._store.write(commit)
        self.current = changed or self.current

    async def follow(self, reader: Reader, *, federation: str, poll_s: float) -> None:
        """Follow the directory topic for ever; its absence and its faults are logged, not raised."""
        topic, seen_end, fault = directory_topic(federation), -1, ""
        while True:
            try:
                end = await reader.end_offset(topic)
                if end != seen_end:
                    records = await reader.read_all(topic)
                    await self.take(_files(records))
                    seen_end = end
                else:
                    await self.review()
                fault = ""
            except AlmenaraError as error:
                if error.text != fault:
                    log.warning("directory.not_refreshed", code=error.code, error=error.text)
                fault = error.text
            await asyncio.sleep(poll_s)

    def _merge(self, connection: Connection, verified: VerifiedTargets) -> Directory:
        saved = directory_row.load(connection)
        now = clock.now()
        merged = merge(
            TrustedDirectory.from_bytes(saved) if saved is not None else None,
            verified,
            now=now,
            delay=self._reset_delay,
            own=self._own,
        )
        for alarm in merged.alarms:
            log.error(
                "directory.kept_back",
                member=alarm.member,
                change=alarm.change,
                effective_at=(alarm.since + self._reset_delay).isoformat(),
            )
        targets = merged.trusted.to_bytes()
        if targets != saved:
            directory_row.save(
                connection,
                version=merged.directory.version,
                verified_at=to_micros(now),
                targets=targets,
            )
            crash_point(Point.DIRECTORY_WRITTEN)
            log.info("directory.in_force", version=merged.directory.version)
        return merged.directory


def _files(records: Sequence[Received]) -> dict[str, bytes]:
    """Return the newest of each file; an empty value deletes one."""
    newest = {
        record.key.decode(errors="replace"): record.value for record in records if record.key is not None
    }
    return {name: value for name, value in newest.items() if value}
