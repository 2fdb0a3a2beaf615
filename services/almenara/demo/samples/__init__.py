"""Which messages do the six administrations of the demonstration exchange?

One file of JSON lines for each sender stands beside this module. All of it was written for this
project: administrations are real, every trader, ship, person, brand and case is invented, and the
numbers are made up with right check digits. A line wraps one message:

    from            the member that publishes it
    audience        where it goes; its members stand in AUDIENCES
    to              the members of its list; absent means the whole audience
    valid_days      valid from the moment of reading, for so many days
    retention_days  to be kept for so many days
    moments         times, as days from the moment of reading: {"body.due": 10}
    dates           the same for fields that hold a date without a time
    later           to be published once SUSPENDED has lost its access
    links           ids of other samples, by reference: {"supersedes": "PE-2026-000103"}; the one meant
                    is the first that carries the reference
    message         what `almenara publish` takes, without the fields that the above fill in

So the samples never grow stale, and every reading gives them new identities.
"""

from __future__ import annotations

from datetime import timedelta
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from almenara.model.ids import REGION, AudienceId, MemberId
from almenara.model.json import parse_message_object
from almenara.model.uuid7 import uuid7

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from almenara.model.messages import Message


def _members(names: str) -> tuple[MemberId, ...]:
    return tuple(MemberId(name) for name in names.split())


AUDIENCES: Mapping[AudienceId, tuple[MemberId, ...]] = {
    REGION: _members("PE AR CL BR JM PA"),
    AudienceId("andean"): _members("PE AR CL"),
    AudienceId("op-condor"): _members("PE AR BR PA"),
}
"""The audiences of the demonstration: the region, a sub-region and a joint operation."""

SUSPENDED = MemberId("PA")
"""Who loses its access in the middle; it publishes nothing later, and no list of later ones names it."""


class Sample(NamedTuple):
    """Hold one message to publish; its recipients are filled in."""

    sender: MemberId
    audience: AudienceId
    message: Message
    later: bool = False


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sender: MemberId = msgspec.field(name="from")
    audience: AudienceId
    to: tuple[MemberId, ...] = ()
    valid_days: int = 0
    retention_days: int = 0
    moments: dict[str, int] = {}
    dates: dict[str, int] = {}
    later: bool = False
    links: dict[str, str] = {}
    message: dict[str, Any]


def read_samples(now: datetime) -> tuple[Sample, ...]:
    """Return the samples as if written now, each after those that it refers to.

    Raises MessageRefused if a sample is not of the shape of a message. Their rules are not checked.
    """
    lines = [
        msgspec.json.decode(text, type=_Line)
        for sender in AUDIENCES[REGION]
        for text in resources.files(__name__).joinpath(f"{sender}.jsonl").read_bytes().splitlines()
    ]
    originals: dict[str, _Line] = {}
    for line in lines:
        line.message["message_id"] = uuid7(now)
        originals.setdefault(line.message["reference"], line)

    def distance(line: _Line) -> int:
        """Return how many references lead from this line back to one that refers to nothing."""
        return max((1 + distance(originals[reference]) for reference in line.links.values()), default=0)

    return tuple(_sample(line, originals, now) for line in sorted(lines, key=distance))


def _sample(line: _Line, originals: Mapping[str, _Line], now: datetime) -> Sample:
    message = line.message
    message["recipients"] = line.to
    if line.valid_days:
        message |= {"valid_from": now, "expires_at": now + timedelta(days=line.valid_days)}
    if line.retention_days:
        message["handling"]["retention_until"] = now + timedelta(days=line.retention_days)
    for path, days in line.moments.items():
        _put(message, path, now + timedelta(days=days))
    for path, days in line.dates.items():
        _put(message, path, (now + timedelta(days=days)).date().isoformat())
    for path, reference in line.links.items():
        _put(message, path, originals[reference].message["message_id"])
    return Sample(line.sender, line.audience, parse_message_object(message, now=now), line.later)


def _put(message: dict[str, Any], path: str, value: object) -> None:
    """Set the field at a path such as `actions.0.feedback_due`."""
    *way, last = path.split(".")
    place: Any = message
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[last] = value
