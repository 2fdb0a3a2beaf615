"""What may a coordinator do with its federation: admit members, make audiences, sign the directory.

Every change is one new version of the directory, judged as readers will judge it before it is
signed. The folder's lock is held from reading the old version to signing the new one. A crash
leaves the old version in force (repository.py); the same command again completes it.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara.bus.ports import addresses, remembered_ports
from almenara.coordinator import ceremony
from almenara.coordinator.audiences import amended, new_audience
from almenara.coordinator.founding import found
from almenara.coordinator.lock import locked
from almenara.coordinator.membership import admitted, changed
from almenara.coordinator.renewals import renewed_certificate
from almenara.coordinator.settings import FederationSettings, load_settings
from almenara.errors import Code, Misconfigured, Refused
from almenara.trust.admission import Admission
from almenara.trust.certificates import issue_for_request, load_ca, member_name
from almenara.trust.enrolment import read_enrolment
from almenara.trust.refresh import METADATA, refresh, root_fingerprint
from almenara.trust.renewal import read_renewal
from almenara.trust.rolekeys import Thresholds
from almenara.trust.targets import (
    FEDERATION_TARGET,
    AudienceFile,
    FederationFile,
    VerifiedTargets,
    audience_target,
    build_directory,
    encode_target,
    member_target,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tuf.api.metadata import Root

    from almenara.coordinator.audiences import AudienceChange
    from almenara.coordinator.membership import MemberChange
    from almenara.model.ids import AudienceId, MemberId
    from almenara.trust.directory import Audience, AudienceKind, Directory, Member
    from almenara.trust.enrolment import Enrolment
    from almenara.trust.hybrid import HybridKey
    from almenara.trust.repository import Repository

RETENTION_DAYS = 90
"""How long the region keeps its messages unless a person decides otherwise: a season of controls."""


class Published(NamedTuple):
    """The directory as readers see it now: its files in the order to publish, and what they say."""

    files: tuple[tuple[str, bytes], ...]
    directory: Directory


class Federation:
    """The coordinator's folder of one federation; `init` or `open` one.

    Methods that change or sign raise Unavailable TIMED_OUT while another command holds the lock, and
    SIGNATURES_MISSING when too few keys of the targets are here: the change then waits as a proposal,
    and the same call again, once it is published, completes what depends on it.
    """

    def __init__(self, folder: Path, settings: FederationSettings) -> None:
        self.folder = folder
        self.settings = settings

    @classmethod
    def init(
        cls,
        folder: Path,
        *,
        name: str,
        now: datetime,
        hosts: tuple[str, ...] = (),
        bootstrap: str = "",
        replication: int | None = None,
        title: str = "All members",
        retention_days: int = RETENTION_DAYS,
        thresholds: Thresholds | None = None,
        named: Mapping[str, Sequence[HybridKey]] | None = None,
    ) -> Federation:
        """Create a federation in a folder and open it; see founding.py for what is made.

        Raises Refused FORMAT for its name, Misconfigured if the folder holds parts of one already.
        """
        settings = FederationSettings(name=name, hosts=hosts, bootstrap=bootstrap, replication=replication)
        wish = ceremony.Founding(
            name=name,
            title=title,
            retention_days=retention_days,
            bootstrap=bootstrap,
            thresholds=thresholds or Thresholds(),
            named=named or {},
        )
        found(folder, settings, wish, now=now)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Federation:
        """Return the federation of a folder; raise Misconfigured CONFIGURATION if there is none."""
        return cls(folder.absolute(), load_settings(folder))

    @property
    def name(self) -> str:
        """Return the federation's name."""
        return self.settings.name

    @property
    def lock_path(self) -> Path:
        """Return the lock that covers every change of the federation."""
        return self.folder / "lock"

    @property
    def operator_path(self) -> Path:
        """Return the coordinator's own key and certificate, in one file."""
        return self.folder / "operator.pem"

    @property
    def ca_path(self) -> Path:
        """Return the certificate of the TLS authority."""
        return self.folder / "ca" / "ca.pem"

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the directory's first root, which members compare by hand."""
        return root_fingerprint(self.repository().first_root)

    def bootstrap(self) -> str:
        """Return where members find the brokers.

        Raises Misconfigured CONFIGURATION if neither the settings nor the embedded broker's last
        start say so.
        """
        if self.settings.bootstrap:
            return self.settings.bootstrap
        ports = remembered_ports(self.folder / "broker")
        if not ports:
            raise Misconfigured(
                Code.CONFIGURATION,
                f"{self.folder}: where is its broker? start it once with: almenara broker run --state "
                f"{self.folder}; or set bootstrap in federation.toml",
            )
        return addresses(ports)

    def embedded_nodes(self) -> int:
        """Return how many nodes the embedded broker has, 0 if others serve or it was never started."""
        return 0 if self.settings.bootstrap else len(remembered_ports(self.folder / "broker"))

    def signed_at(self) -> int:
        """Return a number that changes whenever a version of the directory is signed."""
        return (self.folder / "directory" / METADATA / "timestamp.json").stat().st_mtime_ns

    def published(self, now: datetime) -> Published:
        """Return the directory as a reader verifies it; raise what `refresh` raises if it does not."""
        return self._published(self.repository(), now)

    def admit(self, enrolment: bytes, *, now: datetime, key_reset: bool = False) -> Admission:
        """Admit a member, issue its certificate again or change its keys, and return what it needs.

        The same enrolment again changes nothing but the certificate's dates. Raises DirectoryRefused
        for an enrolment that does not prove itself, Refused KEY_RESET for keys that the member's own
        have not signed unless `key_reset` says to take them, Refused UNKNOWN_MEMBER for a member that
        is suspended or has left, Refused CONFLICT for another federation's.
        """
        (admission,) = self.admit_all((enrolment,), now=now, key_reset=key_reset)
        return admission

    def admit_all(
        self, enrolments: Sequence[bytes], *, now: datetime, key_reset: bool = False
    ) -> tuple[Admission, ...]:
        """Admit several members in one version of the directory, in their order; as `admit` otherwise.

        Either all of them are admitted or none.
        """
        incoming = [self._read(enrolment) for enrolment in enrolments]
        bootstrap = self.bootstrap()
        certificates = []
        with self._changing(now) as repository:
            ca = load_ca(certificate=self.ca_path, key=self.folder / "ca" / "ca.key")
            for each in incoming:
                target = member_target(each.member)
                file = admitted(each, repository.targets.get(target), now, key_reset=key_reset)
                certificates.append(
                    issue_for_request(
                        ca,
                        each.tls_request.encode(),
                        organization=self.name,
                        common_name=member_name(each.member, file.generation),
                        now=now,
                    )
                )
                repository.set_target(target, encode_target(file))
        return tuple(
            self._admission(repository, each.member, certificate, bootstrap=bootstrap, now=now)
            for each, certificate in zip(incoming, certificates, strict=True)
        )

    def renew_member(self, renewal: bytes, *, now: datetime) -> Admission:
        """Issue a member's next TLS certificate at its own request; no key of the directory is needed.

        Raises Refused for a request that is not the member's, UNKNOWN_MEMBER for one that is not active,
        and what `published` raises of a directory that readers would refuse.
        """
        asked = read_renewal(renewal)
        with locked(self.lock_path):
            repository = self.repository()
            self._published(repository, now)
            certificate = renewed_certificate(
                asked,
                targets=repository.targets,
                ca=load_ca(certificate=self.ca_path, key=self.folder / "ca" / "ca.key"),
                federation=self.name,
                now=now,
            )
        return self._admission(repository, asked.member, certificate, bootstrap=self.bootstrap(), now=now)

    def _admission(
        self, repository: Repository, member: MemberId, certificate: bytes, *, bootstrap: str, now: datetime
    ) -> Admission:
        return Admission(
            federation=self.name,
            member=member,
            issued_at=now,
            certificate=certificate.decode("ascii"),
            ca=self.ca_path.read_text("ascii"),
            bootstrap=bootstrap,
            root=repository.first_root,
            directory=dict(repository.files()),
        )

    def _read(self, enrolment: bytes) -> Enrolment:
        """Return the enrolment once it has proven itself; raise Refused CONFLICT for another federation's."""
        incoming = read_enrolment(enrolment)
        if incoming.federation != self.name:
            raise Refused(
                Code.CONFLICT,
                f"enrolment of {incoming.member}: for federation {incoming.federation}, this is {self.name}; "
                "the member must enrol with --federation " + self.name,
            )
        return incoming

    def change_member(
        self, member: MemberId, change: MemberChange, *, now: datetime, reason: str = ""
    ) -> Member:
        """Change a member's standing or certificate, and return it as the directory then has it.

        Raises Refused as `membership.changed`.
        """
        target = member_target(member)
        with self._changing(now) as repository:
            file = changed(member, repository.targets.get(target), change, now=now, reason=reason)
            repository.set_target(target, encode_target(file))
        return self._drafted(repository).members[member]

    def listing(self, member: MemberId) -> tuple[AudienceId, ...]:
        """Return the audiences whose files list a member, whatever its standing."""
        repository = self.repository()
        return tuple(
            audience
            for audience in sorted(self._drafted(repository).audiences)
            if member in self._audience_file(repository, audience).members
        )

    def create_audience(
        self,
        audience: str,
        *,
        kind: AudienceKind,
        members: frozenset[str],
        title: str,
        now: datetime,
        opens_at: datetime | None = None,
        closes_at: datetime | None = None,
        retention_days: int = RETENTION_DAYS,
    ) -> Audience:
        """Create an audience and return it.

        Raises Refused FORMAT, CONFLICT if there is one of that id or its dates or kind are wrong,
        UNKNOWN_MEMBER for a member that the directory does not list.
        """
        with self._changing(now) as repository:
            name, file = new_audience(
                self._drafted(repository),
                audience,
                AudienceFile(
                    kind=kind,
                    title=title,
                    members=tuple(sorted(members)),
                    retention_days=retention_days,
                    opens_at=opens_at,
                    closes_at=closes_at,
                ),
            )
            repository.set_target(audience_target(name), encode_target(file))
        return self._drafted(repository).audiences[name]

    def amend_audience(self, audience: AudienceId, change: AudienceChange, *, now: datetime) -> Audience:
        """Change what the directory says of an audience, and return it; `closes_at` now closes it.

        Raises StatementRefused UNKNOWN_AUDIENCE, and as `create_audience`.
        """
        with self._changing(now) as repository:
            directory = self._drafted(repository)
            directory.audience(audience)
            file = amended(directory, audience, self._audience_file(repository, audience), change)
            repository.set_target(audience_target(audience), encode_target(file))
        return self._drafted(repository).audiences[audience]

    @staticmethod
    def _audience_file(repository: Repository, audience: AudienceId) -> AudienceFile:
        return msgspec.json.decode(repository.targets[audience_target(audience)], type=AudienceFile)

    def propose(
        self, draft: Callable[[Repository], Root] | None, *, now: datetime
    ) -> ceremony.Waiting | None:
        """Propose a next root that `draft` makes, or else to renew the targets; return where it waits.

        Raises what `ceremony.submit` raises.
        """
        with locked(self.lock_path):
            repository = self.repository()
            self.state_bootstrap(repository)
            root = None if draft is None else draft(repository)
            return ceremony.submit(self.folder, repository, now=now, root=root)

    @contextmanager
    def _changing(self, now: datetime) -> Iterator[Repository]:
        """Lend the repository for one change, then sign and publish it as one version (ceremony.py)."""
        with locked(self.lock_path):
            repository = self.repository()
            yield repository
            if repository.changed or ceremony.can_publish(repository, now=now):
                self.state_bootstrap(repository)
            if not repository.changed:
                repository.sign_timestamp(now)
            elif (waits := ceremony.submit(self.folder, repository, now=now)) is not None:
                raise waits.error()

    def _drafted(self, repository: Repository) -> Directory:
        """Return the directory that the files set so far make; raise DirectoryRefused if none."""
        return build_directory(
            VerifiedTargets(
                version=repository.version + 1, targets=dict(repository.targets), expires=repository.expires
            )
        )

    def state_bootstrap(self, repository: Repository) -> bool:
        """Set the brokers' present address in the federation's file; return whether it changed."""
        try:
            bootstrap = self.bootstrap()
        except Misconfigured:
            return False  # never started yet: nothing to make known
        file = msgspec.json.decode(repository.targets[FEDERATION_TARGET], type=FederationFile)
        if file.bootstrap == bootstrap:
            return False
        changed = msgspec.structs.replace(file, bootstrap=bootstrap)
        repository.set_target(FEDERATION_TARGET, encode_target(changed))
        return True

    def _published(self, repository: Repository, now: datetime) -> Published:
        files = tuple(repository.files())
        with tempfile.TemporaryDirectory(prefix="almenara-") as cache:
            verified = refresh(dict(files), cache=Path(cache), root=repository.first_root, now=now)
        return Published(files, build_directory(verified))

    def repository(self) -> Repository:
        """Return the coordinators' copy of the directory; hold the lock while it is changed."""
        return ceremony.require_published(self.folder)
