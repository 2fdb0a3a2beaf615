"""A federation of three with its own broker: synchronizing removes every rule that others make."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from federation_site import FederationSite

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FederationSite]:
    """Return the site, its broker running and PE and AR admitted and on the cluster."""
    site = FederationSite(tmp_path_factory.mktemp("coordinator"))
    asyncio.run(site.start())
    for member in ("PE", "AR"):
        site.admit(site.enrol(member))
    asyncio.run(site.sync())
    yield site
    asyncio.run(site.stop())
