"""Do the benchmark's alerts deserve the name, and does its table say what was not reached?"""

from __future__ import annotations

from io import StringIO
from itertools import islice

import msgspec
import pytest
from rich.console import Console

from almenara import clock
from almenara.model.ids import AudienceId
from almenara.model.rules import check
from almenara.wire.messages import encode_message
from benchmarks import alerts, bare
from benchmarks.machine import Machine
from benchmarks.report import Figure, Report, save, show

POOL = alerts.pool()
MACHINE = Machine(
    cpu="a processor", cores=2, memory_gib=4.0, system="Linux", python="3.11", fsync_ms=0.1, load_before=0.0
)


def test_alerts_keep_every_rule_are_a_kilobyte_and_all_differ() -> None:
    for alert in POOL[:100]:
        check(alert, now=clock.now(), audience=AudienceId("region"))
    items = [encode_message(alert) for alert in POOL]
    assert 900 < sum(map(len, items)) / len(items) < 1100
    assert len({item[48:] for item in items}) == len(POOL)


def test_no_two_alerts_that_are_sent_have_an_id_in_common() -> None:
    sent = list(islice(alerts.distinct(POOL[:10]), 1000))
    assert len({message.message_id for message in sent}) == 1000
    assert len({message.reference for message in sent}) == 1000


def test_fastavro_alone_is_measured_on_the_same_alerts() -> None:
    encode, decode = bare.bare_rates(POOL[:50])
    assert encode > 0
    assert decode > 0


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [({"at_least": 10}, True), ({"at_least": 10.1}, False), ({"at_most": 9}, False), ({}, None)],
    ids=str,
)
def test_the_median_is_what_counts(wanted: dict[str, float], reached: bool | None) -> None:  # noqa: FBT001
    figure = Figure(path="a path", name="a figure", unit="/s", runs=(1, 10, 99), **wanted)
    assert figure.median == 10
    assert figure.reached is reached


def test_what_was_not_reached_is_shown_as_such_and_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    figure = Figure(path="publish", name="ratio", unit="", runs=(0.5, 0.4, 0.6), at_least=0.8)
    report = Report(
        at="2026-11-24",
        machine=MACHINE,
        seconds=1,
        runs=3,
        backlog=10,
        alert_bytes=1000,
        figures=(figure,),
    )
    out = StringIO()
    show(report, Console(file=out, width=100))
    (line,) = [line for line in out.getvalue().splitlines() if "ratio" in line]
    assert "0.5" in line
    assert ">= 0.8" in line
    assert "NO" in line
    assert "hop-client" in out.getvalue(), "what is not measured is said, too"
    assert "busy" not in out.getvalue()
    file = tmp_path_factory.mktemp("bench") / "build" / "bench.json"
    save(report, file)
    kept = msgspec.json.decode(file.read_bytes())
    assert kept["figures"][0]["median"] == 0.5
    assert kept["figures"][0]["reached"] is False


def test_a_busy_machine_is_said_to_be_busy() -> None:
    busy = msgspec.structs.replace(MACHINE, load_before=5.0)
    report = Report(at="2026-11-24", machine=busy, seconds=1, runs=1, backlog=1, alert_bytes=1000, figures=())
    out = StringIO()
    show(report, Console(file=out, width=100))
    assert "busy with other work" in out.getvalue()
