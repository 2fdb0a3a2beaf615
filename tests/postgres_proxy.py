"""What becomes of a commit whose answer is lost on its way? A proxy before PostgreSQL that loses one.

The server has done it, and the client cannot know. Over TCP, each connection in two threads, since a node
opens its store in the thread that runs everything else of a test.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from chaos.proxy import HOST

if TYPE_CHECKING:
    from types import TracebackType

CHUNK = 64 * 1024

SIGHTINGS = 2
"""How often a publisher names a message to its store: it asks whether it knows it, then writes it."""


class LosingProxy:
    """Forward connections to a port; enter it to listen on `port`, leave it to end them all."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listening = socket.create_server((HOST, 0))
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = []
        self._names: tuple[bytes, ...] = ()
        self._sightings = 0
        self.lost = threading.Event()

    def lose_commit_of(self, message_id: bytes) -> None:
        """Lose the answer to the commit that brings this message, and with it the connection; once."""
        self._names = (message_id, message_id.hex().encode())

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._listening, *self._open)

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection((HOST, self._target))
                self._open += [client, server]
                losing = threading.Event()
                for way in (self._forward, self._answer):
                    threading.Thread(target=way, args=(client, server, losing), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        brings = False
        with suppress(OSError):
            while data := client.recv(CHUNK):
                if any(name in data for name in self._names):
                    self._sightings += 1
                    brings = self._sightings == SIGHTINGS
                if brings and b"COMMIT" in data:
                    losing.set()
                server.sendall(data)
        end(client, server)

    def _answer(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(CHUNK):
                if losing.is_set():
                    self.lost.set()
                    break
                client.sendall(data)
        end(client, server)


def end(*sockets: socket.socket) -> None:
    """End connections both ways; whoever waits for one goes on."""
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
