"""A directory with holders of its keys elsewhere: founded, changed, its roles rotated, and read all along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code, DirectoryRefused, Misconfigured, Refused, Unavailable
from almenara.trust.judged import judge, sign
from almenara.trust.refresh import TIMESTAMP_MAX, refresh, root_name
from almenara.trust.repository import Repository
from almenara.trust.rolekeys import SERVICE, create_role_key, next_root, rotate
from almenara.wire.records import RECORD_MAX
from unit.trust.federation import DAY, NOW, targets
from unit.trust.holders import ANA, EVA, LUIS, QUORUMS, RAUL, SOL, TEO, signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tuf.api.metadata import Root

    from almenara.trust.hybrid import RoleKey
    from almenara.trust.proposal import Proposal
    from almenara.trust.targets import VerifiedTargets

NAMED = {
    "root": [key.public for key in (ANA, LUIS, SOL)],
    "targets": [key.public for key in (SOL, EVA, RAUL)],
}


class Site:
    """A directory of which only the online keys are here, and a reader that has seen its first version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.cache = folder / "cache"
        self.repository = Repository.new(self.folder)
        for name, data in targets().items():
            self.repository.set_target(name, data)
        self.first = self.repository.founding(QUORUMS, named=NAMED, by="", now=NOW)
        self.install(self.first, ANA, LUIS, SOL, EVA)

    def install(self, proposal: Proposal, *keys: RoleKey) -> None:
        self.repository.install(signed(proposal, self.repository.base, *keys), NOW)

    def rotate(self, change: Callable[[Root], object], *keys: RoleKey) -> None:
        """Publish a next root, signed by these holders."""
        root = next_root(self.repository.in_force.root, expires=NOW + 300 * DAY)
        change(root)
        self.install(self.repository.propose(by="", now=NOW, root=root), *keys)

    def read(self) -> VerifiedTargets:
        return refresh(
            dict(self.repository.files()), cache=self.cache, root=self.repository.first_root, now=NOW
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    assert made.read().version == 1
    return made


def test_a_directory_is_founded_by_holders_who_are_elsewhere(tmp_path: Path) -> None:
    repository = Repository.new(tmp_path)
    for name, data in targets().items():
        repository.set_target(name, data)
    proposal = repository.founding(QUORUMS, named=NAMED, by="", now=NOW)
    assert proposal.name == "root-1-targets-1.json"
    assert sorted(path.name for path in repository.keys.iterdir()) == [
        *("snapshot-1.json", "snapshot-1.pub.json", "timestamp-1.json", "timestamp-1.pub.json"),
    ]
    for keys in ((), (ANA, LUIS), (SOL, EVA)):
        with pytest.raises(Unavailable) as caught:
            repository.install(signed(proposal, repository.base, *keys), NOW)
        assert caught.value.code is Code.SIGNATURES_MISSING
    assert repository.version == 0
    with pytest.raises(Misconfigured, match="nothing is published yet"):
        repository.files()
    repository.install(signed(proposal, repository.base, SOL, EVA, ANA), NOW)
    assert Repository.open(tmp_path).targets == targets()
    with pytest.raises(Misconfigured, match="holds a directory already"):
        Repository.new(tmp_path)


ROTATIONS: dict[str, tuple[Callable[[Path, Root], object], tuple[RoleKey, ...]]] = {
    "root": (
        lambda _, root: rotate(root, "root", add=[TEO.public], remove=[ANA.key_id], threshold=2),
        (ANA, LUIS, TEO),
    ),
    "targets": (
        lambda _, root: rotate(root, "targets", add=[TEO.public], remove=[RAUL.key_id], threshold=2),
        (ANA, LUIS, TEO, EVA),
    ),
    "snapshot": (lambda keys, root: online(keys, root, "snapshot"), (ANA, LUIS)),
    "timestamp": (lambda keys, root: online(keys, root, "timestamp"), (ANA, LUIS)),
}


def online(keys: Path, root: Root, role: str) -> None:
    keys.mkdir(exist_ok=True)
    made = create_role_key(keys / f"{role}-2.json", holder=f"{role}-2")
    rotate(root, role, add=[made.public], remove=list(root.roles[role].keyids), threshold=1)


@pytest.mark.parametrize(("change", "keys"), ROTATIONS.values(), ids=ROTATIONS.keys())
def test_a_reader_follows_the_rotation_of_every_role(
    site: Site, change: Callable[[Path, Root], object], keys: tuple[RoleKey, ...]
) -> None:
    """And of none but the whole: each holder's signature is needed, and the reader sees no state between."""
    before = site.repository.files()
    for missing in range(len(keys)):
        with pytest.raises(Unavailable) as caught:
            site.rotate(lambda root: change(site.folder / str(missing), root), *keys[:missing])  # noqa: B023
        assert caught.value.code is Code.SIGNATURES_MISSING
        assert site.repository.files() == before
    site.rotate(lambda root: change(site.repository.keys, root), *keys)
    assert site.read().targets == targets()
    opened = Repository.open(site.folder)
    assert opened.files() == site.repository.files() != before
    opened.sign_timestamp(NOW + DAY)
    seen = refresh(dict(opened.files()), cache=site.cache, root=opened.first_root, now=NOW + DAY)
    assert seen.expires.timestamp == NOW + 2 * DAY


def test_every_file_of_a_federation_in_service_fits_a_record(tmp_path: Path) -> None:
    """The largest: five new holders of the root's keys, let in by all five of before."""
    repository = Repository.create(tmp_path, federation="ams", now=NOW, thresholds=SERVICE)
    root = next_root(repository.in_force.root, expires=NOW + 300 * DAY)
    before = list(root.roles["root"].keyids)
    added = [create_role_key(repository.keys / f"root-{n}.json", holder=f"root-{n}") for n in range(6, 11)]
    rotate(root, "root", add=[key.public for key in added], remove=before, threshold=3)
    repository.install(repository.propose(by="", now=NOW, root=root), NOW)
    files = dict(repository.files())
    assert len(files[root_name(2)]) < 150_000
    assert max(map(len, files.values())) < RECORD_MAX
    assert len(files["metadata/timestamp.json"]) < TIMESTAMP_MAX
    assert refresh(files, cache=tmp_path / "cache", root=repository.first_root, now=NOW).version == 1


def test_a_key_that_was_rotated_out_signs_nothing_any_more(site: Site) -> None:
    site.rotate(
        lambda root: rotate(root, "targets", add=[TEO.public], remove=[RAUL.key_id], threshold=2),
        *(ANA, LUIS, TEO, EVA),
    )
    site.repository.set_target("notes.json", b"{}")
    judged = judge(site.repository.propose(by="", now=NOW), site.repository.base, now=NOW)
    with pytest.raises(Refused, match="none of those that may sign"):
        sign(judged, RAUL)
    site.install(judged.proposal, TEO, SOL)
    assert "notes.json" in site.read().targets


def test_a_reader_that_was_away_for_several_roots_follows_the_chain(site: Site, tmp_path: Path) -> None:
    steps: list[tuple[RoleKey, RoleKey, tuple[RoleKey, ...]]] = [
        (ANA, TEO, (LUIS, SOL, TEO)),
        (LUIS, EVA, (SOL, TEO, EVA)),
        (SOL, RAUL, (TEO, EVA, RAUL)),
    ]
    for out, into, keys in steps:
        site.rotate(
            lambda root: rotate(root, "root", add=[into.public], remove=[out.key_id], threshold=2),  # noqa: B023
            *keys,
        )
    assert site.repository.in_force.root.version == 4
    assert site.read().targets == targets()
    fresh = dict(site.repository.files())
    assert refresh(fresh, cache=tmp_path / "new", root=site.repository.first_root, now=NOW).version == 1
    with pytest.raises(DirectoryRefused):
        refresh(
            {**fresh, root_name(3): fresh[root_name(4)]},
            cache=tmp_path / "forged",
            root=fresh[root_name(1)],
            now=NOW,
        )


def test_a_root_whose_publication_was_cut_short_is_not_in_force(site: Site) -> None:
    """Each file is written in its order, the timestamp last; a crash between any two leaves version 1."""
    before = dict(site.repository.files())
    again = Repository.open(site.folder)
    root = next_root(again.in_force.root, expires=NOW + 300 * DAY)
    rotate(root, "targets", add=[TEO.public], remove=[RAUL.key_id], threshold=2)
    online(again.keys, root, "timestamp")
    whole = signed(again.propose(by="", now=NOW, root=root), again.base, ANA, LUIS, TEO, EVA)
    again.install(whole, NOW)
    written = [(name, data) for name, data in again.files() if before.get(name) != data]
    for name, _ in written:
        (site.folder / name).unlink()
    (site.folder / "metadata" / "timestamp.json").write_bytes(before["metadata/timestamp.json"])
    for name, data in written[:-1]:
        (site.folder / name).write_bytes(data)
        assert dict(Repository.open(site.folder).files()) == before
    resumed = Repository.open(site.folder)
    resumed.install(whole, NOW)
    assert resumed.in_force.root.version == 2
    assert Repository.open(site.folder).files() == resumed.files()


def test_an_online_key_that_is_away_publishes_nothing(site: Site, tmp_path: Path) -> None:
    before = site.repository.files()
    with pytest.raises(Misconfigured, match="0 of the 1 keys that timestamp needs"):
        site.rotate(lambda root: online(tmp_path, root, "timestamp"), ANA, LUIS)
    assert site.repository.files() == before == Repository.open(site.folder).files()


def test_a_directory_changed_on_the_coordinators_disk_is_not_signed_on(site: Site) -> None:
    (path,) = site.folder.glob("targets/members/*.PE.json")
    path.write_bytes(path.read_bytes().replace(b"ACTIVE", b"SLAYED"))
    with pytest.raises(Misconfigured, match="holds no directory"):
        Repository.open(site.folder)


@pytest.mark.parametrize("name", ["metadata/1.root.json", "metadata/timestamp.json", "metadata/x.root.json"])
def test_a_folder_of_which_a_part_is_missing_or_strange_is_named(site: Site, name: str) -> None:
    if (site.folder / name).exists():
        (site.folder / name).unlink()
    else:
        (site.folder / name).write_bytes(b"{}")
    with pytest.raises(Misconfigured, match="holds no directory"):
        Repository.open(site.folder)
