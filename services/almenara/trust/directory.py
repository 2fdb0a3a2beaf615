"""Who are the members, what are their keys, and who shares what with whom: one verified directory.

Pure values. A `Directory` comes out of `targets.build_directory`, after TUF has proven the files
and each member's own signature its keys; `continuity.merge` then keeps back what a quorum of
coordinators changed without the member. To hold one is to have checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from almenara.errors import Code, DirectoryRefused, RecordRefused, StatementRefused, Unavailable
from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.trust.enrolment import CheckpointKeyEntry, SealingKeyEntry, SignedEnrolment, SigningKeyEntry

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import MLKEM768X25519PublicKey

REMOVAL_TOLERANCE = timedelta(minutes=5)
"""How long after a removal an author may still seal by the directory before it (DESIGN 4)."""

GRACE = timedelta(hours=72)
"""How long an expired directory still serves, flagged: a weekend and a day to bring the coordinator
back (DESIGN 4)."""


RENEW_BEFORE: Mapping[str, timedelta] = {
    "root": timedelta(days=30),
    "targets": timedelta(days=14),
    "snapshot": timedelta(days=3),
    "timestamp": timedelta(hours=12),
}
"""How long before its end each role should have been signed again (repository.py): a month in which the
holders of the root's keys meet, two weeks of holidays and post for the targets', a weekend for the
coordinator's own."""


class MemberStatus(StrEnum):
    """Say how a member stands in the federation; only ACTIVE ones publish and are sealed to."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    LEFT = "LEFT"


class AudienceKind(StrEnum):
    """Say what an audience is: all active members, some of a sub-region, an operation, or two."""

    REGION = "REGION"
    SUB_REGION = "SUB_REGION"
    OPERATION = "OPERATION"
    PAIR = "PAIR"


class Standing(StrEnum):
    """Say how far the directory can still be relied on."""

    FRESH = "FRESH"
    GRACE = "GRACE"
    EXPIRED = "EXPIRED"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A customs administration or registered body: what it enrolled itself, and how it stands.

    `status`, the `reason` for it and `generation` (of its TLS certificate) are the coordinator's
    word, the rest the member's own, signed in `enrolment`.
    """

    id: MemberId
    name: str
    status: MemberStatus
    generation: int
    signing_keys: tuple[SigningKeyEntry, ...]
    sealing_key: SealingKeyEntry | None
    enrolment: SignedEnrolment
    checkpoint_keys: tuple[CheckpointKeyEntry, ...] = ()
    reason: str = ""

    @property
    def checkpoint_key_id(self) -> bytes:
        """Return the id of the key that signs checkpoints, b"" if there is none."""
        return self.checkpoint_keys[0].key_id if self.checkpoint_keys else b""

    def signing_key_ids(self) -> tuple[bytes, ...]:
        """Return the ids of the signing keys in force, those without an end; there is one at least."""
        return tuple(entry.key_id for entry in self.signing_keys if entry.valid_until is None)


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of members that share something: the boundary of access and retention.

    `members` are the active members the directory knows; those suspended, gone or kept back by
    continuity are not among them.
    """

    id: AudienceId
    kind: AudienceKind
    title: str
    members: frozenset[MemberId]
    retention_days: int
    opens_at: datetime | None = None
    closes_at: datetime | None = None

    def is_open(self, now: datetime, *, tolerance: timedelta = timedelta()) -> bool:
        """Tell whether new alerts and profiles may be published; all else goes on after the close.

        Readers give a tolerance: the author's clock and directory are not theirs.
        """
        # The directory's times bear a sum; what a member calls now may be the last microsecond there is.
        return (self.opens_at is None or self.opens_at - tolerance <= now) and (
            self.closes_at is None or now < self.closes_at + tolerance
        )

    @property
    def ends_at(self) -> datetime | None:
        """Return when its retention ends after it closed, None if it has no end."""
        return None if self.closes_at is None else self.closes_at + timedelta(days=self.retention_days)

    def is_over(self, now: datetime) -> bool:
        """Tell whether nothing more may be published to it or read of it."""
        return self.ends_at is not None and now >= self.ends_at


class Removal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody left an audience: with which version, and when this reader verified that."""

    audience: AudienceId
    version: int
    seen_at: datetime


