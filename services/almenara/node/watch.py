"""What has changed about the streams since the last look, and who must hear of it?

Every few seconds the states are derived anew (streams.py). A change is logged, an alarm as an error.
A receipt that names another statement than the one held is kept as evidence, for the next receipt
of that reader replaces it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog

from almenara.clock import to_micros
from almenara.model.ids import Stream
from almenara.node.answers import StreamState
from almenara.node.backlog import ready_s
from almenara.node.streams import ALARMS, Heard, Own, forked, heard_view, own_view
from almenara.store import inbox, outbox, quarantine, unread, witness
from almenara.store.quarantine import FORKED_CLAIM, Evidence
from almenara.trust.directory import MemberStatus
from almenara.wire.records import parse_record, parse_statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from almenara.errors import AlmenaraError
    from almenara.model.ids import AudienceId, MemberId
    from almenara.node.answers import StreamView
    from almenara.node.backlog import Backlog
    from almenara.store.witness import Word
    from almenara.trust.directory import Directory

_STANDING = {MemberStatus.SUSPENDED: "is suspended", MemberStatus.LEFT: "has left"}

log = structlog.get_logger()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What one snapshot of the store holds of every stream."""

    own: dict[Stream, Own]
    heard: dict[Stream, Heard]


def facts(connection: Connection, member: MemberId, directory: Directory | None, *, now: datetime) -> Facts:
    """Read what the store holds of every stream that the directory gives this member, or that has a past."""
    heads, asked = outbox.own_heads(connection), outbox.asked(connection)
    unsent, access = outbox.unsent_counts(connection), inbox.stream_access(connection)
    since = {audience: _unsent_since(connection, audience) for audience in unsent}
    chains, gaps = inbox.chains(connection), inbox.gaps(connection)
    evidence, to_come = quarantine.evidence_counts(connection), unread.read(connection)
    outdated = inbox.outdated_streams(connection)
    words = _by_stream(
        [*witness.differing_words(connection, member), *witness.words_on_own(connection, member)]
    )
    audiences = set(heads)
    streams = set(chains)
    if directory is not None:
        audiences |= {audience.id for audience in directory.audiences_of(member, now=now)}
        streams |= set(directory.streams_read_by(member, now=now))
    return Facts(
        own={
            (stream := Stream(audience, member)): Own(
                head=heads.get(audience),
                asked=asked.get(audience),
                unsent=unsent.get(audience, 0),
                unsent_since=since.get(audience, 0),
                words=words.get(stream, ()),
                ended=_ended(stream, member, directory, now),
            )
            for audience in sorted(audiences)
        },
        heard={
            stream: Heard(
                row=chains.get(stream),
                gaps=gaps.get(stream, ()),
                access=access.get(stream, ""),
                words=words.get(stream, ()),
                evidence=evidence.get(stream, quarantine.EvidenceCount()),
                outdated=stream in outdated,
                unread=to_come.get(stream, unread.Unread()),
                ended=_ended(stream, member, directory, now),
            )
            for stream in sorted(streams)
        },
    )


def views(
    found: Facts,
    *,
    directory: Directory | None,
    faults: Mapping[AudienceId, AlmenaraError | None],
    now: datetime,
    withheld_after: timedelta,
    late: Mapping[Stream, frozenset[MemberId]] | None = None,
    unsent_bytes: Mapping[AudienceId, int] | None = None,
    backlogs: Mapping[Stream, Backlog] | None = None,
) -> tuple[StreamView, ...]:
    """Return how every stream stands, our own first.

    `faults` and `unsent_bytes` are what the publisher says of each of ours, `late` as lateness.py finds it,
    `backlogs` as backlog.py does.
    """
    shown = []
    for stream, own in found.own.items():
        entry = directory.audiences.get(stream.audience) if directory is not None else None
        readers = (entry.members if entry else frozenset()) - {stream.publisher}
        keyless = directory.keyless(stream.audience) if directory is not None and entry else frozenset()
        fault = faults.get(stream.audience)
        slow = (late or {}).get(stream, frozenset())
        shown.append(
            own_view(
                stream,
                own,
                readers=readers,
                keyless=keyless,
                fault=fault,
                now=now,
                late=slow,
                unsent_bytes=(unsent_bytes or {}).get(stream.audience, 0),
            )
        )
    ready = ready_s((backlogs or {}).values())
    for stream, heard in found.heard.items():
        shown.append(
            heard_view(
                stream,
                heard,
                now=now,
                withheld_after=withheld_after,
                backlog=(backlogs or {}).get(stream),
                ready_s=ready,
            )
        )
    return tuple(shown)


def _unsent_since(connection: Connection, audience: AudienceId) -> int:
    oldest = outbox.oldest_unsent(connection, audience)
    return 0 if oldest is None else parse_statement(parse_record(oldest.record).payload).head.issued_at


def _ended(stream: Stream, member: MemberId, directory: Directory | None, now: datetime) -> str:
    """Return why nothing more may come on a stream, "" if it may."""
    if directory is None:
        return ""
    audience = directory.audiences.get(stream.audience)
    if audience is None:
        return f"directory {directory.version} has no such audience"
    if audience.ends_at is not None and audience.is_over(now):
        return f"the audience closed, and its retention ended {audience.ends_at:%Y-%m-%d %H:%MZ}"
    for each in (member, stream.publisher):
        if each in audience.members:
            continue
        entry = directory.members.get(each)
        if entry is None or entry.status is MemberStatus.ACTIVE:
            return f"{each} is not in the audience by directory {directory.version}"
        why = f": {entry.reason}" if entry.reason else "; ask the coordinator why"
        return f"{each} {_STANDING[entry.status]} by directory {directory.version}{why}"
    return ""


def report(before: Mapping[Stream, StreamState], shown: Iterable[StreamView]) -> dict[Stream, StreamState]:
    """Log every stream whose state is another than before; return the states to compare with next."""
    states = dict(before)
    for view in shown:
        stream = Stream(view.audience, view.publisher)
        if states.get(stream, StreamState.EMPTY) == view.state:
            continue
        states[stream] = view.state
        level = log.error if view.state in ALARMS else log.info
        level("stream.state", stream=str(stream), state=view.state.value, detail=view.detail)
    return states


def forks(found: Facts) -> list[tuple[Word, bytes]]:
    """Return the receipts that name another statement than the one held, with the hash held."""
    return [
        (word, word.known or (heard.row.hash if heard.row else b""))
        for heard in found.heard.values()
        for word in forked(heard)
    ]


def keep_forks(connection: Connection, *, words: Sequence[tuple[Word, bytes]], now: datetime) -> None:
    """Keep the receipts' records as evidence, once each."""
    rows = []
    for word, known in words:
        claim = word.claim
        told_on = Stream(claim.audience, claim.witness)
        record = inbox.record_at(connection, told_on, claim.told_epoch, claim.told_seq)
        if record is None:
            continue  # told in a heartbeat, which is kept where it arrives
        rows.append(
            Evidence(
                kind=FORKED_CLAIM,
                audience=claim.audience,
                publisher=claim.publisher,
                epoch=claim.epoch,
                seq=claim.seq,
                hash=claim.hash,
                known_hash=known,
                kept_at=to_micros(now),
                record=record,
            )
        )
    quarantine.keep_evidence(connection, rows)


def _by_stream(words: Sequence[Word]) -> dict[Stream, tuple[Word, ...]]:
    found: dict[Stream, list[Word]] = {}
    for word in words:
        found.setdefault(word.claim.stream, []).append(word)
    return {stream: tuple(each) for stream, each in found.items()}
