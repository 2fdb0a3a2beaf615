"""How does a node answer on its socket? HTTP with JSON, for the member's own user alone.

An error of ours travels to the caller. Anything else is a bug: the caller gets a 500, and `serve`
raises it, so that the process ends and is started again (DESIGN 5).
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from almenara.errors import AlmenaraError, Code, Misconfigured, Refused
from almenara.node.faults import ErrorBody, error_body, http_status
from almenara.node.operations import OPERATIONS, Nothing, parse_question

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from almenara.node.operations import Operation
    from almenara.node.service import Node

REQUEST_MAX = 4 * 1024 * 1024
"""Bytes of a request: a message of half a megabyte, with every character escaped."""

CLOSE_S = 1.0
"""How long questions under way may take when the node stops; the long ones wait for nothing yet."""

SOCKET_PATH_MAX = 107
"""Bytes of a Unix socket's path (Linux, unix(7)); a longer one cannot be bound."""

Handler = "Callable[[web.Request], Awaitable[web.Response]]"


class Api:
    """The application that answers for a node; `crashed` holds the bug that ended it, if one did."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.crashed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.app = web.Application(client_max_size=REQUEST_MAX, middlewares=[self._errors])
        for operation in OPERATIONS:
            path = f"/v1/{operation.name}"
            self.app.router.add_post(path, self._handler(operation))
            if operation.question is Nothing:
                self.app.router.add_get(path, self._handler(operation))

    def _handler(self, operation: Operation[Any, Any]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            question = parse_question(operation.question, await request.read())
            return _json(operation.encode(await operation.ask(self._node, question)))

        return handle

    @web.middleware
    async def _errors(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except AlmenaraError as error:
            return _failed(error_body(error), http_status(error))
        except web.HTTPException as exc:
            text = f"{request.method} {request.path}: {exc.reason}; operations: " + ", ".join(
                operation.name for operation in OPERATIONS
            )
            return _failed(error_body(Refused(Code.FORMAT, text)), exc.status)
        except Exception as exc:
            if not self.crashed.done():
                self.crashed.set_exception(exc)
            raise


@asynccontextmanager
async def serve(node: Node, path: Path) -> AsyncIterator[Api]:
    """Answer on a Unix socket of mode 0600 while the caller works; await `crashed` beside it.

    Raises Misconfigured CONFIGURATION if the socket cannot be made there.
    """
    api = Api(node)
    runner = web.AppRunner(api.app, access_log=None, shutdown_timeout=CLOSE_S, handle_signals=False)
    await runner.setup()
    listener = _listen(path)
    try:
        await web.SockSite(runner, listener).start()
        yield api
    finally:
        path.unlink(missing_ok=True)
        await runner.cleanup()
        api.crashed.cancel()


def _listen(path: Path) -> socket.socket:
    """Return a listening socket that takes the place of whatever stood there, closed to others."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    if len(os.fsencode(draft)) > SOCKET_PATH_MAX:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{path}: longer than a socket's path can be; set `state` to a folder with a shorter path",
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        draft.unlink(missing_ok=True)
        listener.bind(str(draft))
        draft.chmod(0o600)
        listener.listen(128)
        draft.rename(path)
    except OSError as exc:
        listener.close()
        raise Misconfigured(
            Code.CONFIGURATION, f"{path}: no socket can be made here ({exc.strerror}); correct `state`"
        ) from exc
    return listener


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _failed(body: ErrorBody, status: int) -> web.Response:
    response = web.Response(body=msgspec.json.encode(body), content_type="application/json", status=status)
    if body.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(body.retry_after_s)))
    return response
