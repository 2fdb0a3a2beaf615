"""Over which network does a node of a storm reach the broker? Over a line of its own: a proxy before each
node of the broker, all of which are cut, slowed and mended together.

    node -> told port (proxy.py) -> port of the broker that is for this line alone

The coordinator and the broker's own nodes reach each other without one.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from random import choice
from typing import TYPE_CHECKING, Self

from almenara.bus.configuration import Forwarded
from almenara.bus.ports import CHOICE
from chaos.proxy import HOST, Proxy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from almenara.model.ids import MemberId

PORTS = range(10_000, CHOICE.start)
"""The broker chooses its own ports above: what is told here before anybody listens stays free."""

DELAY_S = (0.0, 0.4)
"""Of a slow line: drawn for each connection, so that a later question is answered before an earlier one."""

BYTES_PER_S = 100_000
"""Of a slow line, each connection."""


class Line:
    """A member's line; enter it to listen, leave it to end all connections."""

    def __init__(self, forwarded: Forwarded, *, nodes: int) -> None:
        self.forwarded = forwarded
        ways = [forwarded.of(number) for number in range(1, nodes + 1)]
        self._proxies = [Proxy(way.advertised, way.port, seed=way.port) for way in ways]

    @property
    def bootstrap(self) -> str:
        """Return `host:port` of each node of the broker, as this line's clients know them."""
        return ",".join(proxy.bootstrap for proxy in self._proxies)

    async def __aenter__(self) -> Self:
        for proxy in self._proxies:
            await proxy.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()

    def cut(self, *, to_broker: bool, from_broker: bool) -> None:
        """Let nothing through these ways."""
        for proxy in self._proxies:
            proxy.cut(to_broker=to_broker, from_broker=from_broker)

    def slow(self) -> None:
        """Delay what passes, by each connection differently; those of now end, so that all are slow."""
        for proxy in self._proxies:
            proxy.delay_s = DELAY_S
            proxy.bytes_per_s = BYTES_PER_S
            proxy.reset()

    async def refuse(self) -> None:
        """Reset all connections, and let none in."""
        for proxy in self._proxies:
            await proxy.refuse()

    async def mend(self) -> None:
        """Let everything through again, what has waited first."""
        for proxy in self._proxies:
            proxy.mend()
            await proxy.listen()


def lines(members: Sequence[MemberId], *, nodes: int) -> Mapping[MemberId, Line]:
    """Return a line for each member, on ports that are free now."""
    ports = iter(_free_ports(2 * nodes * len(members))[::nodes])
    return {member: Line(Forwarded(next(ports), next(ports)), nodes=nodes) for member in members}


def _free_ports(count: int) -> range:
    """Return so many ports one behind the other that nobody listens on."""
    while True:
        first = choice(PORTS[:-count])
        with ExitStack() as probes:
            try:
                for port in range(first, first + count):
                    probes.enter_context(socket.socket()).bind((HOST, port))
            except OSError:
                continue
            return range(first, first + count)
