"""What are the names of members, audiences and streams, and how are they told apart?"""

from __future__ import annotations

import re
from typing import NamedTuple, NewType

from almenara.errors import Code, Refused

MemberId = NewType("MemberId", str)
AudienceId = NewType("AudienceId", str)

REGION = AudienceId("region")
"""The audience of all active members; every federation has it."""

# ISO 3166-1 alpha-2, or X- and a short name for a registered body (DESIGN 1). Kafka topic names
# are at most 249 characters: federation 16 + audience 32 + member 18 stays far below.
_MEMBER = re.compile(r"[A-Z]{2}|X-[A-Z0-9]{1,16}")
_AUDIENCE = re.compile(r"[a-z0-9-]{1,32}")
_FEDERATION = re.compile(r"[a-z][a-z0-9]{0,15}")


class Stream(NamedTuple):
    """(audience, publisher): one topic, written by that member alone, read by that audience alone."""

    audience: AudienceId
    publisher: MemberId

    def topic(self, federation: str) -> str:
        """Return the Kafka topic of this stream, `<federation>.<audience>.<member>`, lower case."""
        return f"{federation}.{self.audience}.{self.publisher.lower()}"

    def __str__(self) -> str:
        return f"{self.audience}/{self.publisher}"


def member_id(text: str) -> MemberId:
    """Return the text as a member id; raise Refused FORMAT otherwise."""
    if not _MEMBER.fullmatch(text):
        raise Refused(
            Code.FORMAT, f"member id {text!r}: want two capital letters (PE) or X- and a name (X-RILOSA)"
        )
    return MemberId(text)


def audience_id(text: str) -> AudienceId:
    """Return the text as an audience id; raise Refused FORMAT otherwise."""
    if not _AUDIENCE.fullmatch(text):
        raise Refused(Code.FORMAT, f"audience id {text!r}: want 1 to 32 of a-z, 0-9 and -, as in op-condor")
    return AudienceId(text)


def federation_name(text: str) -> str:
    """Return the text as a federation name; raise Refused FORMAT otherwise."""
    if not _FEDERATION.fullmatch(text):
        raise Refused(Code.FORMAT, f"federation name {text!r}: want 1 to 16 of a-z and 0-9, a letter first")
    return text


def directory_topic(federation: str) -> str:
    """Return the compacted topic that carries the signed directory."""
    return f"{federation}.directory"
