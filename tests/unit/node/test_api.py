"""The socket answers with errors that say what to do, and a bug behind it ends the process."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiohttp import ClientSession, UnixConnector

from almenara.errors import (
    AlmenaraError,
    Code,
    DirectoryRefused,
    Fault,
    Held,
    MessageRefused,
    Misconfigured,
    RecordRefused,
    Refused,
    StatementRefused,
    Superseded,
    Unavailable,
)
from almenara.node.api import SOCKET_PATH_MAX, serve
from almenara.node.faults import error_body, error_of, http_status
from almenara.node.remote import RemoteNode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from almenara.node.service import Node

ERRORS: dict[str, tuple[AlmenaraError, int]] = {
    "refused": (Refused(Code.BROKER_AHEAD, "stream: more; open an epoch"), 422),
    "record": (RecordRefused(Code.UNKNOWN_KEY, "key: whose?"), 422),
    "statement": (StatementRefused(Code.UNKNOWN_AUDIENCE, "audience: none"), 422),
    "directory": (DirectoryRefused(Code.DIRECTORY_INVALID, "directory: no"), 422),
    "message": (
        MessageRefused([Fault(Code.SHAPE, "$.body", "want one"), Fault(Code.RANGE, "$.version", "want 1")]),
        422,
    ),
    "held": (Held(Code.DIRECTORY_BEHIND, "statement: wait"), 503),
    "unavailable": (Unavailable(Code.OUTBOX_FULL, "outbox: full; later", retry_after_s=2.5), 503),
    "misconfigured": (Misconfigured(Code.KEY_UNREADABLE, "key: no; put it there"), 500),
}


@pytest.mark.parametrize(("error", "status"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_crosses_the_socket_as_itself(error: AlmenaraError, status: int) -> None:
    there = error_of(error_body(error))
    assert type(there) is type(error)
    assert (there.code, there.text, there.exit_status) == (error.code, error.text, error.exit_status)
    assert http_status(error) == status
    if isinstance(error, MessageRefused):
        assert isinstance(there, MessageRefused)
        assert there.faults == error.faults
    if isinstance(error, Unavailable):
        assert isinstance(there, Unavailable)
        assert there.retry_after_s == error.retry_after_s


def test_a_refusal_of_an_unreadable_message_arrives_as_a_refusal_of_a_message() -> None:
    class Special(MessageRefused):
        pass

    there = error_of(error_body(Special([Fault(Code.SHAPE, "$", "want an object")])))
    assert type(there) is MessageRefused


def test_a_node_that_was_overtaken_is_away_for_whoever_asked_it() -> None:
    there = error_of(error_body(Superseded(Code.STORE_LOCKED, "store: another node speaks")))
    assert type(there) is Unavailable
    assert there.code is Code.STORE_LOCKED


class Answering:
    """A node of one answer: a small real implementation of what the test asks for."""

    def __init__(self, answer: tuple[str, ...] | Exception) -> None:
        self._answer = answer

    async def find(self, name: str) -> tuple[str, ...]:
        del name
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@asynccontextmanager
async def client(path: Path) -> AsyncIterator[ClientSession]:
    async with ClientSession("http://node", connector=UnixConnector(str(path))) as session:
        yield session


def _node(answer: tuple[str, ...] | Exception) -> Node:
    return cast("Node", Answering(answer))


REQUESTS: dict[str, tuple[str, bytes, int, str]] = {
    "not JSON": ("/v1/find", b"{", 422, "JSON"),
    "not UTF-8": ("/v1/find", b'{"name": "\xff"}', 422, "JSON"),
    "an unknown argument": ("/v1/find", b'{"name": "0", "colour": 1}', 422, "SHAPE"),
    "a missing argument": ("/v1/find", b"{}", 422, "SHAPE"),
    "a wrong type": ("/v1/find", b'{"name": 1}', 422, "SHAPE"),
    "an unknown operation": ("/v1/fnid", b"{}", 404, "FORMAT"),
    "too much": ("/v1/find", b" " * 5_000_000, 413, "FORMAT"),
}


@pytest.mark.parametrize(("path", "body", "status", "code"), REQUESTS.values(), ids=REQUESTS.keys())
async def test_what_is_no_question_is_refused_by_name(
    tmp_path: Path, path: str, body: bytes, status: int, code: str
) -> None:
    async with serve(_node(()), tmp_path / "s") as api, client(tmp_path / "s") as session:
        async with session.post(path, data=BytesIO(body)) as response:
            answer: dict[str, Any] = json.loads(await response.read())
            assert (response.status, answer["code"]) == (status, code)
            assert answer["exit_status"] == 1
        assert not api.crashed.done()


async def test_a_busy_node_says_when_to_come_again(tmp_path: Path) -> None:
    busy = Unavailable(Code.STORE_LOCKED, "store: busy; wait", retry_after_s=2.0)
    async with (
        serve(_node(busy), tmp_path / "s"),
        client(tmp_path / "s") as session,
        session.post("/v1/find", data=b'{"name": "0"}') as response,
    ):
        assert (response.status, response.headers["Retry-After"]) == (503, "2")


async def test_an_unknown_bug_is_raised_where_the_node_runs(tmp_path: Path) -> None:
    async with (
        serve(_node(KeyError("bug")), tmp_path / "s") as api,
        RemoteNode(tmp_path / "s", patience_s=0.1) as remote,
    ):
        with pytest.raises(Unavailable) as caught:
            await remote.find("0")
        assert caught.value.code is Code.NODE_DOWN
        with pytest.raises(KeyError, match="bug"):
            await api.crashed


async def test_a_socket_that_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("left behind")
    async with serve(_node(()), tmp_path / "s"), RemoteNode(tmp_path / "s") as remote:
        assert await remote.find("0") == ()
    assert not (tmp_path / "s").exists()


async def test_a_path_too_long_for_a_socket_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    long = tmp_path / ("x" * SOCKET_PATH_MAX)
    with pytest.raises(Misconfigured, match="shorter path"):
        async with serve(_node(()), long):
            pass
