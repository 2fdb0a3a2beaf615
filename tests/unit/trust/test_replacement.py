"""Files that change together are all old or all new, wherever the crash was."""

from __future__ import annotations

from pathlib import Path

import pytest

from almenara.trust.replacement import Content, finish, replace_together

NAMES = ("a", "b", "c")


class PowerFails(Exception):
    """The machine ends here."""


@pytest.fixture
def files(tmp_path: Path) -> dict[Path, Content]:
    """Return what three files that exist are to hold."""
    for name in NAMES:
        (tmp_path / name).write_text("old")
    return {tmp_path / name: Content(b"new", 0o600) for name in NAMES}


def held(folder: Path) -> set[str]:
    return {(folder / name).read_text() for name in NAMES}


def test_all_change_and_nothing_else_is_left(files: dict[Path, Content], tmp_path: Path) -> None:
    replace_together(tmp_path / "plan", files)
    assert held(tmp_path) == {"new"}
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == list(NAMES)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


@pytest.mark.parametrize("steps", range(7))
def test_a_crash_at_any_step_leaves_all_old_or_all_new(
    files: dict[Path, Content], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Power fails before the n-th rename: three drafts, the plan, three moves."""
    left = steps
    rename = Path.replace

    def until_power_fails(path: Path, target: Path) -> Path:
        nonlocal left
        if left == 0:
            raise PowerFails
        left -= 1
        return rename(path, target)

    with monkeypatch.context() as failing:
        failing.setattr(Path, "replace", until_power_fails)
        with pytest.raises(PowerFails):
            replace_together(tmp_path / "plan", files)
    finish(tmp_path / "plan")
    assert held(tmp_path) == ({"old"} if steps < 4 else {"new"})
    assert not (tmp_path / "plan").exists()
    replace_together(tmp_path / "plan", files)
    assert held(tmp_path) == {"new"}
    assert sorted(path.name for path in tmp_path.glob("[!.]*")) == list(NAMES)


def test_where_there_is_no_plan_or_no_folder_there_is_nothing_to_finish(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finish(tmp_path / "plan")
    finish(tmp_path / "file" / "plan")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
