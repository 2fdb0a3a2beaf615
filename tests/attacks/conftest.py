"""One real federation with its Kafka for all attacks of a run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from almenara.trust.certificates import load_ca
from broker_site import Site
from node_site import NodeSite

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMBERS = ("X-QUETZAL", "X-CONDOR", "X-TUCAN")
"""Bodies whose names nothing else holds, so that they can be looked for."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeSite]:
    """Return a federation, its broker running and its members on the cluster."""
    site = NodeSite(tmp_path_factory.mktemp("federation"))
    asyncio.run(site.start())
    site.join(*MEMBERS)
    asyncio.run(site.sync())
    yield site
    asyncio.run(site.stop())


@pytest.fixture(scope="session")
def broker(site: NodeSite) -> Site:
    """Return the same broker with certificates of any kind and rules that no directory knows."""
    ca = load_ca(certificate=site.federation.ca_path, key=site.federation.folder / "ca" / "ca.key")
    return Site(site.folder, ca=ca, broker=site.broker)
