"""Where does a demonstration live, and how is its federation made? One folder, as by hand.

    STATE/federation/    the coordinator's folder, with the broker's data
    STATE/PE/, ...       a folder for each member, as `almenara member init` makes it

The commands of the command line would do the same, one by one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from almenara import clock
from almenara.coordinator.federation import Federation
from almenara.coordinator.sync import Cluster
from almenara.errors import Code, Misconfigured
from almenara.model.ids import REGION, MemberId
from almenara.node.member_folder import init_member
from almenara.node.settings import load_settings
from almenara.trust.secretfile import replace_file

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from almenara.model.ids import AudienceId
    from almenara.node.settings import MemberSettings
    from almenara.trust.directory import AudienceKind

_PUBLIC_MODE = 0o644


class Site:
    """The folder of a demonstration: its federation and its members."""

    def __init__(self, folder: Path, federation: Federation, members: Collection[MemberId]) -> None:
        self.folder = folder
        self.federation = federation
        self.members: Mapping[MemberId, MemberSettings] = {
            member: load_settings(member_folder(folder, member), environ={}) for member in members
        }

    @property
    def stores(self) -> Mapping[MemberId, Path]:
        """Return every member's store."""
        return {member: settings.store_path for member, settings in self.members.items()}


def federation_folder(folder: Path) -> Path:
    """Return the coordinator's folder in that of a demonstration."""
    return folder / "federation"


def member_folder(folder: Path, member: MemberId) -> Path:
    """Return a member's folder in that of a demonstration."""
    return folder / member


def found(folder: Path, *, name: str) -> Federation:
    """Found the federation of a demonstration; raise Misconfigured if the folder is in use."""
    if folder.exists() and any(folder.iterdir()):
        raise Misconfigured(
            Code.CONFIGURATION, f"{folder}: not empty; name another folder with --state, or remove this one"
        )
    return Federation.init(federation_folder(folder), name=name, now=clock.now())


async def admit_members(folder: Path, federation: Federation, members: Collection[MemberId]) -> Site:
    """Make the members' folders and admit them, in one version of the directory.

    The broker must have been started once: an admission says where it is.
    """

    def work() -> None:
        for member in members:
            init_member(
                member_folder(folder, member),
                member=member,
                federation=federation.name,
                name=_name(member),
                now=clock.now(),
            )
        enrolments = [(member_folder(folder, member) / "enrolment.json").read_bytes() for member in members]
        for admission in federation.admit_all(enrolments, now=clock.now()):
            path = member_folder(folder, MemberId(admission.member)) / "admission.json"
            replace_file(path, admission.to_bytes(), mode=_PUBLIC_MODE)

    await asyncio.to_thread(work)
    return Site(folder, federation, members)


def make_audiences(
    federation: Federation,
    audiences: Mapping[AudienceId, Collection[MemberId]],
    kinds: Mapping[AudienceId, tuple[AudienceKind, str]],
) -> None:
    """Make the audiences beside the region, each of its kind and with its title."""
    for audience, members in audiences.items():
        if audience == REGION:
            continue
        kind, title = kinds[audience]
        federation.create_audience(
            audience, kind=kind, title=title, members=frozenset(members), now=clock.now()
        )


async def synchronize(federation: Federation) -> int:
    """Bring topics, access and directory to the cluster, and return the directory's version."""
    async with Cluster.connect(federation) as cluster:
        outcome = await cluster.sync(federation, now=clock.now())
    return outcome.version


def _name(member: MemberId) -> str:
    import pycountry

    country = pycountry.countries.get(alpha_2=member)
    return member if country is None else f"Customs of {country.name}"
