"""A change that lacks signatures waits as one file, and takes effect when they have come."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from almenara.coordinator import ceremony
from almenara.coordinator.ceremony import Founding
from almenara.coordinator.federation import Federation
from almenara.coordinator.upkeep import keep_signed
from almenara.errors import Code, Misconfigured, Refused, Unavailable
from almenara.model.ids import AudienceId
from almenara.trust.directory import AudienceKind
from almenara.trust.judged import judge, sign
from almenara.trust.rolekeys import Quorum, Thresholds, create_role_key, load_role_key
from enrolments import enrol
from unit.trust.federation import NOW

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.trust.hybrid import RoleKey

THRESHOLDS = Thresholds(root=Quorum(2, 3), targets=Quorum(2, 3))


class Site:
    """A federation of whose targets' keys one is here, and two are with their holders."""

    def __init__(self, folder: Path) -> None:
        self.federation = Federation.init(
            folder / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000", thresholds=THRESHOLDS
        )
        self.folder = self.federation.folder
        self.holders = [self._take(folder, f"targets-{number}") for number in (2, 3)]
        self.waits = self.folder / "proposals" / "targets-2.json"

    def _take(self, folder: Path, name: str) -> RoleKey:
        path = folder / f"{name}.json"
        (self.folder / "directory" / "keys" / f"{name}.json").rename(path)
        return load_role_key(path)

    def sign(self, key: RoleKey) -> None:
        """Sign the proposal that waits, as `directory sign` does."""
        base = ceremony.require_published(self.folder).base
        proposal = ceremony.read(self.waits)
        ceremony.write(self.waits, sign(judge(proposal, base, now=NOW), key))

    def publish(self) -> int:
        repository = ceremony.open_repository(self.folder)
        return ceremony.publish(self.folder, repository, [ceremony.read(self.waits)], now=NOW)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_an_admission_waits_for_its_signatures_and_then_completes(site: Site, tmp_path: Path) -> None:
    enrolment = enrol(tmp_path, "PE", now=NOW)
    with pytest.raises(Unavailable, match=r"it concerns members/PE\.json; targets has 1 of 2") as caught:
        site.federation.admit(enrolment, now=NOW)
    assert caught.value.code is Code.SIGNATURES_MISSING
    assert f"almenara directory sign {site.waits} --key KEY" in caught.value.text
    with pytest.raises(Unavailable, match="targets has 1 of 2 signatures"):
        site.publish()
    assert not site.federation.published(NOW).directory.members
    site.sign(site.holders[0])
    assert site.publish() == 2
    assert not site.waits.exists()
    admission = site.federation.admit(enrolment, now=NOW)
    assert admission.member == "PE"
    assert site.federation.published(NOW).directory.version == 2


def test_one_change_waits_at_a_time(site: Site, tmp_path: Path) -> None:
    enrolment = enrol(tmp_path, "PE", now=NOW)
    with pytest.raises(Unavailable):
        site.federation.admit(enrolment, now=NOW)
    before = site.waits.read_bytes()
    for other in (enrolment, enrol(tmp_path, "AR", now=NOW)):
        with pytest.raises(Unavailable, match=r"it concerns members/PE\.json; .*remove that file"):
            site.federation.admit(other, now=NOW)
    assert site.waits.read_bytes() == before
    assert [path.name for path in site.waits.parent.iterdir()] == ["targets-2.json"]


def test_what_waits_keeps_nobody_from_what_is_published(site: Site, tmp_path: Path) -> None:
    """A certificate is issued again, the timestamp signed, while a change waits."""
    enrolment = enrol(tmp_path, "PE", now=NOW)
    with pytest.raises(Unavailable):
        site.federation.admit(enrolment, now=NOW)
    site.sign(site.holders[1])
    site.publish()
    with pytest.raises(Unavailable):
        site.federation.admit(enrol(tmp_path, "AR", now=NOW), now=NOW)
    assert site.federation.admit(enrolment, now=NOW).member == "PE"
    assert keep_signed(site.federation, NOW + timedelta(hours=2))


