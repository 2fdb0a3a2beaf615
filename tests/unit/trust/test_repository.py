"""The directory from the coordinators' hands to a reader's: what is signed comes back, nothing else."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code, Misconfigured, Refused, Unavailable
from almenara.trust.proposal import TARGET_MAX
from almenara.trust.refresh import refresh, root_fingerprint
from almenara.trust.repository import Repository
from almenara.trust.rolekeys import Quorum, Thresholds
from almenara.trust.targets import FEDERATION_TARGET, FederationFile, VerifiedTargets, encode_target
from unit.trust.federation import DAY, NOW, targets

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def published(folder: Path, *, thresholds: Thresholds | None = None) -> Repository:
    """Return a repository that has published the small federation as version 2."""
    repository = Repository.create(folder, federation="ams", now=NOW, thresholds=thresholds)
    for name, data in targets().items():
        repository.set_target(name, data)
    assert repository.publish(NOW) == 2
    return repository


def read(repository: Repository, cache: Path, *, now: datetime = NOW) -> VerifiedTargets:
    return refresh(dict(repository.files()), cache=cache, root=repository.first_root, now=now)


def test_what_is_published_comes_to_the_reader(tmp_path: Path) -> None:
    repository = published(tmp_path / "repository")
    seen = read(repository, tmp_path / "cache")
    assert seen.version == repository.version == 2
    assert seen.targets == targets() == repository.targets
    assert seen.expires == repository.expires
    assert seen.expires.timestamp == NOW + timedelta(hours=24)


def test_a_new_repository_allows_nothing(tmp_path: Path) -> None:
    repository = Repository.create(tmp_path / "repository", federation="ams", now=NOW)
    seen = read(repository, tmp_path / "cache")
    assert seen.targets == {FEDERATION_TARGET: encode_target(FederationFile(federation="ams", schemas=()))}


def test_the_first_root_is_compared_by_its_hash(tmp_path: Path) -> None:
    repository = published(tmp_path)
    assert root_fingerprint(repository.first_root) == hashlib.sha256(repository.first_root).hexdigest()
    assert (tmp_path / "metadata" / "1.root.json").read_bytes() == repository.first_root


def test_what_leads_to_a_file_is_published_after_it(tmp_path: Path) -> None:
    names = [name for name, _ in published(tmp_path).files()]
    assert names[0] == "metadata/1.root.json"
    assert names[-3:] == ["metadata/2.targets.json", "metadata/2.snapshot.json", "metadata/timestamp.json"]
    assert all(name.startswith("targets/") for name in names[1:-3])
    assert any(name.startswith("targets/members/") and name.endswith(".PE.json") for name in names)


def test_role_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    published(tmp_path)
    keys = sorted((tmp_path / "keys").iterdir())
    private = [path for path in keys if not path.name.endswith(".pub.json")]
    assert [path.name for path in private] == [
        f"{role}-1.json" for role in ("root", "snapshot", "targets", "timestamp")
    ]
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    assert len(keys) == 2 * len(private)  # the public halves, to be sent


def test_an_opened_repository_goes_on_where_it_stood(tmp_path: Path) -> None:
    before = published(tmp_path / "repository")
    opened = Repository.open(tmp_path / "repository")
    assert opened.files() == before.files()
    opened.set_target("members/PE.json", b"{}")
    assert opened.publish(NOW) == 3
    seen = read(opened, tmp_path / "cache")
    assert seen.targets["members/PE.json"] == b"{}"


def test_publishing_no_change_keeps_the_version_and_renews_the_timestamp(tmp_path: Path) -> None:
    repository = published(tmp_path / "repository")
    assert repository.publish(NOW + DAY) == 2
    seen = read(repository, tmp_path / "cache", now=NOW + DAY)
    assert seen.version == 2
    assert seen.expires.timestamp == NOW + 2 * DAY


def test_an_hourly_timestamp_keeps_the_directory_alive_for_months(tmp_path: Path) -> None:
    repository = published(tmp_path / "repository")
    for days in range(0, 179, 6):
        repository.sign_timestamp(NOW + days * DAY)
        seen = read(repository, tmp_path / "cache", now=NOW + days * DAY)
        assert seen.version == 2
        assert seen.expires.snapshot > NOW + (days + 6) * DAY


def test_targets_are_signed_again_when_half_their_life_is_over(tmp_path: Path) -> None:
    repository = published(tmp_path / "repository")
    assert repository.publish(NOW + 89 * DAY) == 2
    assert repository.publish(NOW + 91 * DAY) == 3
    assert read(repository, tmp_path / "cache", now=NOW + 91 * DAY).targets == targets()


def test_a_quorum_of_keys_signs(tmp_path: Path) -> None:
    thresholds = Thresholds(root=Quorum(3, 5), targets=Quorum(2, 3))
    repository = published(tmp_path / "repository", thresholds=thresholds)
    root = json.loads(repository.first_root)
    assert len(root["signatures"]) == 5
    assert root["signed"]["roles"]["root"]["threshold"] == 3
    keys = tmp_path / "repository" / "keys"
    (keys / "targets-1.json").unlink()
    for path in keys.glob("root-*.json"):
        path.unlink()
    repository.set_target("members/PE.json", b"{}")
    assert repository.publish(NOW) == 3
    assert read(repository, tmp_path / "cache").targets["members/PE.json"] == b"{}"


def test_too_few_keys_publish_nothing_and_lose_nothing(tmp_path: Path) -> None:
    """One coordinator alone changes nothing (THREATS 21); when the others come, what was set is there."""
    repository = published(tmp_path / "repository", thresholds=Thresholds(targets=Quorum(2, 3)))
    before = repository.files()
    keys = tmp_path / "repository" / "keys"
    away = [keys / "targets-1.json", keys / "targets-2.json"]
    for path in away:
        path.rename(tmp_path / path.name)
    repository.set_target("members/PE.json", b"{}")
    with pytest.raises(Unavailable, match="targets has 1 of 2 signatures, 1 more of: targets-1") as refusal:
        repository.publish(NOW)
    assert refusal.value.code is Code.SIGNATURES_MISSING
    assert repository.files() == before == Repository.open(tmp_path / "repository").files()
    for path in away:
        (tmp_path / path.name).rename(path)
    assert repository.publish(NOW) == 3
    assert read(repository, tmp_path / "cache").targets["members/PE.json"] == b"{}"


def test_a_key_of_another_repository_counts_for_nothing(tmp_path: Path) -> None:
    repository = published(tmp_path / "repository")
    other = published(tmp_path / "other")
    (tmp_path / "other" / "keys" / "timestamp-1.json").replace(
        tmp_path / "repository" / "keys" / "timestamp-1.json"
    )
    with pytest.raises(Misconfigured, match="0 of the 1 keys"):
        repository.sign_timestamp(NOW)
    with pytest.raises(Misconfigured, match="0 of the 1 keys"):
        other.sign_timestamp(NOW)


@pytest.mark.parametrize("quorum", [Quorum(0, 1), Quorum(2, 1)])
def test_a_quorum_that_cannot_be_met_is_not_founded(tmp_path: Path, quorum: Quorum) -> None:
    with pytest.raises(Misconfigured, match="quorum of targets"):
        Repository.create(tmp_path, federation="ams", now=NOW, thresholds=Thresholds(targets=quorum))


def test_a_repository_is_not_created_over_another(tmp_path: Path) -> None:
    before = published(tmp_path).files()
    with pytest.raises(Misconfigured, match="holds a directory already"):
        Repository.create(tmp_path, federation="ams", now=NOW)
    assert Repository.open(tmp_path).files() == before


def test_a_federation_has_a_name_that_topics_can_bear(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        Repository.create(tmp_path, federation="A.M.S", now=NOW)
    assert refusal.value.code is Code.FORMAT


def test_a_target_that_no_record_can_carry_is_not_taken(tmp_path: Path) -> None:
    repository = published(tmp_path)
    with pytest.raises(Misconfigured, match="the cap is"):
        repository.set_target("members/PE.json", bytes(TARGET_MAX + 1))
    assert repository.targets == targets()


def test_a_folder_without_a_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="holds no directory") as refusal:
        Repository.open(tmp_path)
    assert refusal.value.code is Code.CONFIGURATION


@pytest.mark.parametrize("damage", [b"", b"{}", b"not JSON", None], ids=["empty", "{}", "text", "other role"])
def test_a_damaged_repository_is_not_opened(tmp_path: Path, damage: bytes | None) -> None:
    published(tmp_path)
    timestamp = tmp_path / "metadata" / "timestamp.json"
    timestamp.write_bytes((tmp_path / "metadata" / "1.root.json").read_bytes() if damage is None else damage)
    with pytest.raises(Misconfigured, match="holds no directory"):
        Repository.open(tmp_path)


def test_a_publication_cut_short_leaves_the_version_before_and_does_not_hinder_the_next(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "repository"
    repository = published(folder)
    before = dict(repository.files())
    repository.set_target("federation.json", b'{"federation":"ams","schemas":[]}')
    repository.publish(NOW)
    # The files in the order in which they were written: the timestamp last, as `files` has them.
    written = [(name, data) for name, data in repository.files() if before.get(name) != data]
    assert len(written) == 4
    for name, _ in written:
        (folder / name).unlink()
    (folder / "metadata" / "timestamp.json").write_bytes(before["metadata/timestamp.json"])
    for name, data in written[:-1]:
        (folder / name).write_bytes(data)
        assert dict(Repository.open(folder).files()) == before
    opened = Repository.open(folder)
    opened.set_target("federation.json", b'{"federation":"ams","schemas":[],"bootstrap":"b:1"}')
    assert opened.publish(NOW) == 3
    assert b"b:1" in read(opened, tmp_path / "cache").targets["federation.json"]
