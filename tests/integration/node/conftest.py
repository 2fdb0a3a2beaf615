"""The nodes that run for all tests of nodes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from node_process import NodeProcess
from node_site import TRIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node_site import NodeSite


@pytest.fixture(scope="session")
def trio(site: NodeSite) -> Iterator[NodeSite]:
    """Return the federation with the nodes of PE, AR and CL running."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(NodeProcess(site[member], single=True)) for member in TRIO]
        for node in nodes:
            node.ready()
        yield site
