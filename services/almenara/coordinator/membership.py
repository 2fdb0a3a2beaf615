"""How may a member's standing in the directory change? Pure: its file and a wish in, its file out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from almenara.errors import Code, Refused
from almenara.trust.directory import MemberStatus
from almenara.trust.targets import MemberFile

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.trust.enrolment import Enrolment


def admitted(incoming: Enrolment, before: bytes | None, now: datetime) -> MemberFile:
    """Return the member's file, new or as it stands; raise Refused for other keys or standing."""
    if before is None:
        return MemberFile(
            enrolment=incoming.signed, status=MemberStatus.ACTIVE, generation=1, admitted_at=now
        )
    file = msgspec.json.decode(before, type=MemberFile)
    if file.enrolment.digest != incoming.signed.digest:
        raise Refused(
            Code.KEY_RESET,
            f"member {incoming.member}: admitted already with other keys; admit the enrolment.json that it "
            "sent first, for a change of keys needs the member's word to all others",
        )
    if file.status is not MemberStatus.ACTIVE:
        raise Refused(
            Code.UNKNOWN_MEMBER,
            f"member {incoming.member}: {file.status.lower()}; make it active before you issue certificates",
        )
    return file
