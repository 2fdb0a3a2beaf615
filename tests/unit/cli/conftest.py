"""The command line's tests each have a copy of one member's folder; its settings make waits short."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from unit.cli.member_site import MemberSite, found

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a federation of PE, AR and CL, to be copied."""
    folder = tmp_path_factory.mktemp("federation")
    found(folder)
    return folder


@pytest.fixture
def site(
    federation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> MemberSite:
    """Return PE's folder; commands find it by ALMENARA_CONFIG."""
    folder = tmp_path / "federation"
    shutil.copytree(federation, folder)
    made = MemberSite(folder, capsys)
    monkeypatch.setenv("ALMENARA_PUBLISHER_DRAIN_S", "0.1")
    monkeypatch.setenv("ALMENARA_CONFIG", str(made.config))
    return made