class Expiries(msgspec.Struct, frozen=True, kw_only=True):
    """When each of the four signed roles of the directory expires."""

    root: datetime
    targets: datetime
    snapshot: datetime
    timestamp: datetime

    @property
    def first(self) -> datetime:
        """Return when the first of them expires."""
        return min(self.root, self.targets, self.snapshot, self.timestamp)


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """The members, audiences and schemas in force; `version` is that of the TUF targets role.

    Raises DirectoryRefused if two members claim one key, or an audience names a member not there.
    """

    federation: str
    version: int
    members: Mapping[MemberId, Member]
    audiences: Mapping[AudienceId, Audience]
    schemas: frozenset[str]
    expires: Expiries
    bootstrap: str = ""
    removals: tuple[Removal, ...] = ()
    _signers: Mapping[bytes, tuple[Member, SigningKeyEntry]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        signers: dict[bytes, tuple[Member, SigningKeyEntry]] = {}
        sealing: set[bytes] = set()
        checkpoints: set[bytes] = set()
        for member in self.members.values():
            for entry in member.signing_keys:
                if entry.key_id in signers:
                    raise _contradiction(f"{member.id} lists a signing key that is listed already")
                signers[entry.key_id] = (member, entry)
            if member.sealing_key is not None:
                if member.sealing_key.key_id in sealing:
                    raise _contradiction(f"{member.id} lists a sealing key that is another member's")
                sealing.add(member.sealing_key.key_id)
            for checkpoint in member.checkpoint_keys:
                if checkpoint.key_id in checkpoints:
                    raise _contradiction(f"{member.id} lists a checkpoint key that is listed already")
                checkpoints.add(checkpoint.key_id)
        for audience in self.audiences.values():
            unknown = audience.members - self.members.keys()
            if unknown:
                raise _contradiction(f"{audience.id} names {min(unknown)}, which has no file")
        # A new mapping each time: a copy made by `replace` brings the one of its original along.
        msgspec.structs.force_setattr(self, "_signers", signers)

    def member(self, member: MemberId) -> Member:
        """Return the member; raise StatementRefused UNKNOWN_MEMBER if there is none of that id."""
        found = self.members.get(member)
        if found is None:
            raise StatementRefused(
                Code.UNKNOWN_MEMBER,
                f"member {member}: not in directory {self.version}; refresh or correct the id",
            )
        return found

    def audience(self, audience: AudienceId) -> Audience:
        """Return the audience; raise StatementRefused UNKNOWN_AUDIENCE if there is none of that id."""
        found = self.audiences.get(audience)
        if found is None:
            raise StatementRefused(
                Code.UNKNOWN_AUDIENCE,
                f"audience {audience}: not in directory {self.version}; refresh or correct the id",
            )
        return found

    def signer(self, key_id: bytes) -> tuple[Member, SigningKeyEntry]:
        """Return whose key this is and its entry; raise RecordRefused UNKNOWN_KEY if nobody's."""
        found = self._signers.get(key_id)
        if found is None:
            raise RecordRefused(
                Code.UNKNOWN_KEY,
                f"signing key {key_id.hex()}: no member's in directory {self.version}; "
                "refresh, or ask its owner",
            )
        return found

    def is_in_force(self, key_id: bytes) -> bool:
        """Tell whether a signing key is listed without an end."""
        found = self._signers.get(key_id)
        return found is not None and found[1].valid_until is None

    def signing_key_ends(self) -> frozenset[tuple[bytes, bool]]:
        """Return the id of every key that signs, and whether it has ended: what a reader may believe."""
        ends = {(key_id, key.valid_until is not None) for key_id, (_, key) in self._signers.items()}
        checkpoints = (key for member in self.members.values() for key in member.checkpoint_keys)
        return frozenset(ends | {(key.key_id, False) for key in checkpoints})

    def audiences_of(self, member: MemberId, *, now: datetime) -> tuple[Audience, ...]:
        """Return the audiences that include the member and are not over, sorted by id."""
        found = (self.audiences[key] for key in sorted(self.audiences))
        return tuple(each for each in found if member in each.members and not each.is_over(now))

    def streams_read_by(self, member: MemberId, *, now: datetime) -> tuple[Stream, ...]:
        """Return the streams that others write to those audiences, sorted."""
        return tuple(
            Stream(audience.id, publisher)
            for audience in self.audiences_of(member, now=now)
            for publisher in sorted(audience.members)
            if publisher != member
        )

    def sealing_slots(self, audience: AudienceId) -> dict[bytes, tuple[MemberId, MLKEM768X25519PublicKey]]:
        """Return the sealing keys of the audience's keyed members, the publisher's too, by key id.

        Raises StatementRefused UNKNOWN_AUDIENCE.
        """
        slots: dict[bytes, tuple[MemberId, MLKEM768X25519PublicKey]] = {}
        for member in sorted(self.audience(audience).members):
            key = self.members[member].sealing_key
            if key is not None:
                slots[key.key_id] = (member, key.public)
        return slots

    def predates_removal(self, audience: AudienceId, *, version: int, issued_at: datetime) -> bool:
        """Tell whether an author still seals to somebody who has been out for long.

        `version` and `issued_at` are those of its statement. By this reader's clock: the time at which
        it learned of the removal is never before the removal, whatever a coordinator writes.
        """
        return any(
            removal.audience == audience
            and version < removal.version
            and issued_at > removal.seen_at + REMOVAL_TOLERANCE
            for removal in self.removals
        )

    def keyless(self, audience: AudienceId) -> frozenset[MemberId]:
        """Return the audience's members that nothing can be sealed to; raise UNKNOWN_AUDIENCE."""
        return frozenset(m for m in self.audience(audience).members if self.members[m].sealing_key is None)

    def standing(self, now: datetime) -> Standing:
        """Return FRESH until the first role expires, GRACE for 72 hours more, then EXPIRED."""
        if now < self.expires.first:
            return Standing.FRESH
        if now < self.expires.first + GRACE:
            return Standing.GRACE
        return Standing.EXPIRED

    def require_publishable(self, now: datetime) -> None:
        """Return if statements may still be sealed by this directory.

        Raises Unavailable DIRECTORY_EXPIRED once the grace is over: keys may have been withdrawn
        since, and what is sealed cannot be called back.
        """
        if self.standing(now) is Standing.EXPIRED:
            raise Unavailable(
                Code.DIRECTORY_EXPIRED,
                f"directory {self.version}: expired {self.expires.first.isoformat()} and its 72 hours of "
                "grace are over; reach the coordinator, publishing goes on after the next refresh",
            )


def _contradiction(fault: str) -> DirectoryRefused:
    return DirectoryRefused(
        Code.DIRECTORY_INVALID, f"directory: {fault}; the coordinator must publish it without"
    )
