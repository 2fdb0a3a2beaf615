"""How does a message get an id that no other message has and that sorts by time?"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_RANDOM_BYTES = 10


def uuid7(now: datetime, *, entropy: bytes | None = None) -> UUID:
    """Return a UUID version 7 (RFC 9562, section 5.7) of this moment.

    `entropy` is ten bytes in place of random ones: an importer that hashes a row into it gets the same
    id for the same row each time. Raise ValueError for other lengths.
    """
    random = os.urandom(_RANDOM_BYTES) if entropy is None else entropy
    if len(random) != _RANDOM_BYTES:
        raise ValueError(f"entropy of {len(random)} bytes: want {_RANDOM_BYTES}")
    tail = int.from_bytes(random, "big")
    milliseconds = (now - _EPOCH) // _MILLISECOND
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76  # the version
    value |= (tail >> 64 & 0xFFF) << 64
    value |= 0b10 << 62  # the variant
    value |= tail & (1 << 62) - 1
    return UUID(int=value)
