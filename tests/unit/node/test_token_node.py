"""A node whose signing key is in a token publishes with it, and lives on while the token is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
import structlog

from alerts import new_alert
from almenara import clock
from almenara.coordinator.federation import Federation
from almenara.errors import Code, Unavailable
from almenara.model.ids import REGION, MemberId, Stream
from almenara.node.member_folder import init_member
from almenara.node.node import sole_node
from almenara.node.settings import load_settings
from almenara.store import outbox
from almenara.store.database import Store
from almenara.trust.admit import VerifiedStatement, admit

if TYPE_CHECKING:
    from pathlib import Path

    from soft_token import SoftToken

PE = MemberId("PE")
NO_BROKER = "127.0.0.1:1"


@pytest.mark.softhsm
async def test_a_node_signs_in_a_token_and_outlives_its_absence(token: SoftToken, tmp_path: Path) -> None:
    federation = Federation.init(tmp_path / "D", name="ams", now=clock.now(), bootstrap=NO_BROKER)
    folder = tmp_path / "PE"
    init_member(folder, member="PE", federation="ams", name="Peru", now=clock.now(), signing_key=token.uri())
    assert not (folder / "keys" / "signing.json").exists()
    settings = load_settings(folder, environ={"ALMENARA_PUBLISHER_DRAIN_S": "0.1"})
    fast = msgspec.structs.replace(settings.publisher, heartbeat_interval_s=0.05)
    settings = msgspec.structs.replace(settings, publisher=fast)
    enrolment = (folder / "enrolment.json").read_bytes()
    settings.admission_path.write_bytes(federation.admit(enrolment, now=clock.now()).to_bytes())

    stopping = asyncio.Event()
    with structlog.testing.capture_logs() as logs:
        async with sole_node(settings) as node, asyncio.TaskGroup() as tasks:
            assert node.service is not None
            running = tasks.create_task(node.run(stopping))
            first = await node.service.publish(new_alert(), audience=REGION)
            token.pull()
            with pytest.raises(Unavailable, match="the token does not answer") as caught:
                await node.service.publish(new_alert(), audience=REGION)
            assert caught.value.code is Code.KEY_AWAY
            async with asyncio.timeout(10):
                while not any(entry["event"] == "heartbeat.unsigned" for entry in logs):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            token.plug()
            second = await node.service.publish(new_alert(), audience=REGION)
            assert not running.done()
            stopping.set()
    assert second.seq == first.seq + 1

    store = Store.open(settings.store_path)
    try:
        records = store.read_now(lambda connection: outbox.unsent(connection, REGION, limit=10))
    finally:
        store.close()
    for each in records:
        known = federation.published(clock.now()).directory
        verified = admit(each.record, stream=Stream(REGION, PE), directory=known, now=clock.now())
        assert isinstance(verified, VerifiedStatement)
    assert len(records) == 2
