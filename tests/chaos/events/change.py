"""The coordinator changes something while all goes on: another audience, another certificate."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from almenara import clock
from almenara.trust.directory import AudienceKind
from almenara.trust.secretfile import replace_file
from chaos.events.event import Event, MemberEvent

if TYPE_CHECKING:
    from random import Random

    from almenara.model.ids import MemberId
    from chaos.scene import Scene

NUMBERS = 1 << 32


class NewAudience(Event, frozen=True, kw_only=True):
    """Make an audience of all members: a new directory, topics, rules, and heartbeats on new streams."""

    number: int

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return "new audience"

    @property
    def victim(self) -> str:
        """Return what it changes."""
        return "directory"

    async def up(self, scene: Scene) -> None:
        """Wait for nothing: whoever keeps the folder may do this while no daemon runs."""

    async def do(self, scene: Scene) -> None:
        """Sign a directory that has one more audience."""
        await new_audience(scene, self.number)


class Renewal(MemberEvent, frozen=True, kw_only=True):
    """Give a member a new TLS certificate, which its node is to take up while it runs."""

    @property
    def kind(self) -> str:
        """Return its row in the table."""
        return "new certificate"

    @property
    def victim(self) -> str:
        """Return what it changes."""
        return f"admission of {self.member}"

    async def up(self, scene: Scene) -> None:
        """Wait for nothing: a node that is down takes it up when it starts."""

    async def do(self, scene: Scene) -> None:
        """Put the newer admission into the member's folder."""
        await new_certificate(scene, self.member)


def draw_audience(random: Random, _member: MemberId) -> NewAudience:
    """Draw a change of the directory; its number makes the audience's name."""
    return NewAudience(number=random.randrange(NUMBERS))


def draw_renewal(_random: Random, member: MemberId) -> Renewal:
    """Draw a renewal of the member's certificate."""
    return Renewal(member=member)


async def new_audience(scene: Scene, number: int) -> None:
    """Make an audience that holds all members."""
    name = f"op-{number:08x}"
    await asyncio.to_thread(
        scene.site.federation.create_audience,
        name,
        kind=AudienceKind.SUB_REGION,
        members=frozenset(scene.members),
        title=f"Storm {name}",
        now=clock.now(),
    )


async def new_certificate(scene: Scene, member: MemberId) -> None:
    """Have a member's certificate issued anew, and put it where its node looks."""
    settings = scene.settings(member)
    enrolment = settings.enrolment_path.read_bytes()
    admission = await asyncio.to_thread(scene.site.federation.admit, enrolment, now=clock.now())
    replace_file(settings.admission_path, admission.to_bytes())
