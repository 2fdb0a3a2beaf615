"""A member whose sealing key the directory did not list reads what was said meanwhile, once it does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from alerts import new_alert
from almenara import clock
from almenara.errors import Code
from almenara.node.identity import load_keys
from almenara.trust.enrolment import make_enrolment, read_enrolment
from buses import connected, ids_held
from patience import PATIENCE_S

if TYPE_CHECKING:
    from almenara.client import Bus
    from almenara.node.settings import MemberSettings
    from node_site import NodeSite

pytestmark = pytest.mark.integration


def enrolled_again(settings: MemberSettings, *, keyed: bool) -> bytes:
    """Return an enrolment of the same keys, with or without the sealing key."""
    keys = load_keys(settings)
    before = read_enrolment(settings.enrolment_path.read_bytes())
    return make_enrolment(
        federation=before.federation,
        member=before.member,
        name=before.name,
        signing_key=keys.signing[0],
        sealing_key=keys.sealing[0] if keyed else None,
        checkpoint_key=keys.checkpoint[0],
        tls_request=before.tls_request.encode(),
        now=clock.now(),
    )


async def closed(bus: Bus, publisher: str) -> bool:
    """Tell, after a moment, whether something of the publisher's is closed to this member for its key."""
    await asyncio.sleep(0.2)
    kept = await bus.node.quarantine(limit=1000)
    return any((each.publisher, each.code) == (publisher, Code.KEY_MISSING) for each in kept)


async def test_what_was_said_while_a_member_was_keyless_reaches_it_later(site: NodeSite) -> None:
    said = set()
    async with connected(site, "EC", "UY") as (ec, uy):
        site.federation.admit(enrolled_again(site["UY"], keyed=False), now=clock.now())
        await site.sync()
        async with asyncio.timeout(PATIENCE_S):
            while not await closed(uy, "EC"):
                for to in (None, ["UY"], ["PY"]):
                    alert = new_alert()
                    await ec.publish(alert, to=to)
                    said |= {alert.message_id} if to != ["PY"] else set()
        site.federation.admit(enrolled_again(site["UY"], keyed=True), now=clock.now())
        await site.sync()
        found = await ids_held(uy, sender="EC", until=said)
        assert len(found) == len(set(found))
        async with asyncio.timeout(PATIENCE_S):
            while await closed(uy, "EC"):
                continue
