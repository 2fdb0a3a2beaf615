"""What comes from the broker: records that prove nothing yet, and what a topic lets us do."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Access(StrEnum):
    """Say whether this certificate may read a topic."""

    READABLE = "READABLE"
    REFUSED = "REFUSED"
    MISSING = "MISSING"


class Received(NamedTuple):
    """One Kafka record. Headers are not kept: they are not signed (DESIGN 3)."""

    topic: str
    offset: int
    value: bytes
    """Empty for a null value, which marks a deleted key on a compacted topic."""
    timestamp_ms: int
    """When the broker stored it, in milliseconds since the epoch; the operator's word only."""
    key: bytes | None = None
