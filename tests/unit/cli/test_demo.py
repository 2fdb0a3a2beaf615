"""The command says at once what it cannot do, and ends as it is told to."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from almenara.cli import demo
from almenara.cli.__main__ import almenara
from almenara.cli.app import run
from almenara.errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("members", ["0", "1", "-3", "many", ""])
def test_a_number_of_members_that_is_none_is_named(
    members: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("reference\n")
    status = run(
        almenara, ["demo", "--input", str(rows), "--members", members, "--state", str(tmp_path / "S")]
    )
    assert status == 2
    assert f"--members {members!r}: want a number from 2 on, or all" in capsys.readouterr().err


def test_members_without_rows_are_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(almenara, ["demo", "--members", "3"]) == 2
    assert "--members goes with --input" in capsys.readouterr().err


def test_rows_that_do_not_fit_the_mapping_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("reference\n")
    assert run(almenara, ["demo", "--input", str(rows), "--state", str(tmp_path / "S")]) == 2
    assert "which mapping rasff needs" in capsys.readouterr().err
    assert not (tmp_path / "S").exists()


def test_an_installation_without_the_extras_is_told_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "REQUIRED", ("asyncio", "no_such_package"))
    with pytest.raises(Misconfigured, match=r"no_such_package .*almenara\[broker,coordinator\]"):
        demo.require_extras()


def test_sigterm_ends_it_as_ctrl_c_does() -> None:
    cleaned = False

    async def work() -> None:
        nonlocal cleaned
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(30)
        finally:
            cleaned = True

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(demo.ended_by_sigterm(work()))
    assert cleaned
