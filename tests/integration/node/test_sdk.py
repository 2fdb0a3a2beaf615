"""A program publishes, reads and learns who received; the same in its process and over the socket."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from sqlalchemy import select

import almenara
from alerts import new_alert
from almenara.client import inbox_filter
from almenara.errors import Code, MessageRefused, Refused, StatementRefused, Unavailable
from almenara.model.alert import RiskAlert
from almenara.model.codes import Area, Level
from almenara.model.json import message_json
from almenara.node.answers import Confirmed, StreamState
from almenara.node.api import serve
from almenara.node.local import NodeService
from almenara.node.remote import RemoteNode
from almenara.store.database import Store
from almenara.store.tables import statement
from buses import connected, held, inbox, stream
from patience import PATIENCE_S, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from uuid import UUID

    from almenara.client import Bus
    from almenara.model.messages import Message
    from almenara.node.answers import Accepted, Item
    from almenara.node.service import Node
    from almenara.node.settings import MemberSettings
    from node_site import NodeSite

pytestmark = pytest.mark.integration


async def test_an_alert_reaches_the_whole_audience_and_every_reader_confirms(trio: NodeSite) -> None:
    alert = new_alert()
    async with connected(trio, "PE", "AR", "CL") as (pe, ar, cl):
        handle = await pe.publish(alert, audience="trio")
        confirmed = await handle.received(timeout=PATIENCE_S)
        found = [await held(bus, alert.message_id) for bus in (ar, cl)]
    assert confirmed.complete
    assert confirmed.received == ("AR", "CL")
    for item in found:
        assert item.message == alert
        assert (item.publisher, item.audience, item.recipients, item.flags) == ("PE", "trio", (), ())


async def test_who_has_not_confirmed_in_time_is_named(trio: NodeSite) -> None:
    async with connected(trio, "PE") as (pe,):
        handle = await pe.publish(new_alert(), to=["BO", "UY"])  # their nodes do not run
        confirmed = await handle.received(timeout=0.2)
    assert confirmed.waiting == ("BO", "UY")
    assert {each.state for each in confirmed.members} == {Confirmed.WAITING}
    assert not confirmed.complete


async def test_a_list_is_opened_by_its_members_and_by_nobody_else(trio: NodeSite) -> None:
    listed, after = new_alert(), new_alert()
    async with connected(trio, "PE", "AR", "CL") as (pe, ar, cl):
        before = (await cl.node.status()).counts.not_for_me
        handle = await pe.publish(listed, to=["AR"])
        await pe.publish(after)
        assert (await held(ar, listed.message_id)).recipients == ("AR",)
        await held(cl, after.message_id)
        with pytest.raises(Refused) as caught:
            await cl.node.show(listed.message_id)
        counted = (await cl.node.status()).counts.not_for_me
        confirmed = await handle.received(timeout=PATIENCE_S)
    assert caught.value.code is Code.UNKNOWN_MESSAGE
    # What other members said before may be counted meanwhile too: the statement itself is looked up.
    assert counted > before
    assert _verdict(trio["CL"], handle.accepted) == Code.NOT_FOR_ME, "which is no refusal"
    assert [each.member for each in confirmed.members] == ["AR"]
    assert confirmed.complete


def _verdict(settings: MemberSettings, place: Accepted) -> str:
    """Return what a member's store says of PE's statement at a place."""
    wanted = select(statement.c.code).where(
        statement.c.audience == place.audience,
        statement.c.publisher == "PE",
        statement.c.epoch == place.epoch,
        statement.c.seq == place.seq,
    )
    with closing(Store.open(settings.store_path)) as store:
        return str(store.read_now(lambda connection: connection.execute(wanted).scalar_one()))


async def test_the_same_message_again_stays_one_and_another_under_its_id_is_refused(trio: NodeSite) -> None:
    alert = new_alert()
    async with connected(trio, "PE", "AR") as (pe, ar):
        first, again = [(await pe.publish(alert)).accepted for _ in range(2)]
        with pytest.raises(MessageRefused) as caught:
            await pe.publish(replace(alert, reference="PE-2026-999999"))
        with pytest.raises(MessageRefused):
            await pe.publish(alert, to=["AR"])
        last = new_alert()
        await pe.publish(last)
        await held(ar, last.message_id)
        ids = [item.message.message_id for item in await inbox(ar, sender="PE")]
    assert first == again
    assert caught.value.code is Code.MESSAGE_ID_REUSED
    assert ids.count(alert.message_id) == 1


async def test_two_members_may_use_the_same_id(trio: NodeSite) -> None:
    ours = new_alert()
    theirs = replace(new_alert(), message_id=ours.message_id)
    async with connected(trio, "PE", "AR", "CL") as (pe, ar, cl):
        await pe.publish(ours)
        await ar.publish(theirs)
        found = await until(lambda: _shown(cl, ours.message_id), lambda shown: len(shown) == 2)
        with pytest.raises(Refused, match="name the publisher"):
            await cl.node.export(ours.message_id)
        exported = await cl.node.export(ours.message_id, publisher=found[0].publisher)
    assert {item.publisher: item.message for item in found} == {"PE": ours, "AR": theirs}
    assert exported.publisher == found[0].publisher


async def _shown(bus: Bus, message_id: UUID) -> tuple[Item, ...]:
    try:
        return await bus.node.show(message_id)
    except Refused:
        return ()


async def test_a_subscriber_gets_what_it_asked_for_and_goes_on_where_it_was(trio: NodeSite) -> None:
    low = _alert_of(Area.TOBACCO, Level.LOW, hs="240220", origin="PY")
    high = _alert_of(Area.DRUGS, Level.HIGH, hs="080390", origin="EC")
    of_another = _alert_of(Area.WASTE, Level.LOW, hs="391590", origin="US")
    async with connected(trio, "PE", "AR", "CL") as (pe, ar, cl):
        await pe.publish(earlier := new_alert())
        start = (await held(ar, earlier.message_id)).position
        await cl.publish(of_another)
        await held(ar, of_another.message_id)
        for message in (low, high):
            await pe.publish(message)
        # Of PE, whose streams hold nothing more here: others' messages of earlier tests may still come.
        wishes = {
            "area": [i.message async for i in _taken(ar, 1, sender="PE", area="DRUGS", after=start)],
            "level": [i.message async for i in _taken(ar, 1, sender="PE", level="MEDIUM", after=start)],
            "hs": [i.message async for i in _taken(ar, 1, sender="PE", hs=["24"], after=start)],
            "origin": [i.message async for i in _taken(ar, 1, sender="PE", origin="PY", after=start)],
            "sender": [i.message async for i in _taken(ar, 2, sender="PE", after=start)],
        }
        first = [item async for item in _taken(ar, 1, sender="PE", after=start)]
        rest = [item async for item in _taken(ar, 1, sender="PE", after=first[0].position)]
        news = []
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(_first(ar.subscribe(sender="PE", after="new")))
            while not waiting.done():  # what "new" is, is asked at a moment that nothing tells
                news.append(new_alert())
                await pe.publish(news[-1])
                await asyncio.sleep(0.2)
    assert wishes == {"area": [high], "level": [high], "hs": [low], "origin": [low], "sender": [low, high]}
    assert [item.message for item in first + rest] == [low, high]
    assert waiting.result().message in news


def _alert_of(area: Area, level: Level, *, hs: str, origin: str) -> Message:
    alert = new_alert()
    assert isinstance(alert.body, RiskAlert)
    goods = (replace(alert.body.goods[0], hs=hs),)
    return replace(alert, body=replace(alert.body, area=area, level=level, goods=goods, origin=origin))


async def _taken(bus: Bus, number: int, **wanted: Any) -> AsyncIterator[Item]:  # noqa: ANN401 - as subscribe
    async with asyncio.timeout(PATIENCE_S):
        async for item in bus.subscribe(**wanted):
            yield item
            number -= 1
            if not number:
                return


async def _first(items: AsyncIterator[Item]) -> Item:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(items)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"area": "SWEETS"}, Code.UNKNOWN_CODE),
        ({"level": "SEVERE"}, Code.UNKNOWN_CODE),
        ({"kind": ["RISK_ALERT", "GOSSIP"]}, Code.UNKNOWN_CODE),
        ({"hs": "24a"}, Code.FORMAT),
    ],
    ids=["area", "level", "kind", "hs"],
)
async def test_a_filter_that_nothing_can_match_is_refused(wanted: dict[str, Any], code: Code) -> None:
    with pytest.raises(MessageRefused) as caught:
        inbox_filter(**wanted)
    assert caught.value.code is code


async def test_a_socket_answers_as_the_node_itself_does(site: NodeSite, tmp_path: Path) -> None:
    alert = new_alert()
    async with connected(site, "BO", "UY") as (bo, uy):
        assert isinstance(bo.node, NodeService)
        async with (
            serve(bo.node, tmp_path / "bo.sock"),
            serve(uy.node, tmp_path / "uy.sock"),
            almenara.connect(tmp_path / "bo.sock") as far,
            almenara.connect(tmp_path / "uy.sock") as far_uy,
        ):
            assert isinstance(far.node, RemoteNode)
            assert (tmp_path / "bo.sock").stat().st_mode & 0o777 == 0o600
            preview = await far.check(alert, to=["UY"])
            assert preview == await bo.check(alert, to=["UY"])
            handle = await far.publish(message_json(alert), to=["UY"])
            assert handle.accepted == (await bo.publish(alert, to=["UY"])).accepted
            confirmed = await handle.received(timeout=PATIENCE_S)
            assert confirmed.complete
            assert confirmed == await bo.node.confirmations(alert.message_id)
            assert await held(far_uy, alert.message_id) == await held(uy, alert.message_id)
            for name, arguments in {
                "show": (alert.message_id,),
                "find": (str(alert.message_id)[:13],),
                "quarantine": (),
                "evidence": (),
            }.items():
                for near, distant in ((bo.node, far.node), (uy.node, far_uy.node)):
                    # Between two questions a node may read what others said: then both are asked again.
                    await until(
                        partial(_both, near, distant, name, *arguments), lambda both: both[0] == both[1]
                    )
            [(own,), (received,)] = [await node.show(alert.message_id) for node in (far.node, far_uy.node)]
            assert own.message == received.message
            exported = await far_uy.node.export(alert.message_id, disclose=True)
            assert exported.k_s is not None
            assert exported.k_s == (await far.node.export(alert.message_id, disclose=True)).k_s
            near_streams, far_streams = await bo.node.streams(), await far.node.streams()
            assert [(v.audience, v.publisher) for v in near_streams] == [
                (v.audience, v.publisher) for v in far_streams
            ]
            near_status, far_status = await bo.node.status(), await far.node.status()
            assert near_status.counts.published == far_status.counts.published > 0
            assert near_status.started_at == far_status.started_at


async def _both(near: Node, distant: Node, name: str, *arguments: object) -> tuple[object, object]:
    """Return two nodes' answers to one question."""
    return await getattr(near, name)(*arguments), await getattr(distant, name)(*arguments)


