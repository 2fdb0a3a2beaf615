"""How may a member's standing in the directory change? Pure: its file and a wish in, its file out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from almenara.errors import Code, Refused
from almenara.trust.continuity import Continuity, judge_change
from almenara.trust.directory import MemberStatus
from almenara.trust.targets import MemberFile

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.trust.enrolment import Enrolment


def admitted(
    incoming: Enrolment, before: bytes | None, now: datetime, *, key_reset: bool = False
) -> MemberFile:
    """Return the member's file: new, as it stands, or with the enrolment that follows from its own.

    `key_reset` also takes one that the member's previous key has not signed. Then the certificates
    issued so far belong to another generation: whoever holds the old keys may hold those too. Raises
    Refused KEY_RESET for such an enrolment otherwise, UNKNOWN_MEMBER for a member that is not active.
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
    if judge_change(file.enrolment, incoming.signed) is Continuity.CONTINUOUS:
        return msgspec.structs.replace(file, enrolment=incoming.signed)
    if not key_reset:
        raise Refused(
            Code.KEY_RESET,
            f"member {incoming.member}: its keys in force have not signed this enrolment, or it is not newer "
            "than theirs; ask the member by telephone, and if it has lost them admit it with --key-reset",
        )
    return msgspec.structs.replace(file, enrolment=incoming.signed, generation=file.generation + 1)
