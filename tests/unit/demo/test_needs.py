"""What a demonstration will need of the disk is said before, and refused before anything is made."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from alerts import new_alert
from almenara.demo.needs import disk_bytes, require_space
from almenara.demo.samples import Sample
from almenara.errors import Code, Misconfigured
from almenara.model.ids import REGION, MemberId
from almenara.wire.seal import WRAP_BYTES

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PE, AR, CL = (MemberId(name) for name in ("PE", "AR", "CL"))


def sample(*recipients: MemberId) -> Sample:
    return Sample(PE, REGION, replace(new_alert(), recipients=recipients))


def test_a_list_is_announced_once_to_all_and_kept_by_those_it_names() -> None:
    bare = disk_bytes([], 100)
    once, twice = (disk_bytes([sample(AR)] * n, 100) - bare for n in (1, 2))
    other = disk_bytes([sample(AR), sample(CL)], 100) - bare
    announced = 3 * 100 * WRAP_BYTES  # AR, PE itself, and the broker
    assert announced < once < 1.5 * announced
    assert twice - once < announced / 2
    assert other == 2 * once


def test_what_is_needed_is_said(tmp_path: Path) -> None:
    said = require_space(tmp_path / "S", [sample(AR), sample(CL)], 3)
    assert said.startswith("2 messages to 3 members: up to ")
    assert str(tmp_path / "S") in said


def test_a_disk_that_is_too_small_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(Misconfigured, match="larger disk with --state") as refused:
        require_space(tmp_path / "S", [sample(AR)], free // 10_000_000)
    assert refused.value.code is Code.STORE_FULL
    assert not (tmp_path / "S").exists()
