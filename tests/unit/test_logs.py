"""Events come out whole, in one form, and what others wrote in them steers nothing."""

from __future__ import annotations

import io
import json
import logging
from contextlib import suppress

import pytest
import structlog

from almenara import logs


def configured(*, as_json: bool | None = None, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(stream=stream, as_json=as_json, level=level)
    return stream


def test_off_a_terminal_an_event_is_one_line_of_json() -> None:
    stream = configured()
    structlog.get_logger().info("acl.reverted", rule="x", count=2)
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert event.pop("at").endswith("Z")
    assert event == {"event": "acl.reverted", "level": "info", "rule": "x", "count": 2}


def test_an_event_is_one_write_so_that_those_of_several_processes_do_not_mix() -> None:
    writes: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    logs.configure(stream=Stream())
    structlog.get_logger().info("child.started")
    assert len(writes) == 1
    assert writes[0].endswith("}\n")


def test_what_is_below_the_level_stays_away() -> None:
    stream = configured(level="warning")
    structlog.get_logger().info("broker.started")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("as_json", [True, False])
def test_control_characters_of_others_are_escaped(*, as_json: bool) -> None:
    stream = configured(as_json=as_json)
    structlog.get_logger().info("message.refused", text="\x1b[2J\nlevel=error\u202e")
    (line,) = stream.getvalue().splitlines()
    assert "\\x1b" in line
    assert "\x1b[2J" not in line
    assert "\u202e" not in line


def test_a_library_speaks_the_same_way_and_only_when_it_warns() -> None:
    stream = configured()
    library = logging.root.manager.getLogger("sqlalchemy")
    library.info("connected")
    library.warning("no answer from %s", "b:1")
    (line,) = stream.getvalue().splitlines()
    event = json.loads(line)
    assert (event["event"], event["logger"], event["level"]) == (
        "no answer from b:1",
        "sqlalchemy",
        "warning",
    )


def test_a_kafka_client_does_not_repeat_what_it_raises() -> None:
    stream = configured()
    logging.root.manager.getLogger("aiokafka.conn").error("no answer from b:1")
    assert stream.getvalue() == ""


def test_a_crash_shows_where() -> None:
    stream = configured()
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        structlog.get_logger().exception("node.crashed")
    assert "RuntimeError: broken" in json.loads(stream.getvalue())["exception"]


def test_the_environment_sets_the_level_and_at_debug_every_library_speaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALMENARA_LOG", "DEBUG")
    stream = configured(level="error")
    structlog.get_logger().debug("record.read")
    logging.root.manager.getLogger("aiokafka.client").debug("a request")
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert events == ["record.read", "a request"]


def test_a_level_that_is_none_is_told_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMENARA_LOG", "loud")
    stream = configured(level="warning")
    structlog.get_logger().info("broker.started")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "log.level_unknown"


@pytest.mark.parametrize("library", [False, True], ids=["ours", "a library's"])
def test_a_line_that_the_disk_cannot_take_is_lost_and_ends_nothing(
    library: bool,  # noqa: FBT001
    capsys: pytest.CaptureFixture[str],
) -> None:
    full = open("/dev/full", "w")  # noqa: PTH123, SIM115 - closing it fails too
    logs.configure(stream=full)
    log = logging.root if library else structlog.get_logger()
    for _ in range(10_000):
        log.warning("store.full")
    with suppress(OSError):
        full.close()
    assert capsys.readouterr().err == ""
