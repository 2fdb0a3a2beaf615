"""What is done is not done again, and rounds add up."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest

from almenara.crash import Point
from chaos.auditor import Report
from chaos.events.crash import Crash
from chaos.figures import BROKER_KILLS, Figures, total
from chaos.rounds import Rounds
from chaos.schedule import CHANGES, DISKS, JUMPS, NETWORKS, REWINDS
from chaos.storm import HOUR, THREE_NODES_EVERY, round_schedule, round_strength
from chaos.table import table

if TYPE_CHECKING:
    from pathlib import Path

FIGURES = Figures(
    seed=7,
    rounds=1,
    seconds=300.0,
    process_kills=94,
    broker_kills=6,
    recovered_s={"kill broker": [4.0, 6.0], "kill node": [None]},
    report=Report(
        accepted=1000, unanswered=10, due=2500, held=2500, lost=0, doubled=0, elsewhere=0, faults=()
    ),
)


def with_report(**changes: object) -> Figures:
    return msgspec.structs.replace(FIGURES, report=msgspec.structs.replace(FIGURES.report, **changes))


async def test_rounds_that_are_done_are_not_done_again(tmp_path: Path) -> None:
    for number in (1, 2):
        place = tmp_path / "7" / f"round-{number:02}.json"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(msgspec.json.encode(FIGURES))
    said: list[str] = []
    found = await Rounds(tmp_path, seed=7, count=2, say=said.append).run()
    assert (found.rounds, found.process_kills, found.broker_kills) == (2, 188, 12)
    assert found.recovered_s == {"kill broker": [4.0, 6.0, 4.0, 6.0], "kill node": [None, None]}
    assert (found.report.accepted, found.report.due) == (2000, 5000)
    assert msgspec.json.decode((tmp_path / "7.json").read_bytes(), type=Figures) == found
    assert said == [f"2 of 2 rounds are done; to begin anew, remove {tmp_path / '7'}"]


def test_ten_rounds_kill_more_than_900_processes_and_50_brokers() -> None:
    events = [each.event for number in range(1, 11) for each in round_schedule(1, number)]
    kills = [event.kind for event in events if event.kills]
    brokers = sum(map(kills.count, BROKER_KILLS))
    assert len(kills) - brokers > 900
    assert brokers > 50


def test_every_round_meets_every_crash_point() -> None:
    points = [each.event.point for each in round_schedule(1, 1) if isinstance(each.event, Crash)]
    assert sorted(points) == sorted(Point)


def kinds(number: int) -> set[str]:
    return {each.event.kind for each in round_schedule(1, number)}


def test_every_round_brings_everything_that_may_befall_a_member() -> None:
    drawn = [
        draw(Random(1), HOUR.members[0]).kind for draw in (*NETWORKS, *REWINDS, *JUMPS, *DISKS, *CHANGES)
    ]
    for number in (1, THREE_NODES_EVERY):
        assert set(drawn) <= kinds(number)


def test_of_three_broker_nodes_one_is_killed_hangs_and_all_start_anew() -> None:
    of_several = {"kill broker node", "stop broker node", "rolling restart"}
    assert round_strength(THREE_NODES_EVERY).nodes == 3
    assert {*of_several, "kill broker", "stop broker"} <= kinds(THREE_NODES_EVERY)
    assert round_strength(1).nodes == 1
    assert not of_several & kinds(1)


def test_each_round_is_another_and_the_same_again() -> None:
    assert round_schedule(1, 1) == round_schedule(1, 1)
    assert round_schedule(1, 1) != round_schedule(1, 2) != round_schedule(2, 2)
    assert {each.event.member for each in round_schedule(1, 1)} == {None, *HOUR.members}


@pytest.mark.parametrize("wrong", [{"lost": 1}, {"doubled": 1}, {"elsewhere": 1}, {"faults": ("a fault",)}])
def test_one_round_that_is_not_sound_spoils_them_all(wrong: dict[str, object]) -> None:
    assert total([FIGURES, FIGURES], seed=7).sound
    assert not total([FIGURES, with_report(**wrong)], seed=7).sound


def test_the_table_names_every_fault() -> None:
    lines = table(with_report(faults=("node of PE: its publisher ended",)))
    assert "kill broker                      2                5.0 s    6.0 s" in lines
    assert lines[-1] == "  node of PE: its publisher ended"
