"""Where no broker answers a node takes the directory from files, and from no others than prove themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from unit.cli.member_site import MemberSite


@pytest.fixture
def files(site: MemberSite) -> Path:
    """Return a folder with the directory of a federation that UY has joined, which PE's settings name."""
    folder = site.folder / "files"
    for command in (
        ("member", "init", "--id", "UY", "--state", site.folder / "UY"),
        ("member", "admit", site.folder / "UY" / "enrolment.json", "--federation", site.folder / "D"),
        ("directory", "show", "--federation", site.folder / "D", "--output", folder),
    ):
        assert site.almenara(*command).status == 0
    site.config.write_text('directory_files = "../files"\n' + site.config.read_text())
    return folder


def version(site: MemberSite) -> str:
    """Start the node once, for one message, and return the directory that its store then keeps."""
    site.publish()
    rows = {row["check"]: row["seen"] for row in site.almenara("doctor", "-o", "json").json}
    return str(rows["directory"]).partition(",")[0]


def test_a_newer_directory_is_taken_from_files(site: MemberSite, files: Path) -> None:
    assert version(site) == "version 5"
    waiting = site.almenara("member", "pending", "-o", "json").json
    assert [row["member"] for row in waiting] == ["UY"]  # who joins later waits, wherever it is read
    assert files.is_dir()


def test_files_that_do_not_prove_themselves_change_nothing(site: MemberSite, files: Path) -> None:
    (timestamp,) = (files / "metadata").glob("timestamp.json")
    assert b'"version":' in timestamp.read_bytes()
    timestamp.write_bytes(timestamp.read_bytes().replace(b'"version":', b'"version":9'))
    assert version(site) == "version 4"


def test_a_folder_that_is_not_there_keeps_no_node_from_starting(site: MemberSite) -> None:
    site.config.write_text('directory_files = "nowhere"\n' + site.config.read_text())
    assert version(site) == "version 4"
