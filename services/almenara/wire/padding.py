"""How large is a batch on the wire? Only ever one of six sizes, so that its length tells little.

A padded batch is its length as four bytes, highest first, the batch, and zeros up to the bucket.
"""

from __future__ import annotations

from typing import Final

from almenara.errors import Code, Refused, StatementRefused

BUCKETS: Final = (1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 512 << 10)
"""Bytes of a padded batch (SPEC, padding). The largest leaves a record of 1,000,000 bytes room for
390 slots of an announcement."""

_LENGTH_BYTES: Final = 4

BATCH_MAX: Final = BUCKETS[-1] - _LENGTH_BYTES
"""Bytes of the largest batch that fits a bucket."""


def choose_bucket(batch_bytes: int) -> int:
    """Return the size of the smallest bucket for a batch of so many bytes; raise Refused OVERSIZE."""
    for bucket in BUCKETS:
        if batch_bytes + _LENGTH_BYTES <= bucket:
            return bucket
    raise Refused(
        Code.OVERSIZE, f"batch: {batch_bytes} bytes, the largest is {BATCH_MAX}; shorten its messages"
    )


def pad(batch: bytes) -> bytes:
    """Return the batch padded to the smallest bucket that holds it; raise Refused OVERSIZE."""
    zeros = bytes(choose_bucket(len(batch)) - _LENGTH_BYTES - len(batch))
    return b"".join((len(batch).to_bytes(_LENGTH_BYTES, "big"), batch, zeros))


def unpad(padded: bytes) -> bytes:
    """Return the batch; raise StatementRefused PADDING if a bit of the padding is not as it must be."""
    length = int.from_bytes(padded[:_LENGTH_BYTES], "big")
    batch = padded[_LENGTH_BYTES : _LENGTH_BYTES + length]
    # One comparison covers a length beyond the end, another bucket, and anything but zeros.
    if pad(batch) != padded:
        raise StatementRefused(
            Code.PADDING,
            "sealed batch: not padded with zeros to its own bucket; its publisher must seal it again",
        )
    return batch
