"""The broker tells who may write where without a record being written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.bus.kafka import Reader
from almenara.bus.kafka.probe import writable
from almenara.errors import Code, Unavailable
from almenara.model.ids import MemberId

if TYPE_CHECKING:
    from broker_site import Site

pytestmark = pytest.mark.integration

PE, AR = MemberId("PE"), MemberId("AR")


async def test_a_probe_finds_what_may_be_written_and_writes_nothing(broker: Site) -> None:
    await broker.open_audience("may-write", [PE, AR])
    topics = ["ams.may-write.ar", "ams.may-write.pe", "ams.may-not.ar"]
    assert await writable(broker.bootstrap, broker.member(AR), topics) == {"ams.may-write.ar"}
    topics.append("ams.never.ar")
    assert await writable(broker.bootstrap, broker.operator(), topics) == set(topics[:2])
    async with Reader(broker.bootstrap, broker.member(AR)) as reader:
        assert await reader.end_offset("ams.may-write.ar") == 0


async def test_a_broker_that_is_away_is_unavailable(broker: Site) -> None:
    with pytest.raises(Unavailable) as away:
        await writable("127.0.0.1:1", broker.member(AR), ["ams.may-write.ar"], request_timeout_s=2)
    assert away.value.code is Code.BROKER_DOWN
