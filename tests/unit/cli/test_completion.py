"""Each shell gets its script, with the line that installs it, and times are read as people write them."""

from __future__ import annotations

import click
import pytest

from almenara.cli.__main__ import almenara
from almenara.cli.app import run
from almenara.cli.options import members, seconds
from almenara.errors import Refused


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_says_how_to_install_it(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(almenara, ["completion", shell]) == 0
    first, *script = capsys.readouterr().out.splitlines()
    assert first.startswith("# ")
    assert f"almenara completion {shell}" in first
    assert "_ALMENARA_COMPLETE" in "\n".join(script)


def test_another_shell_is_a_fault_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(almenara, ["completion", "csh"]) == 2
    assert "'csh'" in capsys.readouterr().err


def read(text: str | None) -> float | None:
    return seconds(click.Context(almenara), click.Option(["--wait"]), text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, None), ("10", 10.0), ("10s", 10.0), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120.0), ("1h", 3600.0)],
)
def test_a_time_is_read_with_its_unit(text: str | None, expected: float | None) -> None:
    assert read(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-1s", "10 s", "1e9", "s", "10d", "nan", "\u0661s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        read(text)


def test_a_list_of_members_is_split_and_judged_and_none_is_not_an_empty_one() -> None:
    assert members(None) is None
    assert members("AR, CL,") == ["AR", "CL"]
    assert members("") == []
    with pytest.raises(Refused):
        members("AR,Chile")
