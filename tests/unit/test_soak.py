"""Does the judge of a long run tell a leak from noise, and do table and picture say what it found?"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from io import StringIO
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from rich.console import Console

from alerts import new_alert
from almenara.demo.chains import Place
from almenara.model.ids import MemberId
from almenara.node.settings import load_settings
from chaos.auditor import Report
from chaos.load import Offer
from soak.growth import Point, growth, marginal
from soak.judgement import HANDLES, KAFKA, LATE_BYTES, MEMORY, judgement
from soak.long_run import INTERVALS
from soak.picture import draw
from soak.report import Outcome, show
from soak.sampling import (
    MIB,
    Lag,
    ProcessSample,
    ReaderSample,
    Sample,
    Samples,
    StoreSample,
    name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from uuid import UUID

RUN_S, EVERY_S = 1800, 5
TIMES = range(0, RUN_S, EVERY_S)
PE, AR, CL = MemberId("PE"), MemberId("AR"), MemberId("CL")


def series(value: Callable[[int], float], seed: int = 1, noise: float = 0.3) -> list[Point]:
    """Return half an hour of a process of some 60 MiB."""
    random = Random(seed)
    return [Point(at_s, 60 + value(at_s) + random.gauss(0, noise)) for at_s in TIMES]


def warm_up(at_s: int) -> float:
    return -20 * math.exp(-at_s / 150)


QUIET = {
    "noise": lambda _: 0.0,
    "a warm-up": warm_up,
    "a saw-tooth of housekeeping": lambda at_s: (at_s % 20) * 0.5,
    "a saw-tooth of two minutes, which no block holds whole": lambda at_s: (at_s % 120) / 10,
    "one peak": lambda at_s: 40.0 if 1500 < at_s < 1560 else 0.0,
    "peaks, rare and high": lambda at_s: 80.0 if at_s % 300 == 0 else 0.0,
    "what becomes less": lambda at_s: -at_s / 200,
    "4 MiB in half an hour": lambda at_s: at_s / 450,
}
GROWING = {
    "a leak": lambda at_s: at_s / 200,
    "a leak after a warm-up": lambda at_s: warm_up(at_s) + at_s / 250,
    "a leak below a saw-tooth": lambda at_s: (at_s % 20) * 0.5 + at_s / 200,
    "a leak among peaks": lambda at_s: at_s / 200 + (80.0 if at_s % 300 == 0 else 0.0),
    "a leak that begins late": lambda at_s: max(0, at_s - 1000) / 60,
    "a stair of a few steps": lambda at_s: at_s // 300 * 2.5,
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", QUIET)
def test_what_does_not_leak_passes(shape: str, seed: int) -> None:
    found = growth(series(QUIET[shape], seed), MEMORY)
    assert found is not None
    assert not found.bad, found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", GROWING)
def test_what_leaks_is_caught(shape: str, seed: int) -> None:
    found = growth(series(GROWING[shape], seed), MEMORY)
    assert found is not None
    assert found.bad, found


def test_the_slope_of_a_leak_is_told_by_half_hours() -> None:
    found = growth(series(lambda at_s: at_s / 180, noise=0), MEMORY)
    assert found is not None
    assert found.per_half_hour == pytest.approx(10)
    assert found.grown == pytest.approx(10 * 2 / 3, rel=0.02)
    assert found.start < found.end < found.highest


@pytest.mark.parametrize(
    ("handles", "bad"),
    [
        (lambda at_s: at_s // 300, True),
        (lambda at_s: at_s // 1000, False),
        (lambda at_s: at_s % 30 // 5, False),
    ],
    ids=["one in five minutes", "one once", "connections that come and go"],
)
def test_a_leak_of_handles_is_caught(handles: Callable[[int], float], bad: bool) -> None:  # noqa: FBT001
    found = growth([Point(at_s, 40 + handles(at_s)) for at_s in TIMES], HANDLES)
    assert found is not None
    assert found.bad is bad


def test_a_large_process_may_grow_by_its_share_and_a_short_run_by_less() -> None:
    assert MEMORY.allowed(60, 1800) == 5
    assert MEMORY.allowed(400, 1800) == 20
    assert MEMORY.allowed(60, 900) == 2.5
    assert MEMORY.allowed(60, 86_400) == 5, "growth for ever is no less growth for its slowness"
    assert MEMORY.allowed(60, 10) == MEMORY.least


@pytest.mark.parametrize(("start", "bad"), [(200, False), (390, True)])
def test_java_may_take_what_it_was_given_and_no_more(start: float, bad: bool) -> None:  # noqa: FBT001
    found = growth([Point(at_s, start + at_s / 15) for at_s in TIMES], KAFKA)
    assert found is not None
    assert found.bad is bad


def test_of_too_few_samples_nothing_is_said() -> None:
    assert growth([], MEMORY) is None
    assert growth([Point(at_s, at_s) for at_s in range(0, 1200, 20)], MEMORY) is None
    assert growth([Point(at_s, at_s) for at_s in range(599)], MEMORY) is None, "all of it is warm-up"
    assert marginal([Point(number, number) for number in range(20)]) is None


@pytest.mark.parametrize(
    ("size", "steady"),
    [(lambda n: 5000 * n, True), (lambda n: 5000 * n * n / 20_000, False)],
    ids=["linear", "square"],
)
def test_bytes_for_one_more_message_stay_the_same_or_not(size: Callable[[int], float], steady: bool) -> None:  # noqa: FBT001
    found = marginal([Point(messages, size(messages)) for messages in range(12_000, 36_000, 100)])
    assert found is not None
    early, late = found
    assert (late <= early * LATE_BYTES) is steady


# -- samples, table and picture --------------------------------------------------------------


def sample(at_s: int, *, leak: float = 0.0, handles: int = 40) -> Sample:
    random = Random(at_s)

    def process(mib: float) -> ProcessSample:
        memory = int((mib + random.random()) * MIB)
        return ProcessSample(pid=7, memory=memory, handles=handles, threads=9, cpu_s=at_s * 0.04)

    members = ("PE", "AR", "CL")
    nodes = {
        f"{part} of {each}": process(60) for part in ("node", "publisher", "subscriber") for each in members
    }
    messages = at_s * 20
    return Sample(
        at_s=at_s,
        accepted=messages,
        machine_cpu=0.3,
        processes={
            "broker": process(45),
            "Kafka": process(400),
            "coordinator": process(55),
            **nodes,
            "publisher of PE": process(60 + leak * at_s / RUN_S),
        },
        stores={
            each: StoreSample(file=100_000 + messages * 3000, log=4 * MIB, messages=messages)
            for each in members
        },
        readers={each: ReaderSample(waiting=0, lag_s=random.uniform(0.02, 0.2)) for each in members},
    )


AUDITED = Report(
    accepted=36_000, unanswered=12, due=70_000, held=70_000, lost=0, doubled=0, elsewhere=0, faults=()
)


def outcome(samples: Sequence[Sample], *, report: Report = AUDITED, seconds: float = 1800.0) -> Outcome:
    return Outcome(
        seconds=seconds,
        wanted_s=1800.0,
        rate=20.0,
        machine_cpu=0.3,
        changes=60,
        report=report,
        judgement=judgement(samples),
    )


def shown(found: Outcome) -> str:
    out = StringIO()
    show(found, Console(file=out, width=118))
    return out.getvalue()


STEADY = [sample(at_s) for at_s in TIMES]


def test_a_run_without_growth_is_sound_and_its_table_says_so() -> None:
    found = outcome(STEADY)
    assert found.sound
    text = shown(found)
    assert "nothing grows" in text
    for each in ("publisher of PE", "subscriber of CL", "coordinator", "Kafka", "AR"):
        assert each in text
    assert max(map(len, text.splitlines())) <= 118
    assert "…" not in text, "no cell is cut"


def test_a_process_that_leaks_makes_the_run_unsound_and_is_named() -> None:
    found = outcome([sample(at_s, leak=12) for at_s in TIMES])
    assert not found.sound
    assert "grows: memory of publisher of PE" in shown(found)
    assert [each.name for each in found.judgement.processes if each.grows] == ["publisher of PE"]


@pytest.mark.parametrize(
    "change",
    [{"lost": 1}, {"doubled": 1}, {"elsewhere": 1}, {"faults": ("node of PE: ended by itself",)}],
    ids=lambda change: next(iter(change)),
)
def test_nothing_may_be_lost_doubled_elsewhere_or_at_fault(change: dict[str, Any]) -> None:
    assert not outcome(STEADY, report=msgspec.structs.replace(AUDITED, **change)).sound


def test_a_run_that_is_too_short_to_tell_is_not_sound() -> None:
    found = outcome(STEADY[:20], seconds=100.0)
    assert not found.sound
    text = shown(found)
    assert "100 s of 1800, ended early" in text
    assert "too short to tell: let it run for longer" in text
    assert not outcome([]).sound


def test_samples_are_in_their_file_as_they_come(tmp_path: Path) -> None:
    samples = Samples(tmp_path / "soak" / "samples.jsonl")
    for number, each in enumerate(STEADY[:3], start=1):
        samples.add(each)
        lines = (tmp_path / "soak" / "samples.jsonl").read_bytes().splitlines()
        assert [msgspec.json.decode(line, type=Sample) for line in lines] == STEADY[:number]


def test_the_picture_has_a_line_for_each_process_store_and_reader(tmp_path: Path) -> None:
    draw(STEADY, tmp_path / "soak.svg")
    root = ET.parse(tmp_path / "soak.svg").getroot()  # noqa: S314 - we have just written it
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    for process in STEADY[0].processes:
        assert texts.count(process) == 2, "one line of its memory, one of its handles"
    for member in ("PE", "AR", "CL"):
        assert texts.count(member) == 4
    for title in (
        "Memory of publishers, MiB",
        "Open handles of Kafka",
        "Stores: file, MiB",
        "Lag of readers, s",
    ):
        assert title in texts
    assert texts.count("minutes") == 12


def test_every_interval_of_a_run_is_one_that_a_node_knows(tmp_path: Path) -> None:
    (tmp_path / "member.toml").write_text('federation = "ams"\nmember = "PE"\n')
    usual = load_settings(tmp_path, environ={})
    for variable, text in INTERVALS.items():
        assert load_settings(tmp_path, environ={variable: text}) != usual, variable


def test_two_samples_are_enough_for_a_picture(tmp_path: Path) -> None:
    draw([sample(0), sample(1)], tmp_path / "soak.svg")
    ET.parse(tmp_path / "soak.svg")  # noqa: S314 - we have just written it


@pytest.mark.parametrize(
    ("program", "command", "called"),
    [
        ("node of PE", ["python", "-m", "almenara.cli", "node", "run"], "node of PE"),
        ("node of PE", ["python", "-P", "-m", "almenara.node.child", "publisher"], "publisher of PE"),
        ("node of PE", ["python", "-P", "-m", "almenara.node.child", "subscriber"], "subscriber of PE"),
        ("broker", ["/x/bin/java", "-Xmx256m"], "Kafka"),
        ("broker", [], "broker"),
    ],
    ids=str,
)
def test_each_process_has_a_name(program: str, command: list[str], called: str) -> None:
    assert name(program, command) == called


def test_a_message_lags_until_it_comes_to_each_who_should_have_it() -> None:
    offers: list[Offer] = []
    first_at: dict[MemberId, dict[tuple[MemberId, UUID], float]] = {PE: {}, AR: {}, CL: {}}
    lag = Lag(offers, first_at)
    to_all, to_one, untold = new_alert(), new_alert(recipients=(CL,)), new_alert()
    offers += [
        Offer(PE, to_all, 100.0, Place(1, 0)),
        Offer(PE, to_one, 101.0, Place(1, 1)),
        Offer(PE, untold, 50.0, None),
    ]
    first_at[AR][PE, to_all.message_id] = 100.5
    found = lag.readers(103.0)
    assert found == {
        PE: ReaderSample(waiting=0, lag_s=0.0),
        AR: ReaderSample(waiting=0, lag_s=0.5),
        CL: ReaderSample(waiting=2, lag_s=3.0),
    }
    assert lag.accepted == 2
    first_at[CL].update({(PE, to_all.message_id): 104.0, (PE, to_one.message_id): 103.5})
    assert lag.readers(105.0)[CL] == ReaderSample(waiting=0, lag_s=4.0)
    assert lag.readers(106.0)[CL] == ReaderSample(waiting=0, lag_s=0.0)
