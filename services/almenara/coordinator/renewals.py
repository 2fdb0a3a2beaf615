"""Which certificate does a member get that asks for its next one? The directory stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from almenara.coordinator.membership import require_asked_since
from almenara.errors import Code, Refused
from almenara.trust.certificates import issue_for_request, member_name
from almenara.trust.directory import MemberStatus
from almenara.trust.enrolment import verify_enrolment
from almenara.trust.renewal import verify_renewal
from almenara.trust.targets import MemberFile, member_target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from almenara.trust.certificates import CertificateAuthority
    from almenara.trust.renewal import Renewal


def renewed_certificate(
    renewal: Renewal,
    *,
    targets: Mapping[str, bytes],
    ca: CertificateAuthority,
    federation: str,
    now: datetime,
) -> bytes:
    """Return the member's next certificate in PEM, of the same generation.

    Raises Refused UNKNOWN_MEMBER for a member that the directory does not list or that is not active,
    and what `verify_renewal` and `require_asked_since` raise.
    """
    saved = targets.get(member_target(renewal.member))
    file = None if saved is None else msgspec.json.decode(saved, type=MemberFile)
    if file is None or file.status is not MemberStatus.ACTIVE:
        standing = "not in the directory" if file is None else file.status.lower()
        raise Refused(
            Code.UNKNOWN_MEMBER,
            f"member {renewal.member}: {standing}; admit it or make it active first",
        )
    verify_renewal(renewal, enrolment=verify_enrolment(file.enrolment), now=now)
    require_asked_since(file, renewal.member, renewal.made_at, now=now)
    return issue_for_request(
        ca,
        renewal.tls_request,
        organization=federation,
        common_name=member_name(renewal.member, file.generation),
        now=now,
    )
