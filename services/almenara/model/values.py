"""Which small types do the fields of a message share?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Instant = Annotated[datetime, Meta(tz=True)]
"""A moment with its zone; UTC in every message that parse_message or the codec returns."""

DIGEST_BYTES = 32


class Digest(bytes):
    """Hold a SHA-256 hash: 32 bytes, 64 lower-case hexadecimal digits in JSON."""

    __slots__ = ()

    @classmethod
    def from_text(cls, text: str) -> Digest:
        """Return the digest of 64 hexadecimal digits; raise ValueError otherwise."""
        if len(text) != 2 * DIGEST_BYTES or not text.isascii() or not text.isalnum():
            raise ValueError("want a SHA-256 hash: 64 hexadecimal digits")
        try:
            return cls(bytes.fromhex(text))
        except ValueError as exc:
            raise ValueError("want a SHA-256 hash: 64 hexadecimal digits") from exc
