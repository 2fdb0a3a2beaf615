"""Where does the embedded broker's Kafka come from, and is it exactly what was pinned?

The list beside this file names every jar with its SHA-256. Each is brought into a staging folder,
hashed, and only then moved to its place, so that the cache never shows half a file or a wrong one;
what a crash leaves is a staging folder that the next fetch removes. One cache serves all checkouts.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from almenara.errors import AlmenaraError, Code, Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Progress = Callable[[str, int, int], None]
    """Told (step, done, total) while something slow goes on; may be called from another thread."""

ATTEMPTS = 3
"""Tries for one artifact: a repository's brief failure is common, a third one in a row is an outage."""

BACKOFF_S = 0.5
"""Wait before the second try; it doubles."""

DOWNLOAD_TIMEOUT_S = 60
"""Wait for a repository's next bytes; the largest jar has 10 MB."""

PARALLEL = 8
"""Downloads at once: 46 small files are bound by round trips, not by bandwidth."""

LOCK_TIMEOUT_S = 300.0
"""Wait for another fetch into the same cache; a slow line takes minutes for 44 MB."""

_LOCK_POLL_S = 0.2
_STAGING = ".staging-"


class Artifact(msgspec.Struct, frozen=True):
    """One pinned jar: Maven coordinates `group:artifact:version` and the SHA-256 of the file."""

    gav: str
    sha256: str

    @property
    def path(self) -> Path:
        """Return the jar's place in a folder laid out as Maven lays it out."""
        group, artifact, version = self.gav.split(":")
        return Path(*group.split("."), artifact, version, self.name)

    @property
    def name(self) -> str:
        """Return the jar's file name."""
        _, artifact, version = self.gav.split(":")
        return f"{artifact}-{version}.jar"


def silent(step: str, done: int, total: int) -> None:
    """Report no progress."""


@once
def pinned() -> tuple[Artifact, ...]:
    """Return the pinned jars of Apache Kafka, in the order of the class path."""
    data = Path(__file__).with_name("kafka-4.3.1-artifacts.json").read_bytes()
    return tuple(msgspec.json.decode(data, type=list[Artifact]))


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the user's cache folder: ALMENARA_CACHE, or almenara under XDG_CACHE_HOME or ~/.cache."""
    if chosen := environ.get("ALMENARA_CACHE"):
        return Path(chosen)
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "almenara"


def fetch(
    cache: Path,
    *,
    progress: Progress = silent,
    source: Path | None = None,
    artifacts: Sequence[Artifact] | None = None,
) -> tuple[Path, ...]:
    """Return the jars of the broker, bringing those that the cache lacks; blocking.

    They come from the Maven repository, or from the folder `source` without any network (a cache
    of another machine, or all jars in one folder). Raises Unavailable when the repository does not
    answer, Misconfigured for a wrong file, a missing one in `source`, or a cache that cannot be
    written.
    """
    wanted = pinned() if artifacts is None else tuple(artifacts)
    folder = cache / "kafka"
    jars = tuple(folder / artifact.path for artifact in wanted)
    try:
        if all(map(_intact, wanted, jars)):
            return jars
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / "lock", progress):
            _bring_missing(wanted, folder, source, progress)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"cache {folder}: {exc.strerror or exc}; free space there, or set ALMENARA_CACHE to a folder "
            "that can be written",
        ) from exc
    return jars


def _bring_missing(wanted: Sequence[Artifact], folder: Path, source: Path | None, progress: Progress) -> None:
    for leftover in folder.glob(f"{_STAGING}*"):
        shutil.rmtree(leftover)
    missing = [artifact for artifact in wanted if not _intact(artifact, folder / artifact.path)]
    done = len(wanted) - len(missing)
    with (
        tempfile.TemporaryDirectory(prefix=_STAGING, dir=folder) as staging,
        ThreadPoolExecutor(PARALLEL) as pool,
    ):
        brought = [pool.submit(_bring, artifact, folder, Path(staging), source) for artifact in missing]
        try:
            for artifact, future in zip(missing, brought, strict=True):
                future.result()
                done += 1
                progress(f"fetch {artifact.gav}", done, len(wanted))
        finally:
            pool.shutdown(cancel_futures=True)


def _bring(artifact: Artifact, folder: Path, staging: Path, source: Path | None) -> None:
    draft = _download(artifact, staging) if source is None else _copy(artifact, staging, source)
    if not _intact(artifact, draft):
        draft.unlink()
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{artifact.gav}: its SHA-256 is not the pinned one, the file was removed; find out who "
            f"changed it in {source or 'the Maven repository or the proxy before it'}",
        )
    place = folder / artifact.path
    place.parent.mkdir(parents=True, exist_ok=True)
    draft.replace(place)


def _copy(artifact: Artifact, staging: Path, source: Path) -> Path:
    for found in (source / artifact.path, source / artifact.name, source / "kafka" / artifact.path):
        if found.is_file():
            draft = staging / artifact.name
            shutil.copyfile(found, draft)
            return draft
    raise Misconfigured(
        Code.CONFIGURATION,
        f"{source}: {artifact.name} is missing; copy the folder {cache_folder()} of a machine "
        "where `almenara broker fetch` has run",
    )


def _download(artifact: Artifact, staging: Path) -> Path:
    try:
        import requests
        from jgo.maven import MavenContext
    except ImportError as exc:
        raise not_installed(exc) from exc
    for attempt in range(ATTEMPTS):
        try:
            maven = MavenContext(repo_cache=staging, timeout=DOWNLOAD_TIMEOUT_S)
            return maven.create_dependency(artifact.gav).artifact.resolve()
        except (requests.RequestException, RuntimeError) as exc:
            # jgo leaves half a file behind, and would take it for the whole the next time.
            (staging / artifact.path).unlink(missing_ok=True)
            if attempt + 1 == ATTEMPTS:
                raise _unreachable(artifact) from exc
            time.sleep(BACKOFF_S * 2**attempt)
    raise AssertionError(ATTEMPTS)


def not_installed(exc: ImportError) -> AlmenaraError:
    """Return the error for a missing part of the extra `broker`."""
    return Misconfigured(
        Code.CONFIGURATION,
        f"embedded broker: the Python package {exc.name} is not installed; pip install 'almenara[broker]'",
    )


def _unreachable(artifact: Artifact) -> AlmenaraError:
    return Unavailable(
        Code.TIMED_OUT,
        f"{artifact.gav}: the Maven repository did not give it in {ATTEMPTS} tries; try again later, or "
        "use `almenara broker fetch --from DIR`",
        retry_after_s=30.0,
    )


def _intact(artifact: Artifact, path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
    except FileNotFoundError:
        return False


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the cache's lock; the system frees it when its holder dies."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as exc:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        Code.TIMED_OUT, f"cache {path.parent}: another fetch holds it; try again later"
                    ) from exc
                progress("wait for another fetch", 0, 1)
                time.sleep(_LOCK_POLL_S)
        yield
