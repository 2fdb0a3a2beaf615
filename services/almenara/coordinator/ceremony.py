"""How does a change of the directory get its signatures when their keys are in several hands?

    set -> propose -> signed by the keys at hand -> enough: published
                                                 -> too few: D/proposals/<role>-<version>.json
                                                    -> passed on and signed -> published

A proposal is a file and nothing else: whoever removes it has withdrawn it, for as long as nobody
has another copy with enough signatures; the next version that is published ends that too. One at a
time may wait here, since each builds on the published version. A crash leaves the version before
in force, and the proposal where it was.
"""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, NamedTuple

from almenara.errors import Code, Misconfigured, Refused, Unavailable
from almenara.model.ids import REGION, federation_name
from almenara.trust.directory import AudienceKind
from almenara.trust.judged import directory_of, judge, missing_signatures
from almenara.trust.proposal import PROPOSAL_MAX, ROOT_LIFETIME, merged, parse_proposal
from almenara.trust.repository import Repository
from almenara.trust.rolekeys import ONLINE, create_role_key, next_root, rotate
from almenara.trust.secretfile import replace_file
from almenara.trust.targets import (
    FEDERATION_TARGET,
    AudienceFile,
    FederationFile,
    audience_target,
    encode_target,
)
from almenara.wire.avro import sha256_hex

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from tuf.api.metadata import Root

    from almenara.trust.hybrid import HybridKey
    from almenara.trust.judged import Judged
    from almenara.trust.proposal import Base, Proposal
    from almenara.trust.rolekeys import Quorum, Thresholds

BATCH_SCHEMA = "Batch"
"""The schema that members seal; a federation begins with the one of this version alone."""

PROPOSALS = "proposals"
"""Where proposals wait, in the federation's folder."""

DIRECTORY = "directory"

FIRST = "root-1-targets-1.json"
"""The name of the first version's proposal."""

_FOLDER_MODE = 0o700
_PUBLIC_MODE = 0o644


class Founding(NamedTuple):
    """What a new directory says, and who signs it; for the roles that `named` leaves out keys are made."""

    name: str
    title: str
    retention_days: int
    bootstrap: str
    thresholds: Thresholds
    named: Mapping[str, Sequence[HybridKey]]


class Waiting(NamedTuple):
    """A proposal that waits for signatures, and where."""

    path: Path
    judged: Judged

    def error(self) -> Unavailable:
        """Return what to say to whoever wants to change the directory meanwhile."""
        changed = ", ".join(self.judged.proposal.files) or "no target, but who signs or until when"
        missing = ", and ".join(missing_signatures(self.judged)) or "it has all signatures"
        return Unavailable(
            Code.SIGNATURES_MISSING,
            f"directory: a change waits for signatures (it concerns {changed}; {missing}); each holder runs: "
            f"almenara directory sign {self.path} --key KEY; then: almenara directory publish {self.path}, "
            "and this command again; or remove that file to withdraw it",
            retry_after_s=3600.0,
        )


def founded(folder: Path) -> bool:
    """Tell whether a directory was begun in a federation's folder, be it signed already or not."""
    return (folder / DIRECTORY / "metadata").is_dir() or (folder / PROPOSALS / FIRST).exists()


def found_directory(folder: Path, wish: Founding, *, now: datetime) -> Path | None:
    """Make a directory with the region as its one audience, and publish it if its quorums can sign here.

    Returns where its first version waits for signatures, None if it is published. Raises Refused FORMAT
    for the name, Misconfigured CONFIGURATION if one was begun here or a quorum cannot be met. A crash
    leaves a folder to remove.
    """
    federation_name(wish.name)
    if founded(folder):
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{folder / DIRECTORY}: exists already and nothing is overwritten; name another folder",
        )
    (folder / DIRECTORY).mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    repository = Repository.new(folder / DIRECTORY)
    region = AudienceFile(kind=AudienceKind.REGION, title=wish.title, retention_days=wish.retention_days)
    repository.set_target(audience_target(REGION), encode_target(region))
    federation = FederationFile(
        federation=wish.name, bootstrap=wish.bootstrap, schemas=(sha256_hex(BATCH_SCHEMA),)
    )
    repository.set_target(FEDERATION_TARGET, encode_target(federation))
    proposal = repository.founding(wish.thresholds, named=wish.named, by=_who(), now=now)
    judged = judge(proposal, repository.base, now=now)
    directory_of(judged)
    if missing_signatures(judged):
        return save(folder, proposal)
    repository.install(proposal, now)
    return None


def open_repository(folder: Path) -> Repository:
    """Return the directory of a federation's folder, one of which nothing is published yet included.

    Raises Misconfigured CONFIGURATION if none was begun there.
    """
    directory = folder / DIRECTORY
    if not (directory / "metadata").is_dir() and (folder / PROPOSALS / FIRST).exists():
        return Repository.new(directory)
    return Repository.open(directory)


