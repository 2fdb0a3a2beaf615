"""Keys change under a node that runs; a store restored or lost is noticed, and nothing accepted is lost."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from alerts import new_alert
from almenara import clock
from almenara.errors import Code, Refused
from almenara.node.answers import StreamState
from almenara.node.node import open_epochs
from almenara.node.rotation import rotate
from almenara.node.settings import load_settings
from buses import connected, ids_held, stream
from patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from almenara.client import Bus
    from almenara.node.answers import EvidenceView
    from node_site import NodeSite

pytestmark = pytest.mark.integration


async def test_keys_rotate_under_a_node_that_runs_and_nothing_is_lost(trio: NodeSite) -> None:
    """Before, while and after: each message once, and what was sealed to the old key stays readable."""
    settings = trio["PE"]
    async with connected(trio, "PE", "AR") as (pe, ar):
        before = new_alert()
        await pe.publish(before, audience="trio")
        epoch = (await stream(pe, "PE", StreamState.OK, audience="trio")).epoch
        made = rotate(settings, signing=True, sealing=True, now=clock.now())
        trio.federation.admit(settings.enrolment_path.read_bytes(), now=clock.now())
        sent, received = [before], []
        await trio.sync()
        async with asyncio.timeout(PATIENCE_S):
            while (await stream(pe, "PE", StreamState.OK, audience="trio")).epoch == epoch:
                sent.append(new_alert())
                await pe.publish(sent[-1], audience="trio")
                received.append(new_alert())
                await ar.publish(received[-1], audience="trio", to=["PE"])
        received.append(new_alert())
        await ar.publish(received[-1], audience="trio", to=["PE"])
        wanted = {alert.message_id for alert in sent}
        found = await ids_held(ar, sender="PE", until=wanted)
        assert len(found) == len(set(found))
        mine = await ids_held(pe, sender="AR", until={alert.message_id for alert in received})
        assert len(mine) == len(set(mine))
        (shown,) = await pe.node.show(before.message_id)
        assert shown.message == before
        refused = {kept.code for kept in await ar.node.quarantine(limit=1000) if kept.publisher == "PE"}
        assert Code.KEY_NOT_VALID not in refused
        assert not [each for each in await ar.node.evidence() if each.publisher == "PE"]
    directory = trio.federation.published(clock.now()).directory
    assert made.signing is not None
    assert directory.members[settings.member].signing_key_ids() == (made.signing.key_id,)


def store_files(store: Path) -> Iterator[Path]:
    return store.parent.glob(f"{store.name}*")


async def test_a_restored_store_is_noticed_before_it_says_anything(site: NodeSite) -> None:
    """Even with the broker away: what is accepted meanwhile stands in a new epoch, and arrives."""
    store = site["EC"].store_path
    backup = store.with_suffix(".backup")
    first, lost, meanwhile, after = (new_alert() for _ in range(4))
    async with connected(site, "BO") as (bo,):
        async with connected(site, "EC") as (ec,):
            await ec.publish(first)
        shutil.copyfile(store, backup)
        async with connected(site, "EC") as (ec,):
            await ec.publish(lost)
            await ids_held(bo, sender="EC", until={first.message_id, lost.message_id})
        for leftover in store_files(store):
            leftover.unlink()
        backup.rename(store)
        away = load_settings(
            site["EC"].file,
            environ={"ALMENARA_BOOTSTRAP": "127.0.0.1:1", "ALMENARA_PUBLISHER_DRAIN_S": "0.1"},
        )
        site.members["EC"], here = away, site["EC"]
        try:
            async with connected(site, "EC") as (ec,):
                await ec.publish(meanwhile)
        finally:
            site.members["EC"] = here
        async with connected(site, "EC") as (ec,):
            await ec.publish(after)
            wanted = {alert.message_id for alert in (first, lost, meanwhile, after)}
            found = await ids_held(bo, sender="EC", until=wanted)
            assert len(found) == len(set(found))
            await stream(ec, "EC", StreamState.OK)
        evidence = [each.kind for each in await bo.node.evidence() if each.publisher == "EC"]
    assert set(evidence) == {"TRUNCATED"}


async def test_a_lost_store_says_nothing_before_its_member_stands_by_the_broker(site: NodeSite) -> None:
    store = site["PY"].store_path
    before, after = new_alert(), new_alert()
    async with connected(site, "BO") as (bo,):
        async with connected(site, "PY") as (py,):
            await py.publish(before)
            await ids_held(bo, sender="PY", until={before.message_id})
            of_other_tests = await evidence_on("PY", bo)
        for file in store_files(store):
            file.unlink()
        site["PY"].marks_path.unlink()
        async with connected(site, "PY") as (py,):
            with pytest.raises(Refused, match="almenara epoch open") as caught:
                await py.publish(after)
            assert caught.value.code is Code.BROKER_AHEAD
            await stream(py, "PY", StreamState.STOPPED)
        open_epochs(site["PY"])
        async with connected(site, "PY") as (py,):
            await py.publish(after)
            await ids_held(bo, sender="PY", until={before.message_id, after.message_id})
            await stream(py, "PY", StreamState.OK)
        assert await evidence_on("PY", bo) == of_other_tests, "nothing taken back"


async def evidence_on(publisher: str, bus: Bus) -> list[EvidenceView]:
    return [each for each in await bus.node.evidence() if each.publisher == publisher]
