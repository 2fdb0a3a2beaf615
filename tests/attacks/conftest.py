"""One real Kafka for all attacks of a run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from broker_site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site whose broker answers."""
    site = Site(tmp_path_factory.mktemp("site"))
    asyncio.run(site.broker.start())
    yield site
    asyncio.run(site.broker.kill())