def require_published(folder: Path) -> Repository:
    """Return the directory of a federation's folder; raise SIGNATURES_MISSING before its first version."""
    repository = open_repository(folder)
    if repository.version == 0:
        first = folder / PROPOSALS / FIRST
        raise Unavailable(
            Code.SIGNATURES_MISSING,
            f"{folder}: the first version of its directory waits for signatures; each holder runs: almenara "
            f"directory sign {first} --key KEY; then: almenara directory publish {first}",
            retry_after_s=3600.0,
        )
    return repository


def waiting(folder: Path, base: Base, *, now: datetime) -> Waiting | None:
    """Return the proposal that waits in a federation's folder; one whose time has passed waits no more.

    Raises Refused naming a file there that is no sound proposal.
    """
    for path in _files(folder):
        try:
            return Waiting(path, judge(read(path), base, now=now))
        except Refused as error:
            # Another version was published, or it has ended: it can never be published any more.
            if error.code not in (Code.CONFLICT, Code.DIRECTORY_EXPIRED):
                raise Refused(error.code, f"{path}: {error.text}") from error
    return None


def submit(
    folder: Path, repository: Repository, *, now: datetime, root: Root | None = None
) -> Waiting | None:
    """Sign what was set with the keys at hand; publish it, or return where it waits for the others.

    Raises Unavailable SIGNATURES_MISSING if another waits already, DirectoryRefused for what no reader
    would take.
    """
    other = waiting(folder, repository.base, now=now)
    if other is not None:
        raise other.error()
    proposal = repository.propose(by=_who(), now=now, root=root)
    judged = judge(proposal, repository.base, now=now)
    directory_of(judged)
    if missing_signatures(judged):
        return Waiting(save(folder, proposal), judged)
    repository.install(proposal, now)
    return None


def rotation(
    repository: Repository,
    *,
    role: str,
    quorum: Quorum,
    add: Sequence[HybridKey],
    remove: Sequence[str],
    now: datetime,
) -> Root:
    """Return a next root that lets other keys sign for a role; for an online role alone one is made here.

    That key takes the place of those before it. Raises Misconfigured CONFIGURATION for keys that do
    not make this quorum. A crash leaves a key that signs for nothing.
    """
    root = renewal(repository, now=now)
    if role in ONLINE and not (add or remove):
        number = 1
        while (path := repository.keys / f"{role}-{number}.json").exists():
            number += 1
        add = [create_role_key(path, holder=path.stem).public]
        remove = list(root.roles[role].keyids)
    rotate(root, role, add=add, remove=remove, threshold=quorum.threshold)
    keys = len(root.roles[role].keyids)
    if keys != quorum.keys:
        raise Misconfigured(
            Code.CONFIGURATION, f"quorum of {role}: {quorum} with {keys} keys; add or remove some, or say so"
        )
    return root


def renewal(repository: Repository, *, now: datetime) -> Root:
    """Return a next root that says the same for another year."""
    return next_root(repository.in_force.root, expires=now.replace(microsecond=0) + ROOT_LIFETIME)


def publish(folder: Path, repository: Repository, proposals: Sequence[Proposal], *, now: datetime) -> int:
    """Publish a proposal by the signatures of all its copies, the waiting one's too; return the version.

    Raises what `Repository.install` and `directory_of` raise, Refused CONFLICT if they are not copies
    of one proposal. Signatures that came so far are kept where the proposal waits.
    """
    whole = proposals[0]
    path = folder / PROPOSALS / whole.name
    copies = [*proposals[1:], read(path)] if path.exists() else proposals[1:]
    for copy in copies:
        whole = merged(whole, copy)
    judged = judge(whole, repository.base, now=now)
    directory_of(judged)
    if missing_signatures(judged):
        save(folder, whole)
    version = repository.install(whole, now)
    path.unlink(missing_ok=True)
    return version


def read(path: Path) -> Proposal:
    """Return the proposal of a file; raise Misconfigured CONFIGURATION if it cannot be read."""
    try:
        with path.open("rb") as file:
            return parse_proposal(file.read(PROPOSAL_MAX + 1))
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{path}: cannot be read ({exc.strerror}); name the proposal's file"
        ) from exc


def save(folder: Path, proposal: Proposal) -> Path:
    """Write a proposal to where it waits, and return the path."""
    path = folder / PROPOSALS / proposal.name
    path.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    write(path, proposal)
    return path


def write(path: Path, proposal: Proposal) -> None:
    """Write a proposal's file, old or new, whole or not at all; raise Misconfigured if it cannot be."""
    try:
        replace_file(path, proposal.to_bytes(), mode=_PUBLIC_MODE)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{path}: cannot be written ({exc.strerror}); name a folder that you own",
        ) from exc


def can_publish(repository: Repository, *, now: datetime) -> bool:
    """Tell whether the keys at hand meet the quorum of the targets."""
    proposal = repository.propose(by=_who(), now=now)
    return not missing_signatures(judge(proposal, repository.base, now=now))


def _files(folder: Path) -> list[Path]:
    return sorted((folder / PROPOSALS).glob("*.json"))


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""
