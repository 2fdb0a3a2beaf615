"""How does an import publish as a member, and how does it know what is new?

A stream only grows: what the node places at or before the place where our stream ended when the import
began was there already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from almenara.errors import Code, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from almenara.client import Bus
    from almenara.imports.importing import Publish
    from almenara.model.ids import AudienceId, MemberId
    from almenara.model.messages import Message


class Outlet(NamedTuple):
    """One member's way to publish to an audience, and the members of that audience."""

    member: MemberId
    members: AbstractSet[MemberId]
    publish: Publish


async def open_outlet(bus: Bus, audience: AudienceId) -> Outlet:
    """Return the outlet of the member that the bus is connected as.

    Raises Misconfigured if the member is not in the audience, Unavailable if the node is away.
    """
    views = [view for view in await bus.node.streams() if view.audience == audience]
    own = next((view for view in views if view.own), None)
    if own is None:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"audience {audience}: this member is not in it; ask the coordinator, or correct the mapping",
        )
    before = (own.epoch, own.seq)

    async def publish(message: Message, to: AudienceId) -> bool:
        accepted = (await bus.publish(message, audience=to)).accepted
        return (accepted.epoch, accepted.seq) > before

    return Outlet(own.publisher, frozenset(view.publisher for view in views), publish)
