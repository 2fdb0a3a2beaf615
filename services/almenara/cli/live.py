"""What does doctor learn from the broker and the node: access, clock, one receipt there and back?"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from almenara import clock
from almenara.bus.kafka import Reader, require_answer
from almenara.bus.kafka.probe import writable
from almenara.bus.received import Access
from almenara.cli.checks import Finding, Verdict, fail, failed, ok, warn
from almenara.cli.output import count
from almenara.client import connect
from almenara.errors import AlmenaraError, Code, Held, MessageRefused, Refused, Unavailable
from almenara.model.bodies import Received as Vector
from almenara.model.ids import REGION, Stream, directory_topic
from almenara.model.values import Digest
from almenara.node.backlog import summary
from almenara.node.opening import Found, open_found
from almenara.node.remote import RemoteNode
from almenara.node.streams import ALARMS
from almenara.publisher.receipts import receipt_message, vector
from almenara.store import outbox
from almenara.store.database import Store
from almenara.store.lease import stands_by
from almenara.trust.admit import VerifiedHeartbeat, admit
from almenara.trust.certificates import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator, Sequence

    from sqlalchemy import Connection

    from almenara.bus.received import Received
    from almenara.model.messages import Message
    from almenara.node.answers import Accepted, StreamView
    from almenara.node.service import Node
    from almenara.node.settings import MemberSettings
    from almenara.trust.directory import Directory

ROUND_TRIP_S = 20.0
"""How long a receipt may take there and back: it takes some ten milliseconds, a node's start seconds."""

TAIL = 50
"""Records read back from the end of our own stream: receipts and heartbeats come one in seconds."""

SKEW_WARN_S, SKEW_FAIL_S = 30.0, 300.0
"""Clocks apart: 5 minutes is what readers flag (DESIGN 5); half a minute wants an NTP client."""

LOOK_S = 0.1


WRITES = "write own streams"

_NO_BROKER = warn("round trip", "not tried without a broker", "run almenara doctor again when it answers")
_NO_RIGHT = fail(
    "round trip",
    "not tried: the broker refuses what we write",
    "run almenara doctor again when it is let in",
    kind=Unavailable,
)


class _Line(NamedTuple):
    """How doctor reaches the broker as this member."""

    bootstrap: str
    context: ssl.SSLContext


async def broker_findings(settings: MemberSettings, directory: Directory) -> AsyncIterator[Finding]:
    """Yield what broker and node show; the checks that need a broker are left out without one."""
    line = _Line(
        settings.bootstrap or directory.bootstrap,
        client_context(certificate=settings.certificate_path, key=settings.tls_key_path, ca=settings.ca_path),
    )
    not_tried: Finding | None = None
    try:
        await require_answer(line.bootstrap, line.context)
        yield ok("broker", f"{line.bootstrap} answers over TLS")
    except AlmenaraError as error:
        not_tried = _NO_BROKER
        yield failed("broker", error)
    else:
        try:
            for found in await _access(line, settings, directory):
                if found.check == WRITES and found.verdict is Verdict.FAIL:
                    not_tried = _NO_RIGHT
                yield found
        except AlmenaraError as error:
            yield failed("access", error)
    async for found in _node(settings, directory, line, not_tried):
        yield found


async def _access(line: _Line, settings: MemberSettings, directory: Directory) -> list[Finding]:
    """Ask the broker what this certificate may do; nothing is written."""
    federation, member = directory.federation, settings.member
    now = clock.now()
    mine = [Stream(a.id, member).topic(federation) for a in directory.audiences_of(member, now=now)]
    heard = [stream.topic(federation) for stream in directory.streams_read_by(member, now=now)]
    closed = [
        Stream(audience.id, other).topic(federation)
        for audience in directory.audiences.values()
        if member not in audience.members or audience.is_over(now)
        for other in audience.members
    ]
    # Nobody is let in to it, so a broker that denies by default refuses it rather than saying
    # that there is none.
    nobodys = f"{federation}.no-audience.{member.lower()}"
    may_write = await writable(line.bootstrap, line.context, [*mine, *heard, *closed, nobodys])
    async with Reader(line.bootstrap, line.context) as reader:
        access = await reader.probe([*heard, *closed, nobodys, directory_topic(federation)])
    unread = [
        topic for topic in [*heard, directory_topic(federation)] if access[topic] is not Access.READABLE
    ]
    trespass = [topic for topic in may_write if topic not in mine]
    trespass += [topic for topic in [*closed, nobodys] if access[topic] is not Access.REFUSED]
    ask = "ask the coordinator to synchronize: almenara coordinator sync"
    return [
        _all(WRITES, mine, [topic for topic in mine if topic not in may_write], ask),
        _all("read audiences", heard, unread, ask),
        _all(
            "refused elsewhere",
            [*heard, *closed, nobodys],
            trespass,
            "the broker lets this member in where it must not: tell the coordinator at once",
        ),
    ]


def _all(check: str, asked: list[str], wrong: list[str], remedy: str) -> Finding:
    if not wrong:
        return ok(check, count(len(asked), "topic"))
    return fail(check, f"not so: {', '.join(sorted(set(wrong)))}", remedy)


