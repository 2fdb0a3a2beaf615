"""Key files that only open or signed what is over go by themselves, and no other file ever does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from almenara import clock
from almenara.node.identity import load_keys
from almenara.node.old_keys import drop_old_keys
from almenara.node.rotation import LOST, RETIRED, rotate
from unit.node.test_rotation import NOW, Member

if TYPE_CHECKING:
    from pathlib import Path

HOUR = timedelta(hours=1)


@pytest.fixture
def member(tmp_path: Path) -> Member:
    """PE after a rotation of all its keys, with another under way that nobody has admitted yet."""
    member = Member(tmp_path)
    rotate(member.settings, signing=True, sealing=True, checkpoint=True, now=NOW)
    member.starts(member.admit())
    rotate(member.settings, signing=True, sealing=True, now=NOW + HOUR)
    return member


def test_keys_that_were_put_aside_go_and_those_in_force_or_to_come_stay(member: Member) -> None:
    directory = member.federation.published(NOW).directory
    before = member.names
    lost = member.settings.keys / LOST
    lost.mkdir()
    (lost / "sealing-0123456789abcdef.json").write_bytes(b"torn")
    (member.settings.keys / RETIRED / "signing-0123456789abcdef.json").write_bytes(b"torn")
    assert drop_old_keys(member.settings, directory, before=clock.now() + HOUR) == 3
    gone = before - member.names
    assert sorted(name.rpartition("-")[0] for name in gone) == [
        "retired/checkpoint",
        "retired/signing",
        "sealing",
    ]
    held = load_keys(member.settings)
    assert (len(held.signing), len(held.checkpoint)) == (2, 1)


def test_a_key_that_was_put_aside_lately_stays_though_it_was_made_long_ago(member: Member) -> None:
    directory = member.federation.published(NOW).directory
    before = member.names
    assert drop_old_keys(member.settings, directory, before=clock.now() - HOUR) == 0
    assert member.names == before
