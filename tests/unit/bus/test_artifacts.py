"""The jars are exactly the pinned ones, or there are none."""

from __future__ import annotations

import fcntl
import hashlib
import threading
from pathlib import Path

import pytest

from almenara.bus import artifacts
from almenara.bus.artifacts import Artifact, cache_folder, fetch, pinned
from almenara.errors import Code, Misconfigured, Unavailable

GOOD = {"org.example:one:1.0": b"first jar", "org.example.deep:two:2.1": b"second jar"}
WANTED = [Artifact(gav=gav, sha256=hashlib.sha256(data).hexdigest()) for gav, data in GOOD.items()]


def folder_of_jars(folder: Path, *, flat: bool = False, changed: str | None = None) -> Path:
    for artifact in WANTED:
        place = folder / (artifact.name if flat else artifact.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"another jar" if artifact.gav == changed else GOOD[artifact.gav])
    return folder


def files_in(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*") if path.is_file()}


def test_the_pinned_list_names_46_jars_with_distinct_names() -> None:
    assert len({artifact.name for artifact in pinned()}) == len(pinned()) == 46
    assert all(len(artifact.sha256) == 64 for artifact in pinned())


@pytest.mark.parametrize("flat", [False, True], ids=["maven layout", "all in one folder"])
def test_jars_come_from_a_folder_without_network(tmp_path: Path, *, flat: bool) -> None:
    seen: list[tuple[str, int, int]] = []
    jars = fetch(
        tmp_path / "cache",
        source=folder_of_jars(tmp_path / "source", flat=flat),
        artifacts=WANTED,
        progress=lambda *step: seen.append(step),
    )
    assert [jar.read_bytes() for jar in jars] == list(GOOD.values())
    assert seen == [("fetch org.example:one:1.0", 1, 2), ("fetch org.example.deep:two:2.1", 2, 2)]


def test_another_machines_cache_is_a_source(tmp_path: Path) -> None:
    fetch(tmp_path / "theirs", source=folder_of_jars(tmp_path / "source"), artifacts=WANTED)
    jars = fetch(tmp_path / "ours", source=tmp_path / "theirs", artifacts=WANTED)
    assert [jar.read_bytes() for jar in jars] == list(GOOD.values())


def test_a_jar_with_another_hash_is_refused_and_removed(tmp_path: Path) -> None:
    source = folder_of_jars(tmp_path / "source", changed="org.example.deep:two:2.1")
    with pytest.raises(Misconfigured, match=r"org\.example\.deep:two:2\.1: its SHA-256") as refused:
        fetch(tmp_path / "cache", source=source, artifacts=WANTED)
    assert refused.value.code is Code.CONFIGURATION
    assert "two-2.1.jar" not in files_in(tmp_path / "cache")


def test_a_jar_that_the_folder_lacks_is_named(tmp_path: Path) -> None:
    source = folder_of_jars(tmp_path / "source")
    (source / WANTED[0].path).unlink()
    with pytest.raises(Misconfigured, match=r"one-1\.0\.jar is missing"):
        fetch(tmp_path / "cache", source=source, artifacts=WANTED)


def test_a_jar_changed_in_the_cache_is_brought_again(tmp_path: Path) -> None:
    source = folder_of_jars(tmp_path / "source")
    jars = fetch(tmp_path / "cache", source=source, artifacts=WANTED)
    jars[1].write_bytes(b"tampered")
    assert fetch(tmp_path / "cache", source=source, artifacts=WANTED) == jars
    assert jars[1].read_bytes() == b"second jar"


def test_a_full_cache_needs_neither_source_nor_network(tmp_path: Path) -> None:
    source = folder_of_jars(tmp_path / "source")
    jars = fetch(tmp_path / "cache", source=source, artifacts=WANTED)
    assert fetch(tmp_path / "cache", source=tmp_path / "nowhere", artifacts=WANTED) == jars


def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    half = tmp_path / "cache" / "kafka" / ".staging-dead" / "one-1.0.jar"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"first")
    fetch(tmp_path / "cache", source=folder_of_jars(tmp_path / "source"), artifacts=WANTED)
    assert files_in(tmp_path / "cache") == {"lock", "one-1.0.jar", "two-2.1.jar"}


def test_a_second_fetch_waits_for_the_first(tmp_path: Path) -> None:
    source = folder_of_jars(tmp_path / "source")
    (tmp_path / "cache" / "kafka").mkdir(parents=True)
    waiting = threading.Event()
    fetched: list[tuple[Path, ...]] = []

    def second() -> None:
        fetched.append(
            fetch(
                tmp_path / "cache",
                source=source,
                artifacts=WANTED,
                progress=lambda step, *_: waiting.set() if step == "wait for another fetch" else None,
            )
        )

    with (tmp_path / "cache" / "kafka" / "lock").open("a") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        assert fetched == []
    thread.join(10)
    assert len(fetched) == 1


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(Misconfigured, match="ALMENARA_CACHE"):
        fetch(tmp_path / "cache", source=folder_of_jars(tmp_path / "source"), artifacts=WANTED)


def test_a_repository_that_does_not_answer_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "BACKOFF_S", 0.01)
    # Nothing listens there: every download fails at once.
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(Unavailable, match="in 3 tries") as away:
        fetch(tmp_path / "cache", artifacts=pinned()[:1])
    assert away.value.code is Code.TIMED_OUT
    assert files_in(tmp_path / "cache") == {"lock"}


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"ALMENARA_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/almenara")),
        ({}, Path.home() / ".cache" / "almenara"),
    ],
)
def test_the_cache_is_the_users(environ: dict[str, str], folder: Path) -> None:
    assert cache_folder(environ) == folder
