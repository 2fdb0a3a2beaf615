"""How may a member's standing in the directory change? Pure: its file and a wish in, its file out."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

import msgspec

from almenara.errors import Code, Refused
from almenara.trust.continuity import Continuity, judge_change
from almenara.trust.directory import MemberStatus
from almenara.trust.renewal import CLOCK_TOLERANCE
from almenara.trust.targets import MemberFile

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.model.ids import MemberId
    from almenara.trust.enrolment import Enrolment

REASON_MAX = 200
"""Characters of a reason: every member reads it."""

_TICK = timedelta(microseconds=1)


class MemberChange(StrEnum):
    """Say what is to happen to a member that was admitted.

    SUSPEND and LEAVE take all access away until REINSTATE. REVOKE_CERTIFICATE takes it from the
    certificates issued so far; what the member asks after that gets it the next.
    """

    SUSPEND = "suspend"
    REINSTATE = "reinstate"
    LEAVE = "leave"
    REVOKE_CERTIFICATE = "revoke-certificate"


def admitted(
    incoming: Enrolment, before: bytes | None, now: datetime, *, key_reset: bool = False
) -> MemberFile:
    """Return the member's file: new, as it stands, or with the enrolment that follows from its own.

    `key_reset` also takes one that the member's previous key has not signed. Then the certificates
    issued so far belong to another generation: whoever holds the old keys may hold those too. Raises
    Refused KEY_RESET for such an enrolment otherwise, UNKNOWN_MEMBER for a member that is not active,
    and what `require_asked_since` raises.
    """
    if before is None:
        return MemberFile(
            enrolment=incoming.signed, status=MemberStatus.ACTIVE, generation=1, admitted_at=now
        )
    file = msgspec.json.decode(before, type=MemberFile)
    if file.status is not MemberStatus.ACTIVE:
        raise Refused(
            Code.UNKNOWN_MEMBER,
            f"member {incoming.member}: {file.status.lower()}; make it active before you issue certificates",
        )
    continuous = judge_change(file.enrolment, incoming.signed) is Continuity.CONTINUOUS
    if not (continuous or key_reset):
        raise Refused(
            Code.KEY_RESET,
            f"member {incoming.member}: its keys in force have not signed this enrolment, or it is not newer "
            "than theirs; ask the member by telephone, and if it has lost them admit it with --key-reset",
        )
    require_asked_since(file, incoming.member, incoming.made_at, now=now)
    if continuous:
        return msgspec.structs.replace(file, enrolment=incoming.signed)
    return msgspec.structs.replace(
        file,
        enrolment=incoming.signed,
        generation=file.generation + 1,
        # Just before this one, which is given again once several coordinators have signed it.
        revoked_at=min(incoming.made_at, now) - _TICK,
    )


def require_asked_since(file: MemberFile, member: MemberId, made_at: datetime, *, now: datetime) -> None:
    """Return if a member asked for a certificate after its last were revoked, by what its file says.

    What it made before may be on its way for weeks and name the very key that was stolen; which requests
    were made nobody keeps, so their signed time decides. A clock may be ahead by CLOCK_TOLERANCE: a request
    of so little before the revocation passes then. Waiting that long would keep out every member that asks
    at once. Raises Refused CERTIFICATE_REVOKED, for one dated further ahead too: its time proves nothing.
    """
    if file.revoked_at is not None and not file.revoked_at < made_at <= now + CLOCK_TOLERANCE:
        fault = "not made after" if made_at <= file.revoked_at else "dated ahead of now, so perhaps not after"
        raise Refused(
            Code.CERTIFICATE_REVOKED,
            f"member {member}: its request of {made_at:%Y-%m-%d %H:%M:%SZ} was {fault} the revocation of its "
            f"certificates, {file.revoked_at:%Y-%m-%d %H:%M:%SZ}; ask it to look at its clock and make a new "
            "one: almenara member renew --new-key, or rotate again if it is to change its keys",
        )


def changed(
    member: MemberId, before: bytes | None, change: MemberChange, *, now: datetime, reason: str = ""
) -> MemberFile:
    """Return the member's file once changed.

    Raises Refused UNKNOWN_MEMBER for one that was never admitted, CONFLICT if it stands like that
    already, FORMAT for a reason that cannot be shown.
    """
    if before is None:
        raise Refused(Code.UNKNOWN_MEMBER, f"member {member}: never admitted here; correct the id")
    if len(reason) > REASON_MAX or not reason.isprintable():
        raise Refused(
            Code.FORMAT,
            f"member {member}: its reason is not up to {REASON_MAX} printable characters; shorten it",
        )
    file = msgspec.json.decode(before, type=MemberFile)
    match change:
        case MemberChange.SUSPEND:
            status = MemberStatus.SUSPENDED
        case MemberChange.LEAVE:
            status = MemberStatus.LEFT
        case MemberChange.REINSTATE:
            status = MemberStatus.ACTIVE
        case MemberChange.REVOKE_CERTIFICATE:
            return msgspec.structs.replace(file, generation=file.generation + 1, revoked_at=now)
        case _:
            assert_never(change)
    if file.status is status:
        raise Refused(Code.CONFLICT, f"member {member}: {status.lower()} already; nothing is to be done")
    return msgspec.structs.replace(file, status=status, reason=reason)
