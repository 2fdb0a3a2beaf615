"""A sealed stream opens whole, under its passphrase and as it was written, or names what is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code, Misconfigured
from almenara.trust.sealedstream import PIECE_MAX, opened, read_line, sealed

if TYPE_CHECKING:
    from pathlib import Path

PIECES = [b"first", b"", b"third" * 1000]
UNDER = b"a long sentence"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sealed"
    path.write_bytes(b"".join(sealed({"format": "test", "made": 5}, PIECES, passphrase=UNDER)))
    return path


def parts(file: Path) -> list[bytes]:
    """Return the line and each framed piece."""
    data = file.read_bytes()
    at = data.index(b"\n") + 1
    found = [data[:at]]
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4])
        found.append(data[at:end])
        at = end
    return found


def fault(file: Path, under: bytes = UNDER) -> str:
    with pytest.raises(Misconfigured) as refused:
        list(opened(file, passphrase=under))
    assert refused.value.code is Code.KEY_UNREADABLE
    return refused.value.text


def test_pieces_come_back_in_order_and_the_line_stands_in_clear(file: Path) -> None:
    assert list(opened(file, passphrase=UNDER)) == PIECES
    line = json.loads(read_line(file))
    assert (line["format"], line["made"]) == ("test", 5)
    assert b"third" not in file.read_bytes()


@pytest.mark.parametrize("pieces", [[b""], [b"one"]])
def test_one_piece_is_the_last(tmp_path: Path, pieces: list[bytes]) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"".join(sealed({}, pieces, passphrase=UNDER)))
    assert list(opened(path, passphrase=UNDER)) == pieces


def test_another_passphrase_is_named_before_anything_comes(file: Path) -> None:
    assert "wrong passphrase, or damaged" in fault(file, b"another")


@pytest.mark.parametrize(
    "keep",
    [
        pytest.param((0, 1, 2), id="the last is cut off"),
        pytest.param((0, 1), id="two are cut off"),
        pytest.param((0, 2, 3), id="the first is left out"),
        pytest.param((0, 1, 3), id="one is left out"),
        pytest.param((0, 2, 1, 3), id="two are exchanged"),
        pytest.param((0, 1, 2, 3, 3), id="one comes twice"),
    ],
)
def test_no_piece_can_be_cut_off_left_out_exchanged_or_doubled(file: Path, keep: tuple[int, ...]) -> None:
    whole = parts(file)
    file.write_bytes(b"".join(whole[at] for at in keep))
    assert "damaged" in fault(file)


def test_what_stands_in_clear_is_bound_to_the_pieces(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"made":5', b'"made":6'))
    assert "damaged" in fault(file)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data[:-1], id="torn in a piece"),
        pytest.param(lambda data: data + b"\0\0", id="torn in a length"),
        pytest.param(lambda data: data + (3).to_bytes(4) + bytes(3), id="shorter than its tag"),
        pytest.param(lambda data: data + (PIECE_MAX + 17).to_bytes(4), id="longer than any"),
        pytest.param(lambda data: data[:10], id="torn in its line"),
        pytest.param(lambda data: b"{}\n" + data, id="a line without a salt"),
        pytest.param(lambda data: b"\xff\n" + data, id="a line that is none"),
    ],
)
def test_a_torn_file_is_no_backup(file: Path, change: object) -> None:
    file.write_bytes(change(file.read_bytes()))  # type: ignore[operator]
    assert "not a whole backup of a store" in fault(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_line(tmp_path / "none")
