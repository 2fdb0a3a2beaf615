"""What README.md shows can be typed as it stands."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from almenara.model.json import parse_message
from almenara.model.rules import check

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, f"README has no {language} block"
    return found


def test_the_alert_shown_breaks_no_rule(readme: str) -> None:
    (alert,) = blocks(readme, "json")
    check(parse_message(alert, now=NOW), now=NOW)


def test_the_python_shown_compiles(readme: str) -> None:
    for block in blocks(readme, "python"):
        compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_make_targets_shown_exist(readme: str, repository: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    shown = re.findall(r"^make ([a-z-]+)$", "\n".join(blocks(readme, "sh")), re.MULTILINE)
    assert shown == ["demo", "test"]
    assert set(shown) <= set(targets)


def test_the_files_linked_to_exist(readme: str, repository: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", readme)
    assert links
    assert [link for link in links if not (repository / link).exists()] == []
