"""What of a subscriber may be set, and what is it unless somebody does?"""

from __future__ import annotations

import msgspec


class SubscriberSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Intervals of a subscriber, in seconds; the defaults are the federation's (DESIGN 3 and 4)."""

    gap_wait_s: float = 60.0
    reset_delay_s: float = 86_400.0
    first_directory_wait_s: float = 10.0
    directory_poll_s: float = 1.0
    probe_interval_s: float = 5.0
    poll_s: float = 0.2
    fetch_min_bytes: int = 1
    fetch_wait_s: float = 0.5
    request_timeout_s: float = 10.0
    retry_s: float = 0.5
    withheld_after_s: float = 30.0
    watch_interval_s: float = 2.0
