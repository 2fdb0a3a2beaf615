"""May the coordinators' newest files replace what a member said of itself before?

Only the member may: a new enrolment counts at once if it is later than the accepted one and
signed by one of its signing keys in force. Otherwise, and for a member not seen before, it is
kept back: an alarm, and no effect for 24 hours or until this node's administrator approves it.
So no quorum of coordinators can quietly become a member or add one (DESIGN 4). The first
directory of a reader is taken whole: its root's fingerprint was compared by hand.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara.errors import Code, DirectoryRefused
from almenara.model.ids import MemberId
from almenara.trust.directory import Removal
from almenara.trust.enrolment import SignedEnrolment, verify_enrolment, verify_signature
from almenara.trust.targets import VerifiedTargets, build_directory

if TYPE_CHECKING:
    from almenara.trust.directory import Directory

RESET_DELAY = timedelta(hours=24)
"""How long an unproven change waits for somebody to object (DESIGN 4, key continuity)."""


REMOVALS_MAX = 64
"""Removals remembered: an author that seals by a directory so old has been stopped by its expiry long ago."""


class Continuity(StrEnum):
    """Say how an enrolment follows from the accepted one."""

    CONTINUOUS = "CONTINUOUS"
    FIRST = "FIRST"
    KEY_RESET = "KEY_RESET"


class KeptBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An enrolment that has no effect yet: whose, why, since when, and if it was approved."""

    member: MemberId
    change: Continuity
    enrolment: bytes
    since: datetime
    approved: bool = False


class TrustedDirectory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a reader keeps of the directory: the newest files, and whose word it has accepted."""

    targets: VerifiedTargets
    accepted: dict[MemberId, SignedEnrolment]
    kept_back: tuple[KeptBack, ...] = ()
    removals: tuple[Removal, ...] = ()

    def directory(self) -> Directory:
        """Return the directory in force; raise DirectoryRefused if its files do not make one."""
        built = build_directory(self.targets, accepted=self.accepted)
        return msgspec.structs.replace(built, removals=self.removals)

    def approve(self, member: MemberId) -> TrustedDirectory:
        """Return this with the member's change approved; the next merge puts it in force."""
        return msgspec.structs.replace(
            self,
            kept_back=tuple(
                msgspec.structs.replace(change, approved=True) if change.member == member else change
                for change in self.kept_back
            ),
        )

    def to_bytes(self) -> bytes:
        """Return the bytes to keep in the store."""
        return msgspec.json.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> TrustedDirectory:
        """Return what `to_bytes` was called on; raise DirectoryRefused for other bytes."""
        try:
            return _TRUSTED.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise DirectoryRefused(
                Code.DIRECTORY_INVALID,
                f"stored directory: not of its shape ({exc}); restore the store, or refresh the directory",
            ) from exc


# Made with the module: two threads that first decode a type at once crash msgspec (model/messages.py).
_TRUSTED = msgspec.json.Decoder(TrustedDirectory)


class Merge(NamedTuple):
    """What to keep, the directory in force, and the changes seen for the first time: alarm each."""

    trusted: TrustedDirectory
    directory: Directory
    alarms: tuple[KeptBack, ...]


def directory_from_bytes(data: bytes) -> Directory:
    """Return the directory in force that a store keeps; raise DirectoryRefused for other bytes."""
    return TrustedDirectory.from_bytes(data).directory()


def judge_change(accepted: SignedEnrolment | None, incoming: SignedEnrolment) -> Continuity:
    """Return how a member's newest enrolment follows from the accepted one.

    The member itself must have replaced it: later, and signed by one of the signing keys in force
    until then. A retired key does not vouch, for it may be in other hands.
    """
    if accepted is None:
        return Continuity.FIRST
    if accepted.payload == incoming.payload:
        return Continuity.CONTINUOUS
    before, after = verify_enrolment(accepted), verify_enrolment(incoming)
    # Later, because an old enrolment is validly signed too: publishing it again would bring back
    # keys that the member has withdrawn.
    if after.made_at <= before.made_at:
        return Continuity.KEY_RESET
    for entry in before.signing_keys_in_force():
        try:
            verify_signature(incoming, entry)
        except DirectoryRefused:
            continue
        return Continuity.CONTINUOUS
    return Continuity.KEY_RESET


def merge(
    previous: TrustedDirectory | None,
    incoming: VerifiedTargets,
    *,
    now: datetime,
    delay: timedelta = RESET_DELAY,
    own: bytes = b"",
) -> Merge:
    """Return what is in force once these files have come, at that time.

    Call it again as time passes, with the files already held: what waited long enough takes effect.
    `own` is the digest of the enrolment that the reader made itself: it needs nobody's approval.
    Raises DirectoryRefused if the files make no directory, are of another federation, or are older
    than those held.
    """
    proposed = build_directory(incoming)
    if previous is None:
        accepted = {member.id: member.enrolment for member in proposed.members.values()}
        trusted = TrustedDirectory(targets=incoming, accepted=accepted)
        return Merge(trusted, proposed, ())
    held = previous.directory()
    _require_successor(held, proposed)
    waiting = {change.member: change for change in previous.kept_back}
    accepted = dict(previous.accepted)
    kept_back: list[KeptBack] = []
    alarms: list[KeptBack] = []
    for member in proposed.members.values():
        verdict = judge_change(accepted.get(member.id), member.enrolment)
        if verdict is Continuity.CONTINUOUS or member.enrolment.digest == own:
            accepted[member.id] = member.enrolment
            continue
        change = waiting.get(member.id)
        if change is None or change.enrolment != member.enrolment.digest:
            change = KeptBack(member=member.id, change=verdict, enrolment=member.enrolment.digest, since=now)
            alarms.append(change)
        if change.approved or change.since + delay <= now:
            accepted[member.id] = member.enrolment
        else:
            kept_back.append(change)
    trusted = TrustedDirectory(
        targets=incoming, accepted=accepted, kept_back=tuple(kept_back), removals=previous.removals
    )
    removals = (*previous.removals, *_removals(held, trusted.directory(), now))[-REMOVALS_MAX:]
    trusted = msgspec.structs.replace(trusted, removals=removals)
    return Merge(trusted, trusted.directory(), tuple(alarms))


def _removals(held: Directory, newest: Directory, now: datetime) -> tuple[Removal, ...]:
    return tuple(
        Removal(audience=audience.id, version=newest.version, seen_at=now)
        for audience in held.audiences.values()
        if audience.id in newest.audiences and audience.members - newest.audiences[audience.id].members
    )


def _require_successor(held: Directory, proposed: Directory) -> None:
    if proposed.federation != held.federation:
        raise DirectoryRefused(
            Code.DIRECTORY_INVALID,
            f"directory of {proposed.federation}: this node belongs to {held.federation}; correct its broker",
        )
    if proposed.version < held.version:
        raise DirectoryRefused(
            Code.DIRECTORY_INVALID,
            f"directory: version {proposed.version} is older than {held.version}, which is held; "
            "ask the coordinator why it is shown again",
        )
