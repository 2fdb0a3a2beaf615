"""How quickly does a store of a million messages open, answer, shrink and get into a backup?

`make bench-store`; BENCH_MESSAGES says how many, BENCH_S how long it trims. Rows of the sizes that real
ones have, ten messages a statement, half of them older than their retention. Beside the trimming another
process's writer, as a publisher is one, notes how long it waits for its transactions.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import structlog  # noqa: E402

from almenara.clock import to_micros  # noqa: E402
from almenara.node import health, watch  # noqa: E402
from almenara.node.housekeeping import Housekeeping  # noqa: E402
from almenara.node.member_folder import init_member  # noqa: E402
from almenara.node.settings import load_settings  # noqa: E402
from almenara.node.store_backup import back_up_store, restore_store  # noqa: E402
from almenara.store import directory as directory_row  # noqa: E402
from almenara.store import dump, inbox, outbox, tally, views, witness  # noqa: E402
from almenara.store.database import Store  # noqa: E402
from almenara.store.inbox import ChainRow  # noqa: E402
from almenara.store.tally import Tally  # noqa: E402
from almenara.store.wanted import InboxFilter  # noqa: E402
from unit.store.rows import AR, PE, REGION, a_hash, message_row, statement_row  # noqa: E402
from unit.trust.federation import NOW, directory  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from sqlalchemy import Connection

    from almenara.node.settings import MemberSettings

    T = TypeVar("T")

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "1000000"))
TRIM_S = float(os.environ.get("BENCH_S", "10"))
A_STATEMENT = 10
BODY, RECORD = 350, 4000
PORTION = 5000
OLD = timedelta(days=60)
AREAS = ("DRUGS", "TOBACCO", "IPR", "WEAPONS")


def build(settings: MemberSettings) -> None:
    """Make the store: half of it came 60 days ago, half now."""
    store = Store.create(settings.store_path)
    old, new = to_micros(NOW - OLD), to_micros(NOW)
    statements = MESSAGES // A_STATEMENT
    for start in range(0, MESSAGES, PORTION):
        at = old if start < MESSAGES // 2 else new

        def portion(connection: Connection, start: int = start, at: int = at) -> None:
            first, last = start // A_STATEMENT, (start + PORTION) // A_STATEMENT
            rows = (statement_row(seq) for seq in range(first, last))
            inbox.insert_statements(
                connection,
                [replaced(row, publisher=AR, received_at=at, record=os.urandom(RECORD)) for row in rows],
            )
            inbox.insert_messages(
                connection,
                [
                    message_row(
                        n,
                        message_id=a_hash(n)[:16],
                        publisher=AR,
                        seq=n // A_STATEMENT,
                        area=AREAS[n % len(AREAS)],
                        reference=f"AR-2026-{n:07}",
                        received_at=at,
                        body=os.urandom(BODY),
                    )
                    for n in range(start, start + PORTION)
                ],
            )
            tally.add(connection, {Tally.HELD: PORTION})

        store.write_now(portion)
        shown(f"\rbuilding: {start + PORTION:,} messages", end="")
    head = ChainRow(
        audience=REGION, publisher=AR, epoch=1, seq=statements - 1, hash=a_hash(1, statements - 1)
    )
    store.write_now(lambda c: inbox.save_chains(c, [head]))
    store.close()
    shown("")


def replaced(row: T, **changes: object) -> T:
    from msgspec.structs import replace

    return replace(row, **changes)  # type: ignore[type-var]


def opening(connection: Connection) -> None:
    """Ask what publisher, subscriber and node ask before they are ready."""
    outbox.own_heads(connection)
    directory_row.load(connection)
    inbox.chains(connection)
    inbox.gaps(connection)
    witness.receipts_due(connection)
    watch.facts(connection, PE, None, now=NOW)
    health.counts(connection)


QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "inbox list": lambda c: views.newest_entries(c, InboxFilter(), limit=100),
    "inbox list --area DRUGS --level HIGH": lambda c: views.newest_entries(
        c, InboxFilter(areas=("DRUGS",), min_level="HIGH"), limit=100
    ),
    "inbox list, and nothing fits": lambda c: views.newest_entries(
        c, InboxFilter(origins=("XX",)), limit=100
    ),
    "inbox show, by its first digits": lambda c: views.ids_named(c, a_hash(MESSAGES // 3)[:4].hex()),
    "inbox show, by its reference": lambda c: views.ids_named(c, "AR-2026-0000123"),
}


def timed(what: str, work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    found = work()
    took = time.perf_counter() - began
    shown(f"{what:<42} {took * 1000:>12,.1f} ms")
    return found, took


class Writer(threading.Thread):
    """Another process's writer: a small transaction every 5 ms, and how long each one took."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self._store = Store.open(place)
        self._ending = threading.Event()
        self.took: list[float] = []

    def run(self) -> None:
        while not self._ending.wait(0.005):
            began = time.perf_counter()
            self._store.write_now(lambda c: tally.add(c, {Tally.PUBLISHED: 1}))
            self.took.append(time.perf_counter() - began)

    def end(self) -> None:
        self._ending.set()
        self.join()
        self._store.close()


