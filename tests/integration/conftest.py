"""One real Kafka for a whole run: started once, and gone with the run however that ends."""

from __future__ import annotations

import asyncio
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

from almenara import clock
from almenara.bus.configuration import Forwarded
from almenara.trust.directory import AudienceKind
from broker_site import Site
from chaos.proxy import free_port
from node_site import MEMBERS, TRIO, NodeSite

if TYPE_CHECKING:
    from collections.abc import Iterator


DEAREST = (
    *("test_cli.py", "test_node.py", "test_faults.py"),
    *("coordinator", "bus"),
)
"""What takes longest begins first, so that two workers end at about the same time."""

TOGETHER = frozenset({"bus", "coordinator"})
"""Folders whose tests share one broker and little else: a second worker would start another for a part."""

IMPORTING = ("IT", "ES", "FR")
"""Members that the rows of an import name."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Give each file to one worker whole, and some folders: every worker has a federation of its own."""

    def _split_scope(self, nodeid: str) -> str:
        path = PurePosixPath(nodeid.partition("::")[0])
        return str(path.parent if path.parent.name in TOGETHER else path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """Schedule by file, in the order of the collection."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the dearest first; the others stay in their order."""

    def rank(item: pytest.Item) -> int:
        names = {item.path.name, item.path.parent.name}
        return next((place for place, name in enumerate(DEAREST) if name in names), len(DEAREST))

    items.sort(key=rank)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site whose broker answers; tests that stop it must start it again."""
    site = Site(tmp_path_factory.mktemp("site"))
    asyncio.run(site.broker.start())
    yield site
    asyncio.run(site.broker.kill())


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeSite]:
    """Return the federation, its broker running and its members on the cluster."""
    site = NodeSite(tmp_path_factory.mktemp("nodes"), forwarded=(Forwarded(free_port(), free_port()),))
    asyncio.run(site.start())
    site.join(*MEMBERS, *IMPORTING)
    site.federation.create_audience(
        "trio", kind=AudienceKind.SUB_REGION, members=frozenset(TRIO), title="Those that run", now=clock.now()
    )
    asyncio.run(site.sync())
    yield site
    asyncio.run(site.stop())
