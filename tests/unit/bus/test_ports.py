"""Clients know the broker by its ports alone, so they stay; so does the number of its nodes."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from almenara.bus.ports import LOOPBACK, addresses, choose_ports, is_free, remembered_ports
from almenara.errors import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_remembered_before_the_first_start(tmp_path: Path) -> None:
    assert remembered_ports(tmp_path) == ()


@pytest.mark.parametrize("nodes", [None, 1, 3])
def test_ports_stay_and_no_two_are_the_same(tmp_path: Path, nodes: int | None) -> None:
    first = choose_ports(tmp_path, nodes=nodes, port=0, host=LOOPBACK)
    assert len(first) == (nodes or 1)
    assert len({port for pair in first for port in pair}) == 2 * len(first)
    assert choose_ports(tmp_path, nodes=None, port=0, host=LOOPBACK) == first
    assert choose_ports(tmp_path, nodes=nodes, port=0, host=LOOPBACK) == first
    assert remembered_ports(tmp_path) == first


def test_the_nodes_listen_from_the_port_that_is_asked_for(tmp_path: Path) -> None:
    choose_ports(tmp_path, nodes=3, port=0, host=LOOPBACK)
    asked = choose_ports(tmp_path, nodes=None, port=9094, host=LOOPBACK)
    assert addresses(asked) == "127.0.0.1:9094,127.0.0.1:9095,127.0.0.1:9096"
    assert addresses(choose_ports(tmp_path, nodes=None, port=0, host=LOOPBACK)) == addresses(asked)


@pytest.mark.parametrize(("before", "asked"), [(1, 3), (3, 1)])
def test_the_number_of_nodes_stays(tmp_path: Path, before: int, asked: int) -> None:
    ports = choose_ports(tmp_path, nodes=before, port=0, host=LOOPBACK)
    with pytest.raises(
        Misconfigured, match=f"begun with --nodes {before}, .* not {asked}; leave --nodes out"
    ):
        choose_ports(tmp_path, nodes=asked, port=0, host=LOOPBACK)
    assert remembered_ports(tmp_path) == ports


@pytest.mark.parametrize("text", ["", "[20001]", "[[20001]]", "[[1,2,3]]", "\xff"])
def test_a_file_that_says_something_else_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports.json").write_text(text, encoding="latin-1")
    with pytest.raises(Misconfigured, match=r"ports\.json: .*; remove it"):
        remembered_ports(tmp_path)


def test_a_port_is_free_until_somebody_listens() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
        taken.listen()
        assert not is_free(LOOPBACK, port)
    assert is_free(LOOPBACK, port)
