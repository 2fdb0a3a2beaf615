"""What the operator of the directory topic may try on a reader: all of it is refused (THREATS 20)."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from almenara.errors import AlmenaraError, Code, DirectoryRefused, Unavailable
from almenara.trust.refresh import refresh
from almenara.trust.repository import Repository
from almenara.trust.rolekeys import Quorum, Thresholds
from almenara.trust.targets import VerifiedTargets, build_directory
from unit.trust.federation import DAY, NOW, targets

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

pytestmark = pytest.mark.attacks

Files = dict[str, bytes]


class Stage:
    """A repository, what it published at two versions, and a reader that saw the second."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository.create(
            folder / "repository", federation="ams", now=NOW, thresholds=Thresholds(targets=Quorum(2, 3))
        )
        self.root = self.repository.first_root
        self.cache = folder / "cache"
        for name, data in targets().items():
            self.repository.set_target(name, data)
        self.repository.publish(NOW)
        self.old: Files = dict(self.repository.files())
        self.repository.set_target("notes.json", b"{}")
        self.repository.publish(NOW)
        self.new: Files = dict(self.repository.files())

    def read(self, files: Files, *, now: datetime = NOW) -> VerifiedTargets:
        return refresh(files, cache=self.cache, root=self.root, now=now)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_newest_version_is_read_and_makes_a_directory(stage: Stage) -> None:
    assert stage.read(stage.old).version == 2
    seen = stage.read(stage.new)
    assert seen.version == 3
    assert build_directory(seen).federation == "ams"


def test_the_same_files_may_be_read_again(stage: Stage) -> None:
    assert stage.read(stage.new) == stage.read(stage.new)


def test_files_of_older_versions_may_stand_beside_the_newest(stage: Stage) -> None:
    assert stage.read({**stage.old, **stage.new}).version == 3


def signed_by_one(stage: Stage) -> Files:
    """Publish version 4 with one of two signatures."""
    stage.repository.set_target("members/PE.json", b"{}")
    stage.repository.publish(NOW)
    files = dict(stage.repository.files())
    metadata = json.loads(files["metadata/4.targets.json"])
    del metadata["signatures"][1:]
    return {**files, "metadata/4.targets.json": json.dumps(metadata).encode()}


def of_another_repository(stage: Stage) -> Files:
    other = Repository.create(stage.cache.parent / "other", federation="ams", now=NOW)
    other.publish(NOW)
    return {**dict(other.files()), "metadata/1.root.json": stage.root}


def replaced(name: str, data: Callable[[bytes], bytes]) -> Callable[[Stage], Files]:
    """Return the newest files with one of them changed."""

    def change(stage: Stage) -> Files:
        full = next(key for key in stage.new if key.endswith(name))
        return {**stage.new, full: data(stage.new[full])}

    return change


