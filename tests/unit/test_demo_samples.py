"""The samples of the demonstration are messages that the bus would take."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from almenara.demo.samples import AUDIENCES, SUSPENDED, Sample, read_samples
from almenara.model.alert import RiskAlert
from almenara.model.bodies import ControlResult, RiskAlertUpdate, RiskAlertWithdrawal
from almenara.model.codes import Area, Kind, Language, Outcome
from almenara.model.ids import REGION
from almenara.model.rules import check

NOW = datetime(2027, 2, 3, 4, 5, tzinfo=UTC)
SAMPLES = read_samples(NOW)
ALERTS = [sample for sample in SAMPLES if isinstance(sample.message.body, RiskAlert)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.message.reference}-{s.message.kind}")
def test_sample_breaks_no_rule(sample: Sample) -> None:
    check(sample.message, now=NOW, audience=sample.audience)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: f"{s.message.reference}-{s.message.kind}")
def test_sender_and_recipients_belong_to_the_audience(sample: Sample) -> None:
    members = AUDIENCES[sample.audience]
    assert sample.sender in members
    assert set(sample.message.recipients) <= set(members) - {sample.sender}
    assert sample.message.reference.startswith(f"{sample.sender}-")


def test_there_are_sixty_alerts_of_every_area_language_sender_and_audience() -> None:
    assert len(ALERTS) >= 66
    areas = Counter(s.message.body.area for s in ALERTS if isinstance(s.message.body, RiskAlert))
    assert set(areas) == set(Area)
    assert {text.lang for sample in ALERTS for text in sample.message.texts} == set(Language)
    assert {sample.sender for sample in ALERTS} == set(AUDIENCES[REGION])
    assert {sample.audience for sample in ALERTS} == set(AUDIENCES)
    assert sum(bool(sample.message.recipients) for sample in ALERTS) >= 10


def test_every_kind_but_the_receipt_which_nodes_write_themselves_is_there() -> None:
    assert {sample.message.kind for sample in SAMPLES} == set(Kind) - {Kind.RECEIPT}
    outcomes = {s.message.body.outcome for s in SAMPLES if isinstance(s.message.body, ControlResult)}
    assert {Outcome.SEIZED, Outcome.CONFORM, Outcome.NOT_FOUND} <= outcomes


def test_samples_follow_what_they_refer_to() -> None:
    seen: set[object] = set()
    for sample in SAMPLES:
        message = sample.message
        assert {message.supersedes, message.in_reply_to, message.conversation_id} - {None} <= seen
        match message.body:
            case RiskAlertUpdate():
                assert message.supersedes in seen
            case RiskAlertWithdrawal(target=target):
                assert target in seen
            case ControlResult(alert_id=alert_id) if alert_id is not None:
                assert alert_id in seen
            case _:
                pass
        seen.add(message.message_id)


def test_every_reading_gives_new_identities_and_current_times() -> None:
    later = read_samples(NOW + timedelta(days=400))
    assert not {s.message.message_id for s in SAMPLES} & {s.message.message_id for s in later}
    assert [s.message.reference for s in SAMPLES] == [s.message.reference for s in later]
    assert all(s.message.issued_at == NOW + timedelta(days=400) for s in later)


def test_what_comes_later_stands_alone_and_has_nothing_to_do_with_who_was_suspended() -> None:
    later = [sample for sample in SAMPLES if sample.later]
    assert {sample.audience for sample in later} == set(AUDIENCES)
    assert {sample.sender for sample in later} == set(AUDIENCES[REGION]) - {SUSPENDED}
    assert not any(SUSPENDED in sample.message.recipients for sample in later)
    # Most of it would have reached that one, and must not.
    assert sum(not s.message.recipients and SUSPENDED in AUDIENCES[s.audience] for s in later) >= 9
    ids = {sample.message.message_id for sample in later}
    for sample in SAMPLES:
        message = sample.message
        assert ids.isdisjoint({message.supersedes, message.in_reply_to})
    for message in (sample.message for sample in later):
        assert {message.supersedes, message.in_reply_to} == {None}
