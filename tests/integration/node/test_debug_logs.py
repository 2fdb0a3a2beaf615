"""At debug level, with every library's word, no node logs a key, a text, or whom a list names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import almenara
from almenara import logs
from almenara.bus.kafka import Sender
from almenara.errors import MessageRefused, Refused
from almenara.model.ids import REGION, MemberId, Stream
from almenara.store.database import Store
from almenara.store.outbox import statement_after
from almenara.wire.chain import NOWHERE, Place
from almenara.wire.records import parse_record, parse_statement
from almenara.wire.seal import StreamContext, statement_key
from attacks.test_disclosure import GOODS, NARRATIVE, PARTY, TITLE, forms, found, marked, secrets, sender_keys
from patience import until

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.client import Handle
    from almenara.node.settings import MemberSettings
    from node_site import NodeSite

pytestmark = pytest.mark.integration

AUTHOR, READER = "BO", "UY"
CANARY = "CANARY-REFUSED-5f3a91"


def statement_keys(settings: MemberSettings) -> list[bytes]:
    """Return the keys of the member's own statements, by each sender key that it holds."""
    heads, place = [], Place(*NOWHERE)
    store = Store.open(settings.store_path)
    try:
        while said := store.read_now(lambda connection: statement_after(connection, REGION, place)):  # noqa: B023
            heads.append(parse_statement(parse_record(said.record).payload).head)
            place = Place(said.epoch, said.seq)
    finally:
        store.close()
    keys = sender_keys(settings)
    return [statement_key(key, StreamContext.of(head), head.seq) for head in heads for key in keys]


async def _confirmed(handle: Handle) -> None:
    await until(handle.confirmations, lambda confirmed: READER in confirmed.received)


async def test_no_secret_is_logged_whatever_comes(
    site: NodeSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMENARA_LOG", "debug")
    log = tmp_path / "node.log"
    topic = Stream(REGION, MemberId(AUTHOR)).topic(site.federation.name)
    with log.open("w") as stream:
        logs.configure(stream=stream, as_json=False)
        async with (
            almenara.connect(site[AUTHOR]) as author,
            almenara.connect(site[READER]) as reader,
            Sender(site.broker.bootstrap, site.context(AUTHOR)) as sender,
        ):
            await _confirmed(await author.publish(marked()))
            listed = await author.publish(marked(), to=[READER])
            await _confirmed(listed)
            with pytest.raises(MessageRefused):
                await author.publish({"kind": "RISK_ALERT", "reference": CANARY, "texts": CANARY})
            junk = [b"no record", CANARY.encode() * 10]
            await sender.send(topic, junk)
            await until(reader.node.quarantine, lambda kept: {each.record for each in kept}.issuperset(junk))
            with pytest.raises(Refused):
                await reader.node.export(listed.message_id, publisher=MemberId("CL"))

    members = [site[member] for member in (AUTHOR, READER)]
    keys = [key for settings in members for key in (*sender_keys(settings), *statement_keys(settings))]
    private = [key for settings in members for key in secrets(settings)]
    words = [word.encode() for word in (TITLE, NARRATIVE, PARTY, GOODS, CANARY)]
    lists = [b"\x04UY\x00", b"['UY']", b"('UY',)"]
    assert len(keys) >= 4
    assert len(private) >= 6
    written = log.read_bytes()
    assert {level for level in (b"[debug", b"aiokafka") if level in written} == {b"[debug", b"aiokafka"}
    present = b"directory.in_force"
    assert found([*keys, *private, *words, *lists, present], [written], forms=forms) == {present}
