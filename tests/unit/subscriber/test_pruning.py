"""Of a list that is not for this member the store keeps the link, and the link is enough for the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec.structs import replace
from sqlalchemy import text

from almenara.clock import to_micros
from almenara.store import inbox
from almenara.store.quarantine import evidence_of, refusals
from almenara.trust.admit import admit_link
from almenara.trust.keys import SealingKey
from almenara.trust.signer import make_statement
from almenara.wire.messages import encode_batch, encode_message
from almenara.wire.records import GENESIS_PREV, Scope, parse_record, statement_hash, without_content
from almenara.wire.seal import StreamContext, new_sender_key, wrap_all
from unit.subscriber.stream import GAP_WAIT, Author, ReaderSite, alert
from unit.trust.federation import AR, CL, KEYS, NOW, PE, REGION, directory

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS = 186
"""The largest federation planned for (SPEC, limits)."""

ANNOUNCEMENTS = 5
LISTS = (None, (AR,), (AR,))


@pytest.fixture
def author() -> Author:
    return Author()


@pytest.fixture
def outsider(tmp_path: Path) -> ReaderSite:
    """CL, whom no list of these tests names."""
    return ReaderSite(tmp_path, CL)


def kept(site: ReaderSite) -> list[bytes]:
    rows = site.store.read_now(
        lambda c: c.execute(text("SELECT record FROM statement ORDER BY epoch, seq")).all()
    )
    return [row.record for row in rows]


def test_the_link_alone_is_kept_of_what_is_not_for_this_member(author: Author, tmp_path: Path) -> None:
    to_all, announced, later = (author.says(alert(number), to=to) for number, to in enumerate(LISTS))
    named, other = ReaderSite(tmp_path, AR), ReaderSite(tmp_path, CL)
    for site in (named, other):
        site.reads(*author.records)
    assert kept(named) == [to_all, announced, later]
    assert kept(other) == [to_all, without_content(announced), without_content(later)]


def test_what_cannot_be_opened_yet_is_kept_whole_until_it_proves_not_to_be_for_this_member(
    author: Author, outsider: ReaderSite
) -> None:
    first = author.says(alert(0))
    announcement, later = author.says(alert(1), to=(AR,)), author.says(alert(2), to=(AR,))
    outsider.reads(first)
    outsider.reads((2, later))
    outsider.reads((2, later), at=NOW + GAP_WAIT)
    assert kept(outsider) == [first, later]
    outsider.reads((1, announcement), at=NOW + GAP_WAIT)
    assert kept(outsider) == [first, without_content(announcement), without_content(later)]


def test_a_link_knows_a_replay_from_a_fork_also_after_a_restart(author: Author, outsider: ReaderSite) -> None:
    said = [author.says(alert(number), to=(AR,)) for number in range(3)]
    twin = Author()
    twin.says(alert(0), to=(AR,))
    fork = twin.says(alert(9), to=(AR,))
    outsider.reads(*said)
    outsider.restarts()
    outsider.reads((3, said[1]), (4, said[0]))
    assert outsider.store.read_now(evidence_of) == []
    outsider.reads((5, fork))
    (evidence,) = outsider.store.read_now(evidence_of)
    assert (evidence.kind, evidence.seq, evidence.record) == ("EQUIVOCATION", 1, fork)
    assert evidence.known_hash == statement_hash(parse_record(said[1]).payload)
    assert outsider.store.read_now(refusals) == []


def test_a_gap_between_links_is_filled_and_an_epoch_that_gives_one_up_shows_it(
    author: Author, outsider: ReaderSite
) -> None:
    first = author.says(alert(0), to=(AR,))
    stands_by = author.head
    second, third = author.says(alert(1), to=(AR,)), author.says(alert(2), to=(AR,))
    outsider.reads(first)
    outsider.reads((2, third))
    outsider.reads((2, third), at=NOW + GAP_WAIT)
    assert outsider.store.read_now(inbox.gaps)
    outsider.reads((3, second), at=NOW + GAP_WAIT)
    assert outsider.store.read_now(inbox.gaps) == {}
    assert stands_by is not None
    author.head = replace(stands_by, fresh_epoch=True)
    opened = author.says(alert(3), to=(AR,), at=NOW + GAP_WAIT)
    outsider.reads((4, opened), at=NOW + GAP_WAIT)
    evidence = outsider.store.read_now(evidence_of)
    assert [(each.kind, each.seq) for each in evidence] == [("TRUNCATED", 1), ("TRUNCATED", 2)]
    for each, record in zip(evidence, (second, third), strict=True):
        assert each.record == without_content(record)
        link = admit_link(each.record, stream=author.stream, directory=directory(), now=NOW)
        assert (link.statement_hash, link.head.seq) == (each.hash, each.seq)


def large_list(seq: int, prev: bytes, slots: list[SealingKey]) -> tuple[bytes, bytes]:
    """Return record and hash of an announcement with a slot for each, for AR alone."""
    key = new_sender_key()
    context = StreamContext(federation="ams", audience=REGION, publisher=PE, epoch=to_micros(NOW) // 1000)
    signed = make_statement(
        KEYS[PE].signing,
        context=context,
        seq=seq,
        prev=prev,
        issued_at=to_micros(NOW),
        directory_version=1,
        scope=Scope.LIST,
        elicits_receipt=True,
        sender_key=key,
        key_wraps=wrap_all(
            key,
            context=context,
            slots={each.key_id: each.public for each in slots},
            entitled={KEYS[AR].sealing.key_id},
            own=KEYS[PE].sealing.key_id,
        ),
        batch=encode_batch((AR,), [encode_message(replace(alert(seq), recipients=(AR,)))]),
    )
    return signed.record, signed.hash


def size_of(site: ReaderSite) -> int:
    def ask(name: str) -> int:
        return int(site.store.read_now(lambda c: c.execute(text(f"PRAGMA {name}")).scalar_one()))

    return ask("page_count") * ask("page_size")


def test_an_announcement_in_the_largest_federation_leaves_less_than_2_kb_where_it_is_not_for(
    tmp_path: Path,
) -> None:
    others = [
        SealingKey(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())
        for _ in range(MEMBERS - len(KEYS))
    ]
    slots = [keys.sealing for keys in KEYS.values()] + others
    prev, records = GENESIS_PREV, []
    for seq in range(ANNOUNCEMENTS):
        record, prev = large_list(seq, prev, slots)
        records.append(record)
    assert len(parse_record(records[0]).content) > MEMBERS * 1_168

    grown = {}
    for member in (AR, CL):
        site = ReaderSite(tmp_path, member)
        before = size_of(site)
        site.reads(*records)
        grown[member] = size_of(site) - before
        assert len(site.ids) == (ANNOUNCEMENTS if member == AR else 0)
    assert grown[AR] > ANNOUNCEMENTS * MEMBERS * 1_168
    assert grown[CL] < ANNOUNCEMENTS * 2_048
