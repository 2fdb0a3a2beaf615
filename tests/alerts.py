"""Alerts for tests that go over a real bus: valid now, each with an id of its own."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from almenara import clock
from almenara.model.uuid7 import uuid7
from unit.model.drafts import ALERT

if TYPE_CHECKING:
    from almenara.model.messages import Message

_numbers = count(1)


def new_alert(**changes: Any) -> Message:  # noqa: ANN401 - any field
    """Return another alert, issued now."""
    now = clock.now()
    return replace(
        ALERT,
        **{
            "message_id": uuid7(now),
            "reference": f"XX-2026-{next(_numbers):06}",
            "issued_at": now,
            "expires_at": now + timedelta(days=30),
            **changes,
        },
    )
