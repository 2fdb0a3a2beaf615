"""Where lines cannot change, a step is one line, and its texts are inert."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.demo import screen as module
from almenara.demo.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def screen(capsys: pytest.CaptureFixture[str]) -> Screen:
    del capsys  # a screen writes to what standard output is when it is made
    return Screen()


def test_a_step_is_one_line_when_it_is_done(screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    with screen.step("messages") as step:
        step.note("1 of 2")
        assert capsys.readouterr().out == ""
        step.result = "2 published"
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("messages: 2 published (0.0 s)")


def test_a_step_that_goes_on_says_how_far_it_is(
    screen: Screen, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PLAIN_INTERVAL_S", 0.0)
    with screen.step("messages") as step:
        step.note("1 of 2, PE to AR: \x1b[2Jtítulo")
    first, _ = capsys.readouterr().out.splitlines()
    assert first.strip() == r"messages: 1 of 2, PE to AR: \x1b[2Jtítulo"


def test_a_step_that_fails_has_no_result(screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> Iterator[None]:
        with screen.step("broker"):
            yield
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - raised right here
        list(fails())
    assert capsys.readouterr().out == ""


def test_a_table_has_its_numbers_to_the_right_and_markup_as_text(
    screen: Screen, capsys: pytest.CaptureFixture[str]
) -> None:
    screen.table("what", ("member", "held"), [("PE", 7), ("[red]AR", 62)])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "",
        "what",
        "member   held",
        "PE          7",
        "[red]AR    62",
    ]
