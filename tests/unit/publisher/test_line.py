"""Does a line keep order and bounds, whatever waits in memory and whatever is left to the store?"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from almenara.model.ids import AudienceId
from almenara.publisher.sending import LINE_MAX, Line
from almenara.store.outbox import OutboxRecord

REGION = AudienceId("region")
BEAT = b"heartbeat"


def records(start: int, count: int) -> list[OutboxRecord]:
    return [
        OutboxRecord(audience=REGION, epoch=1, seq=seq, hash=bytes(32), record=b"%d" % seq)
        for seq in range(start, start + count)
    ]


def waiting(line: Line) -> list[bytes]:
    return [each.record for each in line.waiting]


def test_what_is_committed_waits_in_order() -> None:
    line = Line()
    line.statements(records(0, 2))
    line.statements(records(2, 1))
    assert waiting(line) == [b"0", b"1", b"2"]
    assert not line.more_in_store


def test_past_its_bound_a_line_leaves_the_rest_to_the_store() -> None:
    line = Line()
    line.statements(records(0, LINE_MAX + 5))
    assert len(line.waiting) == LINE_MAX
    assert line.more_in_store


def test_once_the_store_has_more_nothing_overtakes_it() -> None:
    line = Line()
    line.more_in_store = True
    line.statements(records(7, 1))
    assert waiting(line) == []
    assert line.passed_over == 1


def test_a_heartbeat_waits_only_where_nothing_else_does() -> None:
    line = Line()
    line.heartbeat(BEAT)
    line.heartbeat(BEAT)
    assert waiting(line) == [BEAT]
    line.statements(records(0, 1))
    assert waiting(line) == [BEAT, b"0"]
    behind = Line()
    behind.more_in_store = True
    behind.heartbeat(BEAT)
    assert waiting(behind) == [], "behind a backlog it would be stale"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["commit", "burst", "send", "beat"]), max_size=40))
def test_every_statement_is_sent_once_and_in_order(story: list[str]) -> None:
    """The store is a list here, and sending takes all that waits, as `Sending` does."""
    line, said, sent = Line(), 0, []
    for step in [*story, *["send"] * 100]:
        if step in {"commit", "burst"}:
            count = 1 if step == "commit" else LINE_MAX + 3
            line.statements(records(said, count))
            said += count
        elif step == "beat":
            line.heartbeat(BEAT)
        elif line.waiting:
            sent += [each.record for each in line.waiting if each.place]
            line.waiting.clear()
        elif line.more_in_store:
            part = records(len(sent), min(LINE_MAX, said - len(sent)))
            line.more_in_store = False
            line.statements(part)
            line.more_in_store = len(part) == LINE_MAX
    assert sent == [b"%d" % seq for seq in range(said)]
    assert not line.more_in_store