def test_a_removed_proposal_is_withdrawn_and_the_next_version_ends_it(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        site.federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    site.sign(site.holders[0])
    copy = tmp_path / "copy.json"
    site.waits.rename(copy)
    with pytest.raises(Unavailable, match=r"members/AR\.json"):
        site.federation.admit(enrol(tmp_path, "AR", now=NOW), now=NOW)
    site.sign(site.holders[0])
    assert site.publish() == 2
    repository = ceremony.require_published(site.folder)
    with pytest.raises(Refused, match="builds on version 1 of targets") as caught:
        ceremony.publish(site.folder, repository, [ceremony.read(copy)], now=NOW)
    assert caught.value.code is Code.CONFLICT
    assert site.federation.published(NOW).directory.members.keys() == {"AR"}


def test_copies_signed_apart_are_published_together(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        site.federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    (site.folder / "directory" / "keys" / "targets-1.json").unlink()
    repository = ceremony.require_published(site.folder)
    plain = ceremony.read(site.waits)
    copy = sign(judge(plain, repository.base, now=NOW), site.holders[0])
    site.waits.unlink()
    assert ceremony.publish(site.folder, repository, [copy], now=NOW) == 2


def test_signatures_that_came_so_far_are_kept(tmp_path: Path) -> None:
    thresholds = Thresholds(targets=Quorum(3, 3))
    federation = Federation.init(
        tmp_path / "D", name="ams", now=NOW, bootstrap="127.0.0.1:20000", thresholds=thresholds
    )
    keys = federation.folder / "directory" / "keys"
    holders = []
    for number in (1, 2, 3):
        holders.append(load_role_key(keys / f"targets-{number}.json"))
        (keys / f"targets-{number}.json").unlink()
    with pytest.raises(Unavailable, match="0 of 3"):
        federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    repository = ceremony.require_published(federation.folder)
    plain = ceremony.read(federation.folder / "proposals" / "targets-2.json")
    copies = [sign(judge(plain, repository.base, now=NOW), holder) for holder in holders]
    for number, copy in enumerate(copies[:2], start=1):
        with pytest.raises(Unavailable, match=f"{number} of 3"):
            ceremony.publish(federation.folder, repository, [copy], now=NOW)
    assert ceremony.publish(federation.folder, repository, [copies[2]], now=NOW) == 2


def test_a_file_that_is_no_proposal_is_named_where_it_lies(site: Site, tmp_path: Path) -> None:
    (site.folder / "proposals").mkdir()
    junk = site.folder / "proposals" / "junk.json"
    junk.write_bytes(b"{}")
    with pytest.raises(Refused, match=r"junk\.json: proposal: not one"):
        site.federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)


def test_a_proposal_whose_time_has_passed_waits_no_more(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        site.federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    later = NOW + timedelta(days=181)
    repository = ceremony.require_published(site.folder)
    assert ceremony.waiting(site.folder, repository.base, now=NOW) is not None
    assert ceremony.waiting(site.folder, repository.base, now=later) is None


def test_an_audience_waits_as_a_member_does(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        site.federation.admit_all([enrol(tmp_path, name, now=NOW) for name in ("PE", "AR")], now=NOW)
    site.sign(site.holders[0])
    site.publish()
    site.waits = site.folder / "proposals" / "targets-3.json"
    with pytest.raises(Unavailable, match="audiences/pair"):
        site.federation.create_audience(
            "pair", kind=AudienceKind.PAIR, members=frozenset({"PE", "AR"}), title="Two", now=NOW
        )
    site.sign(site.holders[1])
    assert site.publish() == 3
    assert AudienceId("pair") in site.federation.published(NOW).directory.audiences


def test_a_federation_is_founded_by_holders_who_are_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "D"
    holders = [create_role_key(tmp_path / f"{name}.json", holder=name) for name in ("ana", "luis")]
    public = [key.public for key in holders]
    wish = Founding(
        name="ams",
        title="All",
        retention_days=90,
        bootstrap="127.0.0.1:20000",
        thresholds=Thresholds(root=Quorum(2, 2), targets=Quorum(2, 2)),
        named={"root": public, "targets": public},
    )
    waits = ceremony.found_directory(folder, wish, now=NOW)
    assert waits == folder / "proposals" / ceremony.FIRST
    with pytest.raises(Misconfigured, match="exists already"):
        ceremony.found_directory(folder, wish, now=NOW)
    federation = Federation.init(folder, name="ams", now=NOW, bootstrap="127.0.0.1:20000")
    with pytest.raises(Unavailable, match="the first version of its directory waits"):
        federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    repository = ceremony.open_repository(folder)
    for key in holders:
        ceremony.write(waits, sign(judge(ceremony.read(waits), repository.base, now=NOW), key))
    assert ceremony.publish(folder, repository, [ceremony.read(waits)], now=NOW) == 1
    assert federation.published(NOW).directory.federation == "ams"
    with pytest.raises(Misconfigured, match="exists already"):
        ceremony.found_directory(folder, wish, now=NOW)


def test_a_directory_of_another_name_is_not_taken_for_a_federation(tmp_path: Path) -> None:
    wish = Founding("other", "All", 90, "", Thresholds(), {})
    assert ceremony.found_directory(tmp_path / "D", wish, now=NOW) is None
    with pytest.raises(Misconfigured, match="for federation other"):
        Federation.init(tmp_path / "D", name="ams", now=NOW)


def test_a_proposal_that_cannot_be_read_or_written_is_named(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"none\.json: cannot be read"):
        ceremony.read(tmp_path / "none.json")
    with pytest.raises(Unavailable):
        site.federation.admit(enrol(tmp_path, "PE", now=NOW), now=NOW)
    with pytest.raises(Misconfigured, match=r"nowhere/x\.json: cannot be written"):
        ceremony.write(tmp_path / "nowhere" / "x.json", ceremony.read(site.waits))
