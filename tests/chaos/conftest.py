"""One storm for a whole run: `pytest tests/chaos --kills 20 --seed 1`; its table stands at the end."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from chaos.copied import Copy
from chaos.figures import figures
from chaos.storm import SLICE, short_schedule, storm
from chaos.table import table

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.storm import Outcome

TABLE = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Return what the storm left behind; nothing of it runs any more."""
    kills, seed = request.config.getoption("--kills"), request.config.getoption("--seed")
    planned = short_schedule(seed, kills)
    found = asyncio.run(storm(tmp_path_factory.mktemp("storm"), planned, seed=seed, strength=SLICE))
    request.config.stash[TABLE] = [
        *table(figures(found, seed=seed)),
        "",
        f"logs and stores: {found.folder}",
    ]
    return found


@pytest.fixture
def copy(outcome: Outcome, tmp_path: Path) -> Copy:
    assert outcome.report.faults == ()
    stores = {}
    for member, store in outcome.stores.items():
        shutil.copytree(store.parent, tmp_path / member, ignore=shutil.ignore_patterns("*.sock", "directory"))
        stores[member] = tmp_path / member / store.name
    return Copy(stores, tuple(outcome.offers), outcome.report)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, whether the tests passed or not."""
    if TABLE in config.stash:
        terminalreporter.section("storm")
        for line in config.stash[TABLE]:
            terminalreporter.write_line(line)
