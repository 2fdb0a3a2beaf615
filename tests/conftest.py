"""What every test may use: the shared data, and marks for tools that not every machine has."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

from faked_clock import faketime_library
from postgres_cluster import Cluster, programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from almenara.store.database import Store
    from almenara.store.place import Database, Place
    from soft_token import SoftToken

REPOSITORY = Path(__file__).resolve().parents[1]


def _on_path(program: str) -> Callable[[], bool]:
    return lambda: shutil.which(program) is not None


def _faketime() -> bool:
    return faketime_library() is not None


TOOLS: dict[str, Callable[[], bool]] = {
    "chromium": _on_path("chromium"),
    "faketime": _faketime,
    "fuzz": lambda: importlib.util.find_spec("atheris") is not None,
    "openssl": _on_path("openssl"),
    "postgres": lambda: programs() is not None and importlib.util.find_spec("psycopg") is not None,
    "root": lambda: os.geteuid() == 0,
    "softhsm": _on_path("softhsm2-util"),
    "systemd": _on_path("systemd-analyze"),
}

INSTALLED_BY = {"fuzz": "make .venv/.fuzz"}
"""Who brings a tool that `make system-deps` does not."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("almenara")
    group.addoption("--kills", type=int, default=5, help="chaos: how many processes to kill (default 5)")
    group.addoption("--seed", type=int, default=1, help="chaos: seed of the order of kills (default 1)")


# How fast a machine with two workers makes examples says nothing of the code that they try.
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pytest_configure() -> None:
    """Look for new counterexamples where people work, and play the same ones in CI; take SIGINT.

    A shell that runs us in the background has it ignored, which every program we start would inherit.
    """
    if os.environ.get("CI") == "true":
        settings.load_profile("ci")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose tool is not here; in CI, where all must be installed, fail it instead."""
    for mark, present in TOOLS.items():
        if item.get_closest_marker(mark) is None or present():
            continue
        command = INSTALLED_BY.get(mark, "make system-deps")
        if os.environ.get("CI") == "true":
            pytest.fail(f"{mark}: not on this machine; `{command}` must install it", pytrace=False)
        pytest.skip(f"{mark}: not on this machine; run `{command}`")


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Undo what a command configures: its stream is this test's and closed after it."""
    root = logging.root
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SoftToken:
    """Return a token with an Ed25519 key `signing`; a test that uses it is marked `softhsm`."""
    from soft_token import SoftToken

    monkeypatch.setenv("SOFTHSM2_CONF", "")
    (tmp_path / "token").mkdir()
    made = SoftToken(tmp_path / "token")
    made.make_key("signing", b"\x01")
    return made


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Return a PostgreSQL server of this session; a test that uses it is marked `postgres`."""
    made = Cluster()
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def _made(cluster: Cluster) -> Database:
    """Return a database with a store, which one test after another has for itself."""
    from almenara.store.database import Store

    place = cluster.make()
    Store.create(place).close()
    return place


@pytest.fixture
def database(cluster: Cluster, _made: Database) -> Iterator[Database]:
    """Return a PostgreSQL database with a new store."""
    yield _made
    cluster.empty(_made)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return a place for a store, on each database in turn."""
    if request.param == "sqlite":
        return tmp_path / "almenara.db"
    found: Place = request.getfixturevalue("database")
    return found


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """Return a new store, on each database in turn."""
    from almenara.store.database import Store

    made = Store.create(place)
    yield made
    made.close()


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of public data that stands beside the checkout; skip where there is none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no public data beside this checkout")
    return folder
