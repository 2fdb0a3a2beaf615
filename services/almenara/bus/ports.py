"""On which ports do the nodes of the embedded broker listen, over its restarts?

`ports.json` below the broker's folder: a pair for each node, for clients and for the controllers. Clients
know no other ports, and the number of pairs is the number of nodes for good: it is chosen at the first
start.
"""

from __future__ import annotations

import contextlib
import random
import socket
from typing import TYPE_CHECKING

import msgspec

from almenara.bus.configuration import Ports
from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHOICE = range(20_000, 32_000)
"""Ports to choose from: below the range that Linux gives to outgoing connections (32768 up), from
which any of them could take a remembered port while the broker is down."""

LOOPBACK = "127.0.0.1"

_FILE = "ports.json"


def remembered_ports(broker_folder: Path) -> tuple[Ports, ...]:
    """Return the ports of each node as of the last start, none before the first.

    Raises Misconfigured CONFIGURATION for a file that says something else.
    """
    file = broker_folder / _FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=tuple[Ports, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Misconfigured(Code.CONFIGURATION, f"{file}: {exc}; remove it") from exc


def choose_ports(broker_folder: Path, *, nodes: int | None, port: int, host: str) -> tuple[Ports, ...]:
    """Return the ports to listen on and remember them.

    `nodes` None is as many as ever, one at first. The first node takes `port` for clients and the others
    those behind it; 0 keeps the last ones, or chooses. Raises Misconfigured CONFIGURATION for another
    number of nodes than ever.
    """
    before = remembered_ports(broker_folder)
    if before and nodes not in {None, len(before)}:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"broker state {broker_folder}: begun with --nodes {len(before)}, where its records lie, and not "
            f"{nodes}; leave --nodes out, or found the federation anew in another folder",
        )
    taken: set[int] = set()
    chosen = []
    for number in range(len(before) or nodes or 1):
        last = before[number] if before else Ports(0, 0)
        clients = port + number if port else last.clients or _free_port(host, taken)
        controller = last.controller or _free_port(LOOPBACK, taken | {clients})
        taken |= {clients, controller}
        chosen.append(Ports(clients, controller))
    file = broker_folder / _FILE
    draft = file.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(chosen))
    draft.replace(file)
    return tuple(chosen)


def addresses(ports: Sequence[Ports], host: str = LOOPBACK) -> str:
    """Return where clients find the brokers: `host:port` of each node, with commas between."""
    return ",".join(f"{host}:{each.clients}" for each in ports)


def is_free(host: str, port: int) -> bool:
    """Tell whether nobody listens there."""
    with socket.socket() as probe:
        # As Java does: a connection of the last broker that lingers does not bar the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((host, port))
            return True
    return False


def _free_port(host: str, taken: set[int]) -> int:
    choice = random.SystemRandom()
    while True:
        port = choice.choice(CHOICE)
        if port not in taken and is_free(host, port):
            return port
