"""A file that is renewed has its old content or its new one, also where the disk is full."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.trust.secretfile import replace_file
from full_disk import file_size_limit

if TYPE_CHECKING:
    from pathlib import Path


def test_a_full_disk_leaves_the_old_content_and_nothing_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "said.json"
    replace_file(place, b"old")
    with file_size_limit(2), pytest.raises(OSError, match="File too large"):
        replace_file(place, b"new content")
    assert place.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [place]
    replace_file(place, b"new content")
    assert place.read_bytes() == b"new content"