def waits(took: list[float]) -> str:
    ordered = sorted(took)
    ranks = (ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1])
    return " / ".join(f"{each * 1000:.1f}" for each in ranks)


def trim(settings: MemberSettings) -> None:
    """Trim the older half, for TRIM_S at most, with a writer beside it."""
    quiet = Writer(settings.store_path)
    quiet.start()
    time.sleep(2)
    quiet.end()
    store, writer = Store.open(settings.store_path), Writer(settings.store_path)
    keeper = Housekeeping(settings=settings, store=store, directory=directory)
    before = rows_of(store)
    writer.start()
    _, took = timed("trimming", lambda: asyncio.run(some_of(keeper)))
    writer.end()
    gone = before - rows_of(store)
    shown(f"  {gone:,} rows of {before:,}, {gone / took:,.0f} a second")
    shown("  another's write, ms at p50 / p99 / the longest:")
    shown(f"  {waits(quiet.took)} alone, {waits(writer.took)} beside it")
    store.close()


async def some_of(keeper: Housekeeping) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(TRIM_S):
            await keeper.tidy(directory(), NOW)


def rows_of(store: Store) -> int:
    return store.read_now(dump.count)


def shown(line: str, end: str = "\n") -> None:
    sys.stdout.write(line + end)
    sys.stdout.flush()


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory() as folder:
        init_member(Path(folder) / "PE", member="PE", federation="ams", name="Peru", now=NOW)
        settings = load_settings(Path(folder) / "PE", environ={})
        settings.state.mkdir()
        build(settings)
        shown(f"{MESSAGES:,} messages, {settings.store_path.stat().st_size / 1e6:,.0f} MB")
        store, opened = timed("open", lambda: Store.open(settings.store_path))
        _, asked = timed("what a node asks before it is ready", lambda: store.read_now(opening))
        shown(f"{'open and ready to start (wanted: 2,000 ms)':<42} {(opened + asked) * 1000:>12,.1f} ms")
        for what, question in QUESTIONS.items():
            timed(what, lambda question=question: store.read_now(question))  # type: ignore[misc]
        store.close()
        trim(settings)
        file = Path(folder) / "backup"
        under = b"a long sentence"
        tell: Callable[..., None] = lambda *_: None  # noqa: E731
        timed("store backup", lambda: back_up_store(settings, file, under=under, now=NOW, tell=tell))
        shown(f"  {file.stat().st_size / 1e6:,.0f} MB")
        timed(
            "store restore",
            lambda: restore_store(settings, file, under=under, force=True, now=NOW, tell=tell),
        )


if __name__ == "__main__":
    main()
