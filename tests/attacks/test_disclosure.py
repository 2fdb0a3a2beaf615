"""What does the operator learn? Marked words are looked for wherever it could look (THREATS 12).

The operator owns the broker's disk and memory, and the coordinator's folder, log and memory. A search
counts only if it finds what must be there, so each looks for something of that kind too.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from sqlalchemy import select

import almenara
from alerts import new_alert
from almenara import logs
from almenara.bus import bound
from almenara.model.alert import Goods, Party, RiskAlert
from almenara.model.codes import Language
from almenara.model.messages import Text
from almenara.store.database import Store
from almenara.store.tables import outbox, sender_key
from attacks.conftest import MEMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from almenara.model.messages import Message
    from almenara.node.settings import MemberSettings
    from node_site import NodeSite

pytestmark = [pytest.mark.attacks, pytest.mark.integration]

READER, AUTHOR, OTHER = MEMBERS
TITLE, NARRATIVE, PARTY, GOODS = (
    f"CANARY-{word}-5f3a91" for word in ("TITLE", "NARRATIVE", "PARTY", "GOODS")
)
# Recipients as they stand in a batch (each after its length) and in a store.
LISTED = b"\x12X-QUETZAL\x0eX-TUCAN"
LISTED_AS_TEXT = b"X-QUETZAL X-TUCAN"
PATIENCE_S = 60


def marked() -> Message:
    alert = new_alert(texts=(Text(lang=Language.ES, title=TITLE, narrative=NARRATIVE),))
    assert isinstance(alert.body, RiskAlert)
    goods, party = Goods(hs="0803", description=GOODS), Party(role="CONSIGNEE", name=PARTY)
    return replace(alert, body=replace(alert.body, goods=(goods,), parties=(party,)))


def secrets(settings: MemberSettings) -> Iterator[bytes]:
    """Return the private keys of a member: raw as memory would hold them, or as their file does."""
    for path in settings.keys.glob("*.json"):
        held = json.loads(path.read_bytes())
        if "secret" in held:
            secret = b64decode(held["secret"])
            yield from (secret[-32:], secret[:32], held["secret"].encode())
    yield settings.tls_key_path.read_bytes().splitlines()[2]


def sender_keys(settings: MemberSettings) -> list[bytes]:
    """Return the sender keys that a member holds, its own and those announced to it."""
    store = Store.open(settings.store_path)
    try:
        return [row.key for row in store.read_now(lambda c: c.execute(select(sender_key)).all()) if row.key]
    finally:
        store.close()


def records(settings: MemberSettings) -> list[bytes]:
    """Return the records that a member has made."""
    store = Store.open(settings.store_path)
    try:
        return [row.record for row in store.read_now(lambda c: c.execute(select(outbox)).all())]
    finally:
        store.close()


def files(*folders: Path) -> Iterator[bytes]:
    """Return what stands in every file under the folders."""
    for folder in folders:
        yield from (path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def memory(pid: int) -> Iterator[bytes]:
    """Return every part of a process's memory that has pages and can be read."""
    with Path(f"/proc/{pid}/mem").open("rb", 0) as mem:
        for part in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{pid}/smaps").read_text()):
            place = re.match(r"(\w+)-(\w+) r", part)
            if place is not None and re.search(r"^Rss: +[1-9]", part, re.MULTILINE) and "[v" not in part:
                begin, end = int(place[1], 16), int(place[2], 16)
                mem.seek(begin)
                yield mem.read(end - begin)


def forms(word: bytes) -> Iterator[bytes]:
    """Return how a word may stand in a file: as it is, in hexadecimal, and within base64."""
    yield word
    yield word.hex().encode()
    for before in range(3):
        # What its neighbours have no part in: six bits make a character.
        end = (before + len(word)) * 8 // 6
        yield b64encode(bytes(before) + word)[-(-before * 8 // 6) : end]


def found(
    wanted: Iterable[bytes], parts: Iterable[bytes], *, forms: Callable[[bytes], Iterable[bytes]] = forms
) -> set[bytes]:
    """Return those that occur anywhere, in any form."""
    looked_for = [(form, word) for word in wanted for form in forms(word)]
    return {word for part in parts for form, word in looked_for if form in part}


def as_it_is(word: bytes) -> Iterator[bytes]:
    yield word


@contextmanager
def coordinator(site: NodeSite, log: Path) -> Iterator[int]:
    """Run the coordinator in a process of its own; lend its id once it has connected."""
    program = [
        sys.executable,
        "-m",
        "almenara.cli",
        "coordinator",
        "run",
        "--state",
        str(site.federation.folder),
    ]
    with log.open("wb") as stream:
        process = subprocess.Popen(bound.command(program), stderr=stream, stdout=stream)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


async def test_marked_words_names_lists_and_keys_reach_no_place_of_the_operators(
    site: NodeSite, tmp_path: Path
) -> None:
    log, node_log = tmp_path / "coordinator.log", tmp_path / "nodes.log"
    with coordinator(site, log) as pid, node_log.open("w") as stream:
        logs.configure(stream=stream, level="debug", as_json=True)
        async with (
            almenara.connect(site[AUTHOR]) as author,
            almenara.connect(site[READER]) as reader,
            almenara.connect(site[OTHER]) as other,
        ):
            to_all, listed = marked(), marked()
            handles = [await author.publish(to_all), await author.publish(listed, to=[READER, OTHER])]
            for handle in handles:
                assert (await handle.received(timeout=PATIENCE_S)).received == (READER, OTHER)
            async with asyncio.timeout(PATIENCE_S):
                while b"coordinator.connected" not in log.read_bytes():  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            told = [str(await bus.node.streams()).encode() for bus in (author, reader, other)]
            told += [str(await bus.node.status()).encode() for bus in (author, reader, other)]
            held = await reader.node.show(listed.message_id)
            assert TITLE in str(held), "it was there to be found"

        words = [word.encode() for word in (TITLE, NARRATIVE, PARTY, GOODS)]
        keys = [key for member in MEMBERS for key in (*secrets(site[member]), *sender_keys(site[member]))]
        hidden = [*words, LISTED, LISTED_AS_TEXT, *keys]
        said = records(site[AUTHOR])[0]
        folder, disk = site.federation.folder, site.broker.folder

        assert found([*hidden, said], files(disk)) == {said}
        assert found([*hidden, b"Customs of X-TUCAN"], files(folder)) == {b"Customs of X-TUCAN"}
        topic = b"ams.region.x-tucan"
        assert found([*hidden, topic], memory(pid), forms=as_it_is) == {topic}
        kafka = site.broker.nodes[0].pid
        assert kafka
        assert found([*words, LISTED, topic], memory(kafka), forms=as_it_is) == {topic}
    assert found([*hidden, b"coordinator.stopped"], [log.read_bytes()]) == {b"coordinator.stopped"}
    assert found([*hidden, b"directory.in_force"], [node_log.read_bytes()]) == {b"directory.in_force"}
    assert found(hidden, told) == set()
    own = files(site[READER].state)
    assert found(words, own) == set(words), "the reader itself has it"
