"""Whatever was killed and whenever, each message is held once by those for whom it is, and by no one else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import psutil
import pytest

from almenara.demo.ledger import open_ledger

if TYPE_CHECKING:
    from chaos.storm import Outcome

# 20 kills take some 100 s; setting up, quiet and a busy machine come on top.
pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(600)]


def test_every_message_is_held_once_where_it_belongs_and_nowhere_else(outcome: Outcome) -> None:
    report = outcome.report
    assert report.faults == ()
    assert (report.held, report.lost, report.doubled, report.elsewhere) == (report.due, 0, 0, 0)


def test_there_was_load_and_every_event_came_about(outcome: Outcome, request: pytest.FixtureRequest) -> None:
    befallen = Counter(each.event for each in outcome.befallen)
    assert befallen == Counter(each.event for each in outcome.planned)
    assert sum(event.kills for event in befallen.elements()) >= request.config.getoption("--kills")
    assert outcome.report.accepted > 10 * len(outcome.befallen)
    assert {offer.publisher for offer in outcome.offers if offer.told is not None} == set(outcome.stores)
    assert any(offer.told is None for offer in outcome.offers)
    assert any(offer.message.recipients for offer in outcome.offers)


def test_nothing_failed_that_was_not_killed(outcome: Outcome) -> None:
    assert outcome.faults == ()


def test_messages_flowed_again_after_every_event(outcome: Outcome) -> None:
    assert [str(each.event) for each in outcome.befallen if each.recovered_s is None] == []


def test_who_followed_an_inbox_was_shown_each_message_once(outcome: Outcome) -> None:
    for member, store in outcome.stores.items():
        with open_ledger(member, store) as ledger:
            held = {(message.publisher, message.message_id): 1 for message in ledger.inbox()}
        shown = {(publisher, key.bytes): n for (publisher, key), n in outcome.shown[member].items()}
        assert shown == held


def test_nothing_is_left_running(outcome: Outcome) -> None:
    folder = str(outcome.folder)
    left = []
    for process in psutil.process_iter(["cmdline", "open_files"]):
        # A child of a node is named by nothing in its command, but it holds its store.
        files = [file.path for file in process.info["open_files"] or ()]
        if any(folder in text for text in (*(process.info["cmdline"] or ()), *files)):
            left.append(process.info["cmdline"])
    assert left == []
