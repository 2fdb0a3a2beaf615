"""What does a rule get to see?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from almenara.model.alert import RiskAlert
from almenara.model.bodies import RiskAlertUpdate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from almenara.errors import Fault
    from almenara.model.ids import AudienceId
    from almenara.model.messages import Message


class Subject(NamedTuple):
    """Hold one message and what it is judged by."""

    message: Message
    alert: RiskAlert | None
    """The alert that the message carries, new or as an update."""
    alert_path: str
    now: datetime
    audience: AudienceId | None
    nomenclature: AbstractSet[str]


if TYPE_CHECKING:
    Rule = Callable[[Subject], Iterator[Fault]]


def subject(
    message: Message, *, now: datetime, audience: AudienceId | None, nomenclature: AbstractSet[str]
) -> Subject:
    """Return the message with what it is judged by, its alert found."""
    body = message.body
    if isinstance(body, RiskAlert):
        return Subject(message, body, "$.body", now, audience, nomenclature)
    if isinstance(body, RiskAlertUpdate):
        return Subject(message, body.alert, "$.body.alert", now, audience, nomenclature)
    return Subject(message, None, "", now, audience, nomenclature)
