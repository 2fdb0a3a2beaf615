"""One real Kafka for a whole run: started once, and gone with the run however that ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from almenara import clock
from almenara.bus.configuration import Forwarded
from almenara.trust.directory import AudienceKind
from broker_site import Site
from chaos.proxy import free_port
from node_site import MEMBERS, TRIO, NodeSite

if TYPE_CHECKING:
    from collections.abc import Iterator


IMPORTING = ("IT", "ES", "FR")
"""Members that the rows of an import name."""


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
