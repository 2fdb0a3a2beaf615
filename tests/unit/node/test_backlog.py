"""A reader that comes back is catching up while what is to come grows less; an operator's drops do not do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from almenara.clock import to_micros
from almenara.model.ids import REGION, MemberId, Stream
from almenara.node.answers import StreamState, StreamView
from almenara.node.backlog import QUIET, WINDOW, Backlog, Progress, Step, described, look, ready_s, summary
from almenara.node.streams import CATCHING_UP_FROM, Heard, heard_view
from almenara.node.watch import Facts
from almenara.store.inbox import ChainRow
from almenara.store.unread import Unread
from almenara.store.witness import Claim, Word
from unit.trust.federation import AR, NOW, PE

if TYPE_CHECKING:
    from datetime import datetime

SECOND = timedelta(seconds=1)
STREAM = Stream(REGION, PE)
DAY = timedelta(days=1)

ROW = ChainRow(
    audience=REGION,
    publisher=PE,
    epoch=7,
    seq=5,
    hash=b"h" * 32,
    heard_at=to_micros(NOW - DAY),
    next_by=to_micros(NOW - DAY),
)


def facts(to_come: int, read: int, now: datetime, *, ended: str = "") -> Facts:
    heard = Heard(
        row=replace(ROW, next_offset=read), unread=Unread(to_come, to_micros(now - SECOND)), ended=ended
    )
    return Facts(own={}, heard={STREAM: heard})


def looks(*steps: tuple[float, int, int]) -> dict[Stream, Backlog]:
    """Return what is remembered after looks at (seconds, records to come, records read)."""
    found: dict[Stream, Backlog] = {}
    for after, to_come, read in steps:
        now = NOW + after * SECOND
        found = look(found, facts(to_come, read, now), now=now)
    return found


def test_the_pace_is_that_of_the_last_while() -> None:
    found = looks((0, 9000, 1000), (10, 8000, 2000), (20, 4000, 6000), (40, 1000, 9000))
    backlog = found[STREAM]
    assert (backlog.since, backlog.to_come) == (NOW, 1000)
    assert [step.at for step in backlog.steps] == [NOW + after * SECOND for after in (10, 20, 40)]
    assert backlog.pace == pytest.approx(7000 / 30)
    assert ready_s(found.values()) == pytest.approx(1000 / (7000 / 30))


def test_of_one_look_no_pace_is_known() -> None:
    found = looks((0, 9000, 1000))
    assert found[STREAM].pace == 0
    assert ready_s(found.values()) is None
    assert ready_s([]) is None


def test_what_is_read_to_its_end_or_stands_still_is_forgotten() -> None:
    assert looks((0, 9000, 1000), (1, 0, 10_000)) == {}
    still = facts(9000, 1000, NOW)
    assert look(looks((0, 9000, 1000)), still, now=NOW + QUIET) == {}
    assert look({}, facts(9000, 1000, NOW, ended="has left"), now=NOW) == {}


PACES: dict[str, tuple[bool, int, list[int]]] = {
    # to come at a look every ten seconds; whether it is an excuse at the last
    "new": (True, 1, [9000]),
    "a minute of no gain": (True, 7, [9000]),
    "longer without": (False, 9, [9000]),
    "gaining": (True, 9, [9000, 8900, 8800, 8700, 8600, 8500, 8400, 8300, 8200]),
    "in drops": (False, 9, [9000, 8999, 8998, 8997, 8996, 8995, 8994, 8993, 8992]),
    "as much as comes": (False, 9, [500]),
}


@pytest.mark.parametrize(("is_met", "count", "to_come"), PACES.values(), ids=PACES.keys())
def test_what_grows_less_is_being_read(is_met: bool, count: int, to_come: list[int]) -> None:  # noqa: FBT001 - a table
    steps = [(10.0 * n, to_come[min(n, len(to_come) - 1)], 50 * n) for n in range(count)]
    assert looks(*steps)[STREAM].is_met is is_met


LATE = Word(
    claim=Claim(
        audience=REGION,
        publisher=PE,
        witness=AR,
        epoch=7,
        seq=90,
        hash=b"x" * 32,
        claimed_at=to_micros(NOW - DAY),
    ),
    known=None,
    unmet_since=to_micros(NOW - DAY),
)
FRESH = replace(ROW, next_by=to_micros(NOW + DAY))
READING = Backlog(NOW, (Step(NOW, 9000, 1000),))
FEW = Backlog(NOW, (Step(NOW, CATCHING_UP_FROM - 1, 1000),))
DROPS = Backlog(NOW - DAY, (Step(NOW - WINDOW, 9000, 1000), Step(NOW, 8999, 1001)))

STATES: dict[str, tuple[StreamState, Heard, Backlog | None]] = {
    "a heartbeat of yesterday, and much to come": (StreamState.CATCHING_UP, Heard(row=ROW), READING),
    "a heartbeat of yesterday, and a little to come": (StreamState.CATCHING_UP, Heard(row=ROW), FEW),
    "a heartbeat of yesterday, and nothing": (StreamState.STALE, Heard(row=ROW), None),
    "a heartbeat of yesterday, and drops": (StreamState.STALE, Heard(row=ROW), DROPS),
    "another knows more, and it is being read": (
        StreamState.CATCHING_UP,
        Heard(row=FRESH, words=(LATE,)),
        READING,
    ),
    "another knows more, and nothing comes": (StreamState.WITHHELD, Heard(row=FRESH, words=(LATE,)), None),
    "another knows more, and drops come": (StreamState.WITHHELD, Heard(row=FRESH, words=(LATE,)), DROPS),
    "all well, and much to come": (StreamState.CATCHING_UP, Heard(row=FRESH), READING),
    "all well, and a little to come": (StreamState.OK, Heard(row=FRESH), FEW),
    "nothing said, and much to come": (StreamState.CATCHING_UP, Heard(), READING),
    "a refusal stays one": (StreamState.REFUSED, Heard(row=ROW, access="REFUSED"), READING),
}


@pytest.mark.parametrize(("state", "heard", "backlog"), STATES.values(), ids=STATES.keys())
def test_only_what_is_late_for_being_read_is_excused(
    state: StreamState, heard: Heard, backlog: Backlog | None
) -> None:
    if backlog is not None:
        heard = replace(heard, unread=Unread(backlog.to_come, to_micros(NOW)))
    ready = None if backlog is None else 40.0
    view = heard_view(STREAM, heard, now=NOW, withheld_after=30 * SECOND, backlog=backlog, ready_s=ready)
    assert view.state is state
    excused = backlog in {READING, FEW}
    assert (view.to_come, view.ready_s) == ((backlog.to_come, 40.0) if backlog and excused else (0, None))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "3,412 records to come"),
        (0.01, "3,412 records to come, about 1 s"),
        (40.4, "3,412 records to come, about 40 s"),
        (600, "3,412 records to come, about 10 min"),
        (36_000, "3,412 records to come, about 10 h"),
    ],
)
def test_an_estimate_has_two_digits(seconds: float | None, text: str) -> None:
    assert described(3412, seconds) == text


def view(member: str, to_come: int, state: StreamState = StreamState.CATCHING_UP) -> StreamView:
    return StreamView(
        audience=REGION,
        publisher=MemberId(member),
        own=False,
        state=state,
        epoch=7,
        seq=5,
        to_come=to_come,
        ready_s=40.0,
    )


def test_what_was_read_since_the_last_look_is_no_more_to_come() -> None:
    view = heard_view(STREAM, Heard(row=FRESH), now=NOW, withheld_after=30 * SECOND, backlog=READING)
    assert (view.state, view.to_come) == (StreamState.OK, 0)
    assert described(1, None) == "1 record to come"


def test_a_summary_is_one_line_over_the_streams_that_are_catching_up() -> None:
    assert summary([view("PE", 3000), view("AR", 412), view("CL", 1, StreamState.OK)]) == (
        "3,412 records to come, about 40 s, on 2 streams"
    )
    assert summary([view("PE", 300)]) == "300 records to come, about 40 s, on 1 stream"
    assert summary([view("CL", 1, StreamState.OK)]) == ""


def test_progress_is_logged_at_first_every_while_and_at_the_end() -> None:
    progress = Progress()
    with capture_logs() as logs:
        progress.tell([], now=NOW)
        for after in range(25):
            progress.tell([view("PE", 9000 - after)], now=NOW + after * SECOND)
        progress.tell([], now=NOW + 25 * SECOND)
        progress.tell([], now=NOW + 26 * SECOND)
    assert [log["event"] for log in logs] == [*["streams.catching_up"] * 3, "streams.caught_up"]
    assert logs[1]["left"] == "8,990 records to come, about 40 s, on 1 stream"
