"""Which messages does a file or pipe hold? One JSON message, a JSON array, or one on each line.

Lines are handed on as they come, so that a pipe may stay open for days.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara.errors import AlmenaraError, Code, Fault, MessageRefused, Misconfigured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import BinaryIO

DOCUMENT_MAX = 4 * 1024 * 1024
"""Bytes of one message's text: encoded it may take half a MiB, and JSON is wordier."""

ARRAY_MAX = 256 * 1024 * 1024
"""Bytes of a JSON array, which is read whole; write one message on each line for more."""

READ_AHEAD = 64
"""Messages read before the first of them is accepted: enough to keep the reader busy."""

STANDARD_INPUT = "-"


class Document(NamedTuple):
    """The text of one message and where it stands: `line 7`, `message 3`, or "" if it is the only one."""

    place: str
    text: bytes


def opened(name: str) -> BinaryIO:
    """Return the file of that name, or standard input for `-`; raise Misconfigured CONFIGURATION."""
    try:
        # A buffer of its own: a thread that still waits on sys.stdin would hold up the end of Python.
        return Path(name).open("rb") if name != STANDARD_INPUT else os.fdopen(0, "rb", closefd=False)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{name}: cannot be read ({exc.strerror}); name a file of JSON messages, or - for standard input",
        ) from exc


async def arriving(file: BinaryIO) -> AsyncIterator[Document]:
    """Yield what `documents` yields and raise what it raises, while the loop goes on with other work.

    The thread that reads is not waited for: a pipe without a word would hold up Ctrl-C.
    """
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Document | AlmenaraError | None] = asyncio.Queue(READ_AHEAD)

    def hand_over(what: Document | AlmenaraError | None) -> None:
        putting = arrived.put(what)
        try:
            asyncio.run_coroutine_threadsafe(putting, loop).result()
        except RuntimeError as exc:
            putting.close()
            if not loop.is_closed():
                raise
            raise CancelledError from exc

    def read() -> None:
        with suppress(CancelledError):  # nobody listens any more
            try:
                for document in documents(file):
                    hand_over(document)
            except AlmenaraError as error:
                hand_over(error)
            except OSError as exc:
                hand_over(
                    Misconfigured(
                        Code.CONFIGURATION, f"input: cannot be read ({exc.strerror}); send it again"
                    )
                )
            else:
                hand_over(None)

    threading.Thread(target=read, name="documents", daemon=True).start()
    while (what := await arrived.get()) is not None:
        if isinstance(what, AlmenaraError):
            raise what
        yield what


def documents(file: BinaryIO) -> Iterator[Document]:
    """Yield the texts of all messages; nothing of them is judged but an array's own brackets.

    Raises MessageRefused JSON for an array that is not one or an input without any message, OVERSIZE
    for a text that is too long to be a message.
    """
    number, first = 0, b""
    while not first.strip():
        number += 1
        first = _line(file, number)
        if not first:
            raise MessageRefused([Fault(Code.JSON, "$", "the input is empty: want a JSON message")])
    if first.lstrip(b"\xef\xbb\xbf \t").startswith(b"["):
        yield from _array(first + _rest(file, ARRAY_MAX - len(first)))
    elif _is_whole(first):
        yield from _lines(first, number, file)
    else:
        yield Document("", first + _rest(file, DOCUMENT_MAX - len(first)))


def _lines(first: bytes, number: int, file: BinaryIO) -> Iterator[Document]:
    line = first
    while line:
        if line.strip():
            yield Document(f"line {number}", line)
        number += 1
        line = _line(file, number)


def _line(file: BinaryIO, number: int) -> bytes:
    line = file.readline(DOCUMENT_MAX + 1)
    if len(line) > DOCUMENT_MAX:
        raise MessageRefused([_too_long(f"line {number}", DOCUMENT_MAX)])
    return line


def _rest(file: BinaryIO, limit: int) -> bytes:
    rest = file.read(limit + 1)
    if len(rest) > limit:
        raise MessageRefused([_too_long("the input", limit)])
    return rest


def _array(text: bytes) -> Iterator[Document]:
    try:
        items = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"), type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise MessageRefused([Fault(Code.JSON, "$", f"{exc}: want an array of messages")]) from exc
    for index, item in enumerate(items):
        yield Document(f"message {index + 1}", bytes(item))


def _is_whole(line: bytes) -> bool:
    """Tell whether a line is a message by itself, faulty or not; else it goes on in the next."""
    text = line.removeprefix(b"\xef\xbb\xbf").strip()
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return False
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError as exc:
        return "truncated" not in str(exc)
    return True


def _too_long(subject: str, limit: int) -> Fault:
    return Fault(Code.OVERSIZE, "$", f"{subject} has more than {limit} bytes: write shorter messages")
