"""Which readers are alive and yet confirm nothing more of what we publish? Judged from look to look.

    behind --its word stays where it is, for `after`--> late, if it was heard of meanwhile
      ^ +--its word moves on: it reads a backlog--------+

A reader that is gone is no alarm here: its own streams show it. What is remembered is lost with the
process, so after a restart the time begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from almenara.clock import to_micros
from almenara.node.confirmations import covers

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from almenara.model.ids import MemberId, Stream
    from almenara.node.watch import Facts
    from almenara.trust.directory import Directory


class Behind(NamedTuple):
    """Where a reader's word on a stream of ours stands, and since when it has not moved."""

    place: tuple[int, int]
    since: datetime


Waiting = dict[tuple["Stream", "MemberId"], Behind]


def waiting(before: Waiting, found: Facts, *, directory: Directory, now: datetime) -> Waiting:
    """Return who is behind on which stream of ours, and since when, given the look before."""
    after: Waiting = {}
    for stream, own in found.own.items():
        entry = directory.audiences.get(stream.audience)
        if own.asked is None or own.asked.seq < 0 or entry is None:
            continue
        words = {word.claim.witness: word for word in own.words}
        for reader in entry.members - {stream.publisher} - directory.keyless(stream.audience):
            word = words.get(reader)
            if word is not None and covers(word, epoch=own.asked.epoch, seq=own.asked.seq):
                continue
            place = (0, -1) if word is None else (word.claim.epoch, word.claim.seq)
            seen = before.get((stream, reader))
            # By a clock that was set back the time begins anew.
            same = seen is not None and seen.place == place and seen.since <= now
            after[stream, reader] = seen if seen is not None and same else Behind(place, now)
    return after


def late(
    behind: Waiting, found: Facts, *, now: datetime, after: timedelta
) -> dict[Stream, frozenset[MemberId]]:
    """Return the readers of each stream that are behind for that long and were heard of since."""
    heard: dict[MemberId, int] = {}
    for stream, each in found.heard.items():
        if each.row is not None:
            last = max(each.row.heard_at, each.row.accepted_at)
            heard[stream.publisher] = max(heard.get(stream.publisher, 0), last)
    shown: dict[Stream, frozenset[MemberId]] = {}
    for (stream, reader), since in behind.items():
        if now - since.since >= after and heard.get(reader, 0) > to_micros(since.since):
            shown[stream] = shown.get(stream, frozenset()) | {reader}
    return shown
