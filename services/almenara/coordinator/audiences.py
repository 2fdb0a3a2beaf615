"""May an audience be made or changed like this? Pure: the directory and a wish in, the file out."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from almenara.errors import Code, Refused
from almenara.model.ids import REGION, audience_id, member_id
from almenara.trust.directory import AudienceKind
from almenara.trust.targets import PAIR_MEMBERS

if TYPE_CHECKING:
    from almenara.model.ids import AudienceId
    from almenara.trust.directory import Audience, Directory
    from almenara.trust.targets import AudienceFile

TITLE_MAX = 200
"""Characters of a title, as of a member's name."""

RETENTION_MAX_DAYS = 3650
"""Ten years: beyond it a typing error is more likely than a legal duty."""


class AudienceChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of an audience; UNSET leaves it, None takes a date away."""

    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()
    title: str | msgspec.UnsetType = msgspec.UNSET
    opens_at: datetime | msgspec.UnsetType | None = msgspec.UNSET
    closes_at: datetime | msgspec.UnsetType | None = msgspec.UNSET
    retention_days: int | msgspec.UnsetType = msgspec.UNSET


def new_audience(directory: Directory, audience: str, file: AudienceFile) -> tuple[AudienceId, AudienceFile]:
    """Return the id and file of a new audience; raise Refused saying what is wrong with it."""
    name = audience_id(audience)
    if name in directory.audiences:
        raise Refused(Code.CONFLICT, f"audience {name}: exists already; amend it, or choose another id")
    _check(directory, name, file)
    return name, file


def amended(
    directory: Directory, audience: AudienceId, file: AudienceFile, change: AudienceChange
) -> AudienceFile:
    """Return the file of an audience once changed; raise Refused saying what is wrong with it."""
    wanted = {
        key: value for key, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET
    }
    add, remove = wanted.pop("add"), wanted.pop("remove")
    listed = frozenset(file.members)
    for member in sorted((add & listed) | (remove - listed)):
        raise _conflict(
            audience,
            f"{member} is {'listed already' if member in listed else 'not listed'}",
            "see: almenara audience show",
        )
    wanted["members"] = tuple(sorted((listed | add) - remove))
    changed = msgspec.structs.replace(file, **wanted)
    _check(directory, audience, changed)
    return changed


def _check(directory: Directory, audience: AudienceId, file: AudienceFile) -> None:
    if (file.kind is AudienceKind.REGION) != (audience == REGION):
        raise _conflict(audience, f"kind {file.kind}", f"{REGION} alone is of kind REGION")
    if file.kind is AudienceKind.REGION and (file.opens_at or file.closes_at):
        raise _conflict(audience, "with dates", "it has neither beginning nor end")
    if file.kind is AudienceKind.REGION and file.members:
        raise _conflict(audience, "names members", "it is all that are active; leave them out")
    if file.kind is not AudienceKind.REGION and not file.members:
        raise _conflict(audience, "nobody in it", "name its members")
    for member in file.members:
        if member_id(member) not in directory.members:
            raise Refused(
                Code.UNKNOWN_MEMBER,
                f"audience {audience}: no member {member}; admit it first, or correct the id",
            )
    if file.kind is AudienceKind.PAIR and len(file.members) != PAIR_MEMBERS:
        raise _conflict(audience, f"a pair of {len(file.members)}", "name two members, or another kind")
    if not (file.title.isprintable() and 0 < len(file.title) <= TITLE_MAX):
        raise Refused(
            Code.FORMAT,
            f"audience {audience}: its title is not 1 to {TITLE_MAX} printable characters; give one",
        )
    if not 1 <= file.retention_days <= RETENTION_MAX_DAYS:
        raise Refused(
            Code.RANGE,
            f"audience {audience}: retention of {file.retention_days} days; want 1 to {RETENTION_MAX_DAYS}",
        )
    if file.opens_at is not None and file.closes_at is not None and file.opens_at >= file.closes_at:
        raise _conflict(audience, "closes before it opens", "correct its dates")


def _conflict(audience: AudienceId, fault: str, remedy: str) -> Refused:
    return Refused(Code.CONFLICT, f"audience {audience}: {fault}; {remedy}")


def closing(audience: Audience, now: datetime) -> AudienceChange:
    """Return the change that closes an audience now; raise Refused CONFLICT if it has closed before.

    One that would open later never does.
    """
    if audience.closes_at is not None and audience.closes_at <= now:
        raise _conflict(audience.id, f"closed {audience.closes_at:%Y-%m-%d %H:%MZ}", "nothing is to be done")
    never_opened = audience.opens_at is not None and audience.opens_at >= now
    return AudienceChange(closes_at=now, opens_at=None if never_opened else msgspec.UNSET)
