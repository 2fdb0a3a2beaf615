"""What of a publisher may be set, and what is it unless somebody does?"""

from __future__ import annotations

import msgspec

CHECKPOINT_INTERVAL_S = 86_400.0
"""How long a statement goes without a checkpoint: a day, so that one costs little and covers much."""

OUTBOX_MAX_BYTES = 1024 * 1024 * 1024
"""Bytes of one stream that may wait on disk for the broker: a week of an alert every 3 s, at the 5 KiB that
a short one takes once sealed. Whoever has the disk may set more (`publisher.outbox_max_bytes`)."""


class PublisherSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Intervals of a publisher, in seconds; the defaults are the federation's (DESIGN 3 and 5).

    `outbox_max_bytes` bounds what of each stream waits on disk for the broker.
    """

    heartbeat_interval_s: float = 30.0
    heartbeat_grace_s: float = 30.0
    receipt_interval_s: float = 5.0
    unconfirmed_after_s: float = 120.0
    store_poll_s: float = 0.1
    retry_s: float = 0.5
    drain_s: float = 5.0
    checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S
    outbox_max_bytes: int = OUTBOX_MAX_BYTES
