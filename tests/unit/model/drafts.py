"""Messages that keep every rule, to be changed one field at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from almenara.model.alert import Equipment, Goods, RiskAlert
from almenara.model.bodies import (
    Condition,
    ControlResult,
    Decision,
    Finding,
    InfoRequest,
    InfoResponse,
    OperationNotice,
    Receipt,
    Received,
    RiskAlertUpdate,
    RiskAlertWithdrawal,
    RiskProfile,
)
from almenara.model.codes import (
    Area,
    Comparison,
    Completeness,
    DecisionState,
    Level,
    Mode,
    Outcome,
    Phase,
    Tlp,
    Urgency,
    WithdrawalReason,
)
from almenara.model.ids import MemberId
from almenara.model.messages import Handling, Message
from almenara.model.uuid7 import uuid7
from almenara.model.values import Digest

if TYPE_CHECKING:
    from uuid import UUID

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
PE, AR = MemberId("PE"), MemberId("AR")


def an_id(number: int) -> UUID:
    return uuid7(NOW, entropy=number.to_bytes(10, "big"))


ALERT = Message(
    message_id=an_id(1),
    reference="PE-2026-000123",
    issued_at=NOW,
    expires_at=LATER,
    handling=Handling(tlp=Tlp.AMBER),
    body=RiskAlert(
        area=Area.DRUGS,
        level=Level.HIGH,
        urgency=Urgency.PRIORITY,
        goods=(Goods(hs="0803", description="bananas"),),
        origin="EC",
        mode=Mode.MARITIME,
        equipment=(Equipment(container_no="CSQU3054383"),),
    ),
)
UPDATE = replace(
    ALERT,
    message_id=an_id(2),
    version=2,
    supersedes=an_id(1),
    body=RiskAlertUpdate(alert=ALERT.body, change_reason="new container"),  # type: ignore[arg-type]
)


def _plain(body: Any, **fields: Any) -> Message:  # noqa: ANN401 - any body, any field
    return Message(message_id=an_id(3), issued_at=NOW, handling=Handling(tlp=Tlp.AMBER), body=body, **fields)


WITHDRAWAL = _plain(RiskAlertWithdrawal(target=an_id(1), reason=WithdrawalReason.RESOLVED))
RECEIPT = _plain(
    Receipt(
        received=(Received(publisher=PE, epoch=1, seq=7, hash=Digest(bytes(32))),),
        decisions=(Decision(publisher=PE, message_id=an_id(1), state=DecisionState.ACCEPTED, at=NOW),),
    )
)
RESULT = _plain(
    ControlResult(
        alert_publisher=PE,
        alert_id=an_id(1),
        outcome=Outcome.SEIZED,
        control_date="2026-11-24",
        findings=(Finding(area=Area.DRUGS, hs="1302", quantity=12.5, unit="KGM"),),
    )
)
REQUEST = _plain(InfoRequest(questions=("Who is the consignee?",), due=LATER, legal_basis="Article 7"))
RESPONSE = _plain(
    InfoResponse(answers=("A new company.",), completeness=Completeness.COMPLETE), in_reply_to=an_id(4)
)
OPERATION = _plain(
    OperationNotice(
        operation_id="op-condor",
        name="Condor",
        phase=Phase.OPEN,
        lead_member=AR,
        members=(AR, PE),
        period_start=NOW,
        period_end=LATER,
    ),
    expires_at=LATER,
)
PROFILE = _plain(
    RiskProfile(
        profile_id="bananas-1",
        area=Area.DRUGS,
        conditions=(Condition(field="goods.hs", comparison=Comparison.STARTS_WITH, values=("0803",)),),
    ),
    expires_at=LATER,
)

DRAFTS = (ALERT, UPDATE, WITHDRAWAL, RECEIPT, RESULT, REQUEST, RESPONSE, OPERATION, PROFILE)


def changed(message: Message, **fields: Any) -> Message:  # noqa: ANN401 - any field
    """Return the message with these fields of its body changed."""
    return replace(message, body=replace(message.body, **fields))


def handled(message: Message, **fields: Any) -> Message:  # noqa: ANN401 - any field
    """Return the message with these fields of its handling changed."""
    return replace(message, handling=replace(message.handling, **fields))