async def _node(
    settings: MemberSettings, directory: Directory, line: _Line, not_tried: Finding | None
) -> AsyncIterator[Finding]:
    async with RemoteNode(settings.socket_path) as remote:
        if await remote.answers():
            status = await remote.status()
            yield ok(
                "node", f"process {status.pid}, version {status.version}, since {status.started_at:%d %H:%MZ}"
            )
            views = await remote.streams()
            for found in _amounts(views):
                yield found
            for view in (view for view in views if view.state in ALARMS):
                name = f"stream {view.audience}/{view.publisher}"
                yield warn(name, f"{view.state}: {view.detail}", "see almenara streams --help for each state")
        elif waits := stands_by(settings.lease_path):
            yield ok("node", waits)
            return
        else:
            yield warn("node", "does not run", f"start it: almenara node run --config {settings.file}")
    if not_tried is not None:
        yield not_tried
        return
    try:
        async with asyncio.timeout(ROUND_TRIP_S), connect(settings) as bus:
            for found in await _round_trip(bus.node, settings, directory, line):
                yield found
    except TimeoutError:
        yield fail(
            "round trip",
            f"not back within {ROUND_TRIP_S:.0f} s",
            "see almenara streams: is the own stream UNSENT or STOPPED?",
            kind=Unavailable,
        )
    except AlmenaraError as error:
        yield failed("round trip", error)


def _amounts(views: Sequence[StreamView]) -> Iterator[Finding]:
    """Yield what waits to be sent and what is still to be read, where there is any."""
    if left := summary(views):
        yield ok("catching up", left)
    for view in views:
        if view.unsent_since is not None:
            size = f"{count(view.lag, 'statement')}, {view.unsent_bytes / 2**20:.1f} MiB"
            yield ok(f"outbox of {view.audience}", f"{size}, since {view.unsent_since:%Y-%m-%d %H:%M:%SZ}")


async def _round_trip(
    node: Node, settings: MemberSettings, directory: Directory, line: _Line
) -> list[Finding]:
    """Publish a receipt of what was received, read it back from the broker, verify and open it."""
    stream = Stream(REGION, settings.member)
    topic = stream.topic(directory.federation)
    loop = asyncio.get_running_loop()
    async with Store.open(settings.store_place) as store, Reader(line.bootstrap, line.context) as reader:
        message = await store.read(lambda connection: _receipt(connection, stream))
        begun = loop.time()
        accepted = None if message is None else await node.publish(message, audience=REGION)
        while True:
            end = await reader.end_offset(topic)
            for received in reversed(await reader.read_from(topic, max(0, end - TAIL))):
                judge = partial(
                    _proven, record=received, stream=stream, accepted=accepted, directory=directory
                )
                issued_at = await store.read(judge)
                if issued_at is not None:
                    took = (loop.time() - begun) * 1000
                    what = "a heartbeat, as nothing was said yet," if accepted is None else "a receipt"
                    seen = f"{what} signed, sent, read back and verified in {took:.0f} ms"
                    return [ok("round trip", seen), _clock(received.timestamp_ms / 1000 - issued_at / 1e6)]
            await asyncio.sleep(LOOK_S)


def _receipt(connection: Connection, stream: Stream) -> Message | None:
    """Return a receipt of what this member holds, or of its own head; None if there is nothing at all."""
    received = vector(connection, stream.audience)
    head = outbox.own_heads(connection).get(stream.audience)
    if not received and head is not None and head.seq >= 0:
        own = Vector(publisher=stream.publisher, epoch=head.epoch, seq=head.seq, hash=Digest(head.hash))
        received = (own,)
    return receipt_message(received, now=clock.now()) if received else None


def _proven(
    connection: Connection,
    *,
    record: Received,
    stream: Stream,
    accepted: Accepted | None,
    directory: Directory,
) -> int | None:
    """Return when the record was issued (microseconds) if it is the one that is looked for, else None."""
    now = clock.now()
    try:
        proven = admit(record.value, stream=stream, directory=directory, now=now)
    except (Refused, Held):
        return None  # what stands on the stream besides is not doctor's to judge
    if isinstance(proven, VerifiedHeartbeat):
        return proven.heartbeat.issued_at if accepted is None else None
    head = proven.head
    if accepted is None or (head.epoch, head.seq) != (accepted.epoch, accepted.seq):
        return None
    found = Found(
        audience=stream.audience,
        publisher=stream.publisher,
        epoch=head.epoch,
        seq=head.seq,
        record=record.value,
        at=head.issued_at,
    )
    opened = open_found(connection, found, member=stream.publisher, directory=directory, now=now)
    ids = [
        each.message.message_id for each in opened.messages if not isinstance(each.message, MessageRefused)
    ]
    if accepted.message_id not in ids:
        raise Refused(
            Code.BROKEN_LINK, f"stream {stream}: its statement {head.seq} holds another message; ask us"
        )
    return head.issued_at


def _clock(ahead_s: float) -> Finding:
    """Compare the broker's clock with ours, both when the same record was made and stored."""
    seen = f"the broker's is {abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} ours"
    remedy = "set the clock of this machine by NTP, or ask the coordinator about the broker's"
    if abs(ahead_s) > SKEW_FAIL_S:
        return fail("clock", seen, remedy)
    return warn("clock", seen, remedy) if abs(ahead_s) > SKEW_WARN_S else ok("clock", seen)