def flipped(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


def with_version(data: bytes, version: int) -> bytes:
    metadata = json.loads(data)
    metadata["signed"]["version"] = version
    return json.dumps(metadata).encode()


ATTACKS: dict[str, Callable[[Stage], Files]] = {
    "rollback of everything": lambda stage: stage.old,
    "rollback of the timestamp": lambda stage: {
        **stage.new,
        "metadata/timestamp.json": stage.old["metadata/timestamp.json"],
        "metadata/2.snapshot.json": stage.old["metadata/2.snapshot.json"],
        "metadata/2.targets.json": stage.old["metadata/2.targets.json"],
    },
    "mix: another snapshot under the timestamp": lambda stage: {
        **next_version(stage),
        "metadata/4.snapshot.json": stage.new["metadata/3.snapshot.json"],
    },
    "mix: other targets under the snapshot": lambda stage: {
        **next_version(stage),
        "metadata/4.targets.json": stage.new["metadata/3.targets.json"],
    },
    "mix: another member's file under a name": lambda stage: exchange(stage, ".PE.json", ".AR.json"),
    "one signature of the two needed": signed_by_one,
    "another repository": of_another_repository,
    "a byte of a member's file": replaced(".PE.json", flipped),
    "a longer member's file": replaced(".PE.json", lambda data: data + b" "),
    "a version raised without a signature": replaced("timestamp.json", lambda data: with_version(data, 9)),
    "metadata that is none": replaced("timestamp.json", lambda _: b"{}"),
    "metadata without an end": replaced("timestamp.json", lambda data: data + b" " * 70_000),
}


def next_version(stage: Stage) -> Files:
    stage.repository.set_target("members/PE.json", b"{}")
    stage.repository.publish(NOW)
    return dict(stage.repository.files())


def exchange(stage: Stage, first: str, second: str) -> Files:
    one = next(name for name in stage.new if name.endswith(first))
    other = next(name for name in stage.new if name.endswith(second))
    return {**stage.new, one: stage.new[other], other: stage.new[one]}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_refused_and_the_honest_files_are_read_after_it(
    stage: Stage, attack: Callable[[Stage], Files]
) -> None:
    stage.read(stage.new)
    with pytest.raises(DirectoryRefused) as refusal:
        stage.read(attack(stage))
    assert refusal.value.code is Code.DIRECTORY_INVALID
    stage.repository.set_target("members/AR.json", b"{}")
    stage.repository.publish(NOW)
    seen = stage.read(dict(stage.repository.files()))
    assert seen.version == stage.repository.version
    assert seen.targets == stage.repository.targets


def test_a_frozen_directory_is_noticed_when_its_timestamp_ends(stage: Stage) -> None:
    frozen = stage.new
    assert stage.read(frozen, now=NOW + DAY - timedelta(seconds=1)).version == 3
    with pytest.raises(Unavailable) as refusal:
        stage.read(frozen, now=NOW + DAY)
    assert refusal.value.code is Code.DIRECTORY_EXPIRED
    stage.repository.sign_timestamp(NOW + DAY)
    assert stage.read(dict(stage.repository.files()), now=NOW + DAY).version == 3


def test_another_first_root_than_the_one_compared_is_refused(stage: Stage, tmp_path: Path) -> None:
    other = Repository.create(tmp_path / "other", federation="ams", now=NOW)
    with pytest.raises(DirectoryRefused):
        refresh(stage.new, cache=tmp_path / "fresh", root=other.first_root, now=NOW)


@pytest.mark.parametrize("root", [b"", b"{}", b"\xff", None], ids=["empty", "{}", "no text", "another role"])
def test_a_first_root_that_is_none_is_refused(stage: Stage, tmp_path: Path, root: bytes | None) -> None:
    shown = stage.new["metadata/timestamp.json"] if root is None else root
    with pytest.raises(DirectoryRefused):
        refresh(stage.new, cache=tmp_path / "fresh", root=shown, now=NOW)


@pytest.mark.parametrize("missing", ["timestamp.json", ".snapshot.json", ".targets.json", ".PE.json"])
def test_files_that_have_not_come_yet_are_waited_for(stage: Stage, missing: str) -> None:
    files = {name: data for name, data in stage.new.items() if not name.endswith(missing)}
    with pytest.raises(Unavailable) as refusal:
        stage.read(files)
    assert refusal.value.code is Code.DIRECTORY_MISSING
    assert stage.read(stage.new).version == 3


def test_a_reader_that_lost_its_cache_starts_from_the_first_root_again(stage: Stage, tmp_path: Path) -> None:
    stage.read(stage.new)
    assert refresh(stage.new, cache=tmp_path / "again", root=stage.root, now=NOW).version == 3


def test_a_damaged_cache_is_replaced(stage: Stage) -> None:
    stage.read(stage.new)
    for path in stage.cache.glob("*.json"):
        if not path.is_symlink():
            path.write_bytes(b"damaged")
    assert stage.read(stage.new).version == 3


def test_no_error_of_the_library_comes_through(stage: Stage, tmp_path: Path) -> None:
    """Cut each file short at some places: every outcome is one of ours."""
    for name, data in stage.new.items():
        for length in (0, 1, len(data) // 2, len(data) - 1):
            with pytest.raises(AlmenaraError):
                refresh(
                    {**stage.new, name: data[:length]},
                    cache=tmp_path / "fresh" / f"{name}-{length}".replace("/", "-"),
                    root=data[:length] if name == "metadata/1.root.json" else stage.root,
                    now=NOW,
                )
