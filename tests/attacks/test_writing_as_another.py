"""Who wrote it? Every certificate with every signing key, on the real broker (THREATS 1 and 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from almenara.bus.admin import Admin
from almenara.bus.kafka import Reader, Sender
from almenara.bus.principals import member_principal
from almenara.bus.topics import AclRule, Operation
from almenara.errors import Code, Refused
from almenara.model.ids import REGION, Stream
from almenara.store import inbox
from almenara.store.quarantine import refusals
from almenara.trust.targets import member_target
from almenara.wire.records import Signature, encode_record, pae, parse_record
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import (
    AR,
    CL,
    DAY,
    KEYS,
    NOW,
    PE,
    UY,
    directory,
    enrol,
    member_file,
    new_keys,
    targets,
)

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from almenara.trust.directory import Directory
    from almenara.trust.keys import SigningKey
    from broker_site import Site

pytestmark = [pytest.mark.attacks, pytest.mark.integration]

STREAM = Stream(REGION, PE)
TOPIC = STREAM.topic("ams")
ENDED, COMING = new_keys(), new_keys()
SAID = Author().says(alert(1))


def known() -> Directory:
    """Return a directory in which PE has, beside its key in force, one that has ended and one to come."""
    ended = replace(enrol(PE, ENDED, at=NOW - 30 * DAY).signing_keys[0], valid_until=NOW - DAY)
    coming = replace(enrol(PE, COMING, at=NOW + 30 * DAY).signing_keys[0], valid_until=NOW + 60 * DAY)
    file = member_file(enrol(PE, retired=(ended, coming)))
    return directory({**targets(), member_target(PE): file})


def signed_by(key: SigningKey, *, under: SigningKey | None = None) -> bytes:
    """Return PE's first statement, signed by this key, under its own id or that of another."""
    record = parse_record(SAID)
    signature = Signature(
        key_id=(under or key).key_id, signature=key.sign(pae(record.payload_type, record.payload))
    )
    return encode_record(replace(record, signatures=(signature,)))


# By whose key it is signed, and what a reader makes of it.
SIGNED: dict[str, tuple[bytes, str]] = {
    "PE's key": (signed_by(KEYS[PE].signing), "delivered"),
    "AR's key": (signed_by(KEYS[AR].signing), Code.STREAM_OWNER),
    "AR's key under PE's id": (
        signed_by(KEYS[AR].signing, under=KEYS[PE].signing),
        Code.BAD_SIGNATURE,
    ),
    "a key of nobody": (signed_by(KEYS[UY].signing), Code.UNKNOWN_KEY),
    "a key of PE that has ended": (signed_by(ENDED.signing), Code.KEY_NOT_VALID),
    "a key of PE that has yet to begin": (signed_by(COMING.signing), Code.KEY_NOT_VALID),
}


def contexts(site: Site) -> dict[str, tuple[ssl.SSLContext, bool]]:
    """Return each certificate, and whether the broker lets it write PE's topic."""
    return {
        "PE's": (site.member(PE), True),
        "the operator's": (site.operator(), True),
        "AR's": (site.member(AR), False),
        "PE's of another generation": (site.member(PE, generation=2), False),
    }


@pytest.mark.parametrize("certificate", ["PE's", "the operator's", "AR's", "PE's of another generation"])
async def test_only_pe_s_key_speaks_for_pe_whatever_certificate_wrote_it(
    broker: Site, tmp_path: Path, certificate: str
) -> None:
    await broker.open_audience(REGION, [PE, AR, CL])
    context, lets_write = contexts(broker)[certificate]
    async with (
        Sender(broker.bootstrap, context) as sender,
        Reader(broker.bootstrap, broker.member(CL)) as reader,
    ):
        before = await reader.end_offset(TOPIC)
        if not lets_write:
            with pytest.raises(Refused) as refused:
                await sender.send(TOPIC, [record for record, _ in SIGNED.values()])
            assert refused.value.code is Code.BROKER_REFUSES
            assert await reader.end_offset(TOPIC) == before
            return
        await sender.send(TOPIC, [record for record, _ in SIGNED.values()])
        written = await reader.read_from(TOPIC, before)
    found = {}
    for name, received in zip(SIGNED, written, strict=True):
        (folder := tmp_path / name).mkdir()
        site = ReaderSite(folder, CL)
        delivered = site.reads(received.value, known=known()).delivered
        codes = [refusal.code for refusal in site.store.read_now(refusals)]
        row = site.store.read_now(inbox.chains)[STREAM]
        found[name] = codes[0] if codes else row.wait_code or "delivered"
        assert (delivered == 1) == (found[name] == "delivered")
        assert (row.seq == 0) == (found[name] == "delivered"), "no chain was touched"
    assert found == {name: verdict for name, (_, verdict) in SIGNED.items()}


async def test_a_member_that_a_broker_without_rules_lets_in_still_cannot_speak_for_another(
    broker: Site, tmp_path: Path
) -> None:
    """A rule too many stands for a broker without rules: AR's own connection writes PE's topic."""
    await broker.open_audience(REGION, [PE, AR, CL])
    rule = AclRule(principal=member_principal(AR, 1), operation=Operation.WRITE, name=TOPIC)
    author, intruder = Author(), Author(AR)
    async with Admin(broker.bootstrap, broker.operator()) as admin:
        await admin.create_acls([rule])
        try:
            async with (
                Sender(broker.bootstrap, broker.member(AR)) as as_ar,
                Sender(broker.bootstrap, broker.member(PE)) as as_pe,
                Reader(broker.bootstrap, broker.member(CL)) as reader,
            ):
                before = await reader.end_offset(TOPIC)
                await as_pe.send(TOPIC, [author.says(alert(1))])
                await as_ar.send(TOPIC, [intruder.says(alert(2)), intruder.beats()])
                await as_pe.send(TOPIC, [author.says(alert(3))])
                written = await reader.read_from(TOPIC, before)
        finally:
            await admin.delete_acls([rule])
    site = ReaderSite(tmp_path, CL)
    site.reads(*[(received.offset, received.value) for received in written])
    refused = site.store.read_now(refusals)
    assert [(each.code, each.proven) for each in refused] == [(Code.STREAM_OWNER, True)] * 2
    assert site.ids == [alert(1).message_id, alert(3).message_id], "PE's own stream goes on undisturbed"
