"""Whatever was killed and whenever, each message is held once by those for whom it is, and by no one else."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import psutil
import pytest

from almenara.crash import Point
from chaos.events.crash import Crash

if TYPE_CHECKING:
    from chaos.storm import Outcome

# The events take some 80 s; setting up, quiet and a busy machine come on top.
pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(1800)]


def test_every_message_is_held_once_where_it_belongs_and_nowhere_else(outcome: Outcome) -> None:
    report = outcome.report
    assert report.faults == ()
    assert (report.held, report.lost, report.doubled, report.elsewhere) == (report.due, 0, 0, 0)


def test_there_was_load_and_every_event_came_about(outcome: Outcome, request: pytest.FixtureRequest) -> None:
    befallen = Counter(each.event for each in outcome.befallen)
    assert befallen == Counter(each.event for each in outcome.planned)
    assert sum(event.kills for event in befallen.elements()) >= request.config.getoption("--kills")
    assert outcome.report.accepted > 5 * len(outcome.befallen)
    assert {offer.publisher for offer in outcome.offers if offer.told is not None} == set(outcome.stores)
    assert any(offer.told is None for offer in outcome.offers)
    assert any(offer.message.recipients for offer in outcome.offers)


def test_nothing_failed_that_was_not_killed_and_followers_were_shown_each_message_once(
    outcome: Outcome,
) -> None:
    assert outcome.faults == ()


@pytest.mark.parametrize("point", Point)
def test_a_process_ended_at_every_crash_point_and_messages_flowed_again(
    outcome: Outcome, point: Point
) -> None:
    """The storm awaited that death, and what every store holds after it is the first test's matter."""
    (crash,) = [
        each for each in outcome.befallen if isinstance(each.event, Crash) and each.event.point is point
    ]
    assert crash.recovered_s is not None


def test_nothing_is_left_running(outcome: Outcome) -> None:
    folder = str(outcome.folder)
    left = []
    for process in psutil.process_iter(["cmdline", "open_files"]):
        # A child of a node is named by nothing in its command, but it holds its store.
        files = [file.path for file in process.info["open_files"] or ()]
        if any(folder in text for text in (*(process.info["cmdline"] or ()), *files)):
            left.append(process.info["cmdline"])
    assert left == []
