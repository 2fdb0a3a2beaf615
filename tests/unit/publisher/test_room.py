"""What waits has bounds, in memory and on disk, and whoever finds them reached is told when to come again."""

from __future__ import annotations

import asyncio

import pytest

from almenara.errors import Code, Unavailable
from almenara.model.ids import REGION
from almenara.publisher import room
from almenara.publisher.groups import Accepted
from almenara.publisher.room import WAITING_BYTES_MAX, WAITING_MAX, Queue, outbox_full
from almenara.publisher.sending import LINE_MAX, Sending
from almenara.publisher.waiting import Waiting
from almenara.store import outbox
from almenara.store.database import Store
from almenara.store.outbox import OutboxRecord, OwnHead
from unit.store.rows import PE


def accepted(size: int) -> Accepted:
    return Accepted(
        audience=REGION,
        recipients=(),
        expected=(),
        message_id=bytes(16),
        content=bytes(32),
        kind="RISK_ALERT",
        reference="",
        item=bytes(size),
        elicits_receipt=True,
        alone=False,
    )


@pytest.mark.parametrize(
    ("size", "most"), [(1, WAITING_MAX), (512 * 1024, WAITING_BYTES_MAX // (512 * 1024))]
)
async def test_few_large_messages_fill_the_queue_as_many_small_ones_do(size: int, most: int) -> None:
    queue = Queue()
    waiting = Waiting(accepted(size), asyncio.get_running_loop().create_future())
    for _ in range(most):
        queue.require_room()
        queue.put(waiting)
    with pytest.raises(Unavailable) as refused:
        queue.require_room()
    assert (refused.value.code, refused.value.retry_after_s) == (Code.OUTBOX_FULL, room.WAITING_RETRY_S)
    queue.let_go(1)
    queue.require_room()
    queue.let_go(len(queue))
    assert list(queue) == []


def test_an_outbox_is_full_from_its_bound_on_and_says_what_to_do() -> None:
    assert outbox_full(REGION, 9_999_999, most=10_000_000) is None
    full = outbox_full(REGION, 10_500_000, most=10_000_000)
    assert full is not None
    assert (full.code, full.retry_after_s, full.exit_status) == (Code.OUTBOX_FULL, room.FULL_RETRY_S, 3)
    for part in ("region", "10.0 MiB", "publisher.outbox_max_bytes", "almenara doctor"):
        assert part in full.text


class Broker:
    """Takes what it is sent, as `Sender` does; `fault` is raised instead while it is set."""

    def __init__(self) -> None:
        self.held: list[bytes] = []
        self.fault: Unavailable | None = Unavailable(Code.BROKER_DOWN, "broker: away; wait")

    async def send(self, topic: str, values: list[bytes]) -> int:
        assert topic == "ams.region.pe"
        if self.fault is not None:
            raise self.fault
        self.held += values
        return len(self.held) - 1


def head(seq: int) -> OwnHead:
    return OwnHead(
        audience=REGION,
        epoch=7,
        seq=seq,
        hash=bytes(32),
        key_id=bytes(32),
        issued_at=1,
        directory_version=1,
        fresh_epoch=False,
    )


def said(store: Store, first: int, count: int) -> list[OutboxRecord]:
    """Commit statements of 1,000 bytes as the publisher does, after one another."""
    records = [
        OutboxRecord(audience=REGION, epoch=7, seq=seq, hash=bytes(32), record=bytes(1000))
        for seq in range(first, first + count)
    ]
    store.write_now(
        lambda connection: outbox.append(
            connection,
            before=head(first - 1) if first else None,
            after=head(first + count - 1),
            records=records,
            messages=[],
        )
    )
    return records


async def counted(sending: Sending, unsent_bytes: int) -> None:
    """Wait until so much is said to wait."""
    async with asyncio.timeout(60):
        while sending.unsent_bytes(REGION) != unsent_bytes:  # noqa: ASYNC110 - it counts, and tells nobody
            await asyncio.sleep(0.01)


async def test_what_waits_is_counted_through_absence_restart_and_return(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Half of it is left by an earlier run; of that the broker turns out to hold three already."""
    store = Store.create(tmp_path_factory.mktemp("store") / "s.db")
    said(store, 0, LINE_MAX)
    sending, broker = Sending(federation="ams", member=PE, store=store, retry_s=0.01), Broker()
    left = await store.read(outbox.unsent_bytes)
    assert left == {REGION: LINE_MAX * 1000}
    sending.hold(REGION, backlog=True)
    sending.left(REGION, left[REGION])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(sending.run(broker))  # type: ignore[arg-type]  # it has what is used
        sending.committed(REGION, said(store, LINE_MAX, LINE_MAX))
        assert sending.unsent_bytes(REGION) == 2 * LINE_MAX * 1000
        await store.write(lambda connection: outbox.mark_sent(connection, [(REGION, 7, 2)]))
        sending.release(REGION)
        await counted(sending, (2 * LINE_MAX - 3) * 1000)
        broker.fault = None
        await counted(sending, 0)
        assert len(broker.held) == 2 * LINE_MAX - 3
        sending.committed(REGION, said(store, 2 * LINE_MAX, 1))
        assert sending.unsent_bytes(REGION) == 1000
        await counted(sending, 0)
        running.cancel()
    store.close()
