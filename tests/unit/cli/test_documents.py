"""An input is one message, an array, or a message on each line, and a pipe may stay open."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from typing import TYPE_CHECKING

import pytest

from almenara.cli.documents import DOCUMENT_MAX, Document, arriving, documents, opened
from almenara.errors import Code, MessageRefused, Misconfigured

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO


def read(text: bytes) -> list[Document]:
    return list(documents(io.BytesIO(text)))


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (b'{"a": 1}', ["line 1"]),
        (b'{"a": 1}\n{"a": 2}\n', ["line 1", "line 2"]),
        (b'\n\n{"a": 1}\n\n{"a": 2}', ["line 3", "line 5"]),
        (b'{\n  "a": 1\n}\n', [""]),
        (b'{"a": {"b": 1}\n, "c": 2}\n', [""]),
        (b'{"a": 1,}\n{"a": 2}\n', ["line 1", "line 2"]),
        (b'[{"a": 1}, {"a": 2}]', ["message 1", "message 2"]),
        (b'  [\n{"a": 1}\n]\n', ["message 1"]),
        (b"[]", []),
        (b'\xef\xbb\xbf[{"a": 1}]', ["message 1"]),
        (b'\xef\xbb\xbf{"a": 1}\n{"b": 1}\n', ["line 1", "line 2"]),
        (b"nonsense", [""]),
        (b'"text"\n"text"\n', [""]),
    ],
    ids=[
        "one on a line",
        "lines",
        "blank lines",
        "one over several lines",
        "braces that end a line early",
        "a faulty first line does not hide the next",
        "array",
        "array over several lines",
        "empty array",
        "array with byte order mark",
        "lines with byte order mark",
        "nonsense",
        "values that are no messages",
    ],
)
def test_the_form_of_the_input_is_found(text: bytes, places: list[str]) -> None:
    assert [document.place for document in read(text)] == places


def test_the_text_of_each_message_is_handed_on_as_it_stands() -> None:
    assert [document.text.strip() for document in read(b'{"a": 1}\n{"a":  2}\n')] == [
        b'{"a": 1}',
        b'{"a":  2}',
    ]
    assert [document.text for document in read(b'[{"a": 1}, {"a":  2}]')] == [b'{"a": 1}', b'{"a":  2}']
    assert [document.text for document in read(b'{\n"a": 1}\n')] == [b'{\n"a": 1}\n']


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (b"", Code.JSON, "empty"),
        (b"\n \n", Code.JSON, "empty"),
        (b'[{"a": 1}', Code.JSON, "want an array"),
        (b"[1, 2] 3", Code.JSON, "want an array"),
        (b'{"a": "' + b"x" * DOCUMENT_MAX + b'"}', Code.OVERSIZE, "line 1"),
        (b'{"a": 1}\n{"a": "' + b"x" * DOCUMENT_MAX + b'"}', Code.OVERSIZE, "line 2"),
        (b"{\n" + b" \n" * DOCUMENT_MAX, Code.OVERSIZE, "the input"),
    ],
    ids=["nothing", "blank", "open array", "after array", "long line", "long second line", "long message"],
)
def test_what_is_no_input_is_refused(text: bytes, code: Code, words: str) -> None:
    with pytest.raises(MessageRefused) as refused:
        read(text)
    assert refused.value.code is code
    assert words in refused.value.text


@pytest.mark.parametrize("name", ["nowhere.json", "."], ids=["missing", "folder"])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as wrong:
        opened(str(tmp_path / name))
    assert name in wrong.value.text or str(tmp_path) in wrong.value.text


async def test_messages_of_a_pipe_arrive_before_it_ends() -> None:
    source, sink = os.pipe()
    with os.fdopen(source, "rb") as file, os.fdopen(sink, "wb", buffering=0) as pipe:
        arrivals = arriving(file)
        for number in range(3):
            pipe.write(b'{"n": %d}\n' % number)
            async with asyncio.timeout(10):
                assert (await anext(arrivals)).text == b'{"n": %d}\n' % number
        pipe.close()
        async with asyncio.timeout(10):
            assert [document async for document in arrivals] == []


async def test_a_refusal_arrives_after_the_messages_before_it() -> None:
    file: BinaryIO = io.BytesIO(b'{"a": 1}\n' + b"x" * (DOCUMENT_MAX + 2))
    arrivals = arriving(file)
    assert (await anext(arrivals)).place == "line 1"
    with pytest.raises(MessageRefused):
        await anext(arrivals)


def test_a_text_that_comes_when_the_command_has_ended_is_dropped_in_silence(
    capfd: pytest.CaptureFixture[str],
) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe:
        asyncio.run(first_of(pipe, writing))
        [thread] = [each for each in threading.enumerate() if each.name == "documents"]
        os.write(writing, b'{"a": 2}\n')
        os.close(writing)
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert capfd.readouterr().err == ""


async def first_of(pipe: BinaryIO, writing: int) -> None:
    os.write(writing, b'{"a": 1}\n')
    async for document in arriving(pipe):
        assert document.text == b'{"a": 1}\n'
        return