async def test_errors_are_the_same_over_the_socket(site: NodeSite, tmp_path: Path) -> None:
    alert = new_alert()
    wrong = message_json(alert)
    wrong["handling"]["tlp"] = "RED"
    wrong["body"]["level"], wrong["body"]["source_grade"] = "CRITICAL", "F"
    async with connected(site, "BO") as (pe,):
        async with serve(pe.node, tmp_path / "n.sock"), almenara.connect(tmp_path / "n.sock") as far:
            caught = []
            for bus in (pe, far):
                with pytest.raises(MessageRefused) as refused:
                    await bus.publish(wrong)
                with pytest.raises(StatementRefused) as unknown:
                    await bus.publish(alert, audience="op-nowhere")
                with pytest.raises(MessageRefused) as nobody:
                    await bus.publish(alert, to=[])
                caught.append((refused.value.faults, unknown.value.text, nobody.value.faults))
            assert caught[0] == caught[1]
            assert {fault.code for fault in caught[0][0]} >= {Code.RED_NEEDS_LIST}
        with pytest.raises(Unavailable) as gone:
            async with RemoteNode(tmp_path / "n.sock", patience_s=0.1) as remote:
                await remote.status()
    assert gone.value.code is Code.NODE_DOWN


async def test_a_held_lease_without_a_socket_names_its_holder(
    site: NodeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("almenara.client.START_WAIT_S", 0.2)
    async with connected(site, "UY"):
        with pytest.raises(Unavailable, match=f"process {os.getpid()}") as caught:
            async with almenara.connect(site["UY"].file):
                pass
    assert caught.value.code is Code.STORE_LOCKED


async def test_what_the_caller_raises_passes_through_and_what_was_published_leaves(site: NodeSite) -> None:
    alert = new_alert()

    async def interrupted() -> None:
        async with connected(site, "BO") as (bo,):
            await bo.publish(alert)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await interrupted()
    async with connected(site, "UY") as (uy,):
        assert (await held(uy, alert.message_id)).message == alert
        await stream(
            uy, "BO", StreamState.OK, StreamState.STALE
        )  # BO's node has ended, and no word is missing
