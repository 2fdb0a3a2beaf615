"""A receipt bounds the time of a statement, and two statements of one place prove themselves, offline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from almenara.clock import from_micros, to_micros
from almenara.errors import AlmenaraError, Code, StatementRefused
from almenara.model.json import parse_message
from almenara.trust.directory import MemberStatus
from almenara.trust.enrolment import SigningKeyEntry
from almenara.trust.exported import verify_exported
from almenara.trust.exportfile import ExportedRecord, Receipted, parse_exported
from almenara.trust.targets import member_target
from almenara.wire.messages import encode_batch, encode_message
from almenara.wire.records import without_content
from almenara.wire.seal import SenderKey, StreamContext, new_sender_key, statement_key
from unit.trust.export_site import Site
from unit.trust.federation import (
    AR,
    CL,
    DAY,
    ENROLMENTS,
    NOW,
    PE,
    REGION,
    enrol,
    member_file,
    new_keys,
    targets,
)
from unit.trust.statements import CONTEXT, alert, heartbeat, statement

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.model.ids import MemberId
    from almenara.model.messages import Message
    from almenara.trust.exported import VerifiedExport
    from almenara.trust.signer import SignedStatement

MINUTE_US = 60_000_000
TOLD_AT = to_micros(NOW) + MINUTE_US


def _chain(length: int) -> list[SignedStatement]:
    made = [statement()]
    for seq in range(5, 4 + length):
        made.append(statement(seq=seq, prev=made[-1].hash))
    return made


S, L5, L6 = _chain(3)
READER_KEYS = {member: new_sender_key() for member in (AR, CL)}


def _context(member: MemberId) -> StreamContext:
    return StreamContext(federation="ams", audience=REGION, publisher=member, epoch=CONTEXT.epoch)


def received(
    hash_: bytes,
    *,
    seq: int,
    epoch: int = CONTEXT.epoch,
    excepted: tuple[dict[str, Any], ...] = (),
    author: str = PE,
) -> Message:
    """Return a receipt that names one statement."""
    entry = {"publisher": author, "epoch": epoch, "seq": seq, "hash": hash_.hex(), "excepted": excepted}
    document = {"kind": "RECEIPT", "handling": {"tlp": "AMBER"}, "body": {"received": [entry]}}
    return parse_message(json.dumps(document), now=NOW)


def receipt(message: Message, *, member: MemberId = AR, seq: int = 9, **changes: Any) -> Receipted:  # noqa: ANN401
    key: SenderKey = READER_KEYS.get(member) or new_sender_key()
    made = statement(
        member,
        context=_context(member),
        seq=seq,
        sender_key=key,
        elicits_receipt=False,
        batch=encode_batch((), [encode_message(message)]),
        **{"issued_at": TOLD_AT, **changes},
    )
    return Receipted(member=member, record=made.record, k_s=statement_key(key.key, _context(member), seq))


LINKS = (without_content(L5.record), without_content(L6.record))
OF_L6 = receipt(received(L6.hash, seq=6))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


def judged(site: Site, **changes: Any) -> VerifiedExport:  # noqa: ANN401 - any field
    fields: dict[str, Any] = {"links": LINKS, "receipts": (OF_L6,), "record": S.record}
    file = parse_exported(site.exported(**{**fields, **changes}).to_bytes())
    return verify_exported(file, fingerprint=site.fingerprint)


def test_a_receipt_of_another_member_bounds_the_time(site: Site) -> None:
    verified = judged(site)
    (told,) = verified.receipts
    assert (told.member, told.place, told.hash, told.code) == (AR, (CONTEXT.epoch, 6), L6.hash, "")
    assert from_micros(told.statement.head.issued_at) == from_micros(TOLD_AT)
    assert [link.head.seq for link in verified.links] == [5, 6]
    assert verified.messages is not None


def test_a_receipt_of_the_statement_itself_needs_no_link(site: Site) -> None:
    verified = judged(site, links=(), receipts=(receipt(received(S.hash, seq=4)),))
    assert verified.receipts[0].place == (CONTEXT.epoch, 4)


def test_several_readers_may_name_several_places(site: Site) -> None:
    both = (OF_L6, receipt(received(L5.hash, seq=5), member=CL))
    assert [each.member for each in judged(site, receipts=both).receipts] == [AR, CL]


def test_what_a_reader_says_it_did_not_open_is_told(site: Site) -> None:
    excepted = ({"first_seq": 3, "last_seq": 4, "code": "KEY_MISSING"},)
    told = receipt(received(L6.hash, seq=6, excepted=excepted))
    assert judged(site, receipts=(told,)).receipts[0].code == "KEY_MISSING"
    other = ({"first_seq": 5, "last_seq": 5, "code": "KEY_MISSING"},)
    told = receipt(received(L6.hash, seq=6, excepted=other))
    assert judged(site, receipts=(told,)).receipts[0].code == ""


def test_a_later_epoch_that_stands_by_the_statement_is_a_link(site: Site) -> None:
    later = StreamContext(federation="ams", audience=REGION, publisher=PE, epoch=CONTEXT.epoch + 1000)
    opener = statement(context=later, seq=0, prev=S.hash)
    told = receipt(received(opener.hash, seq=0, epoch=later.epoch))
    verified = judged(site, links=(without_content(opener.record),), receipts=(told,))
    assert verified.receipts[0].place == (later.epoch, 0)
    assert verified.receipts[0].code == ""


def test_an_author_and_a_reader_that_have_left_are_judged_by_the_directory_in_the_file(
    tmp_path: Path,
) -> None:
    left = {
        member_target(member): member_file(ENROLMENTS[member], status=MemberStatus.LEFT)
        for member in (PE, AR)
    }
    gone = Site(tmp_path, {**targets(), **left})
    assert judged(gone, directory_at=NOW).receipts[0].member == AR


WRONG: dict[str, tuple[dict[str, Any], Code]] = {
    "a link is missing": ({"links": LINKS[1:]}, Code.BROKEN_LINK),
    "the last link is missing": ({"links": LINKS[:1]}, Code.BROKEN_LINK),
    "links in another order": ({"links": LINKS[::-1]}, Code.BROKEN_LINK),
    "a link twice": ({"links": (LINKS[0], *LINKS)}, Code.BROKEN_LINK),
    "a link of another history": (
        {"links": (without_content(statement(seq=5, prev=bytes(32)).record), LINKS[1])},
        Code.BROKEN_LINK,
    ),
    "a link of another member": (
        {"links": (without_content(statement(AR, seq=5, prev=S.hash).record),)},
        Code.STREAM_OWNER,
    ),
    "a heartbeat for a link": ({"links": (heartbeat(),)}, Code.PAYLOAD_TYPE),
    "a receipt of nothing in the file": (
        {"receipts": (receipt(received(L6.hash, seq=7)),)},
        Code.BROKEN_LINK,
    ),
    "a receipt of another hash": ({"receipts": (receipt(received(bytes(32), seq=6)),)}, Code.BROKEN_LINK),
    "a receipt of another author": (
        {"receipts": (receipt(received(L6.hash, seq=6, author=CL)),)},
        Code.BROKEN_LINK,
    ),
    "no receipt in it": ({"receipts": (receipt(alert()),)}, Code.BROKEN_LINK),
    "the author's own receipt": (
        {"receipts": (receipt(received(L6.hash, seq=6), member=PE),)},
        Code.CONFLICT,
    ),
    "a receipt under another name": (
        {"receipts": (Receipted(member=CL, record=OF_L6.record, k_s=OF_L6.k_s),)},
        Code.STREAM_OWNER,
    ),
    "a receipt with another key": (
        {"receipts": (Receipted(member=AR, record=OF_L6.record, k_s=bytes(32)),)},
        Code.KEY_COMMITMENT,
    ),
    "a receipt without its content": (
        {"receipts": (Receipted(member=AR, record=without_content(OF_L6.record), k_s=OF_L6.k_s),)},
        Code.CONTENT_HASH,
    ),
    "a heartbeat for a receipt": (
        {"receipts": (Receipted(member=AR, record=heartbeat(AR, publisher=AR), k_s=OF_L6.k_s),)},
        Code.PAYLOAD_TYPE,
    ),
    "two statements that agree": ({"rival": L5.record}, Code.CONFLICT),
    "the statement for its own rival": ({"rival": S.record}, Code.CONFLICT),
    "a rival of another member": ({"rival": statement(AR).record}, Code.STREAM_OWNER),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_prove_itself_is_refused_with_its_code(site: Site, name: str) -> None:
    changes, code = WRONG[name]
    with pytest.raises(StatementRefused if code is not Code.CONTENT_HASH else AlmenaraError) as refused:
        judged(site, **changes)
    assert refused.value.code is code
    assert refused.value.exit_status == 1


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_any_changed_byte_of_a_receipt_or_link_is_refused(site: Site) -> None:
    for at in range(0, len(OF_L6.record), 41):
        forged = Receipted(member=AR, record=_flipped(OF_L6.record, at), k_s=OF_L6.k_s)
        with pytest.raises(AlmenaraError):
            judged(site, receipts=(forged,))
    for at in range(0, len(LINKS[0]), 19):
        with pytest.raises(AlmenaraError):
            judged(site, links=(_flipped(LINKS[0], at), LINKS[1]))


FORK = statement(issued_at=to_micros(NOW) + 1)
RIVALS = {
    "another statement at its place": (S, FORK),
    "one above that names another": (S, statement(seq=5, prev=FORK.hash)),
    "one below that is not the one it names": (L5, FORK),
}


@pytest.mark.parametrize("name", RIVALS)
def test_two_statements_that_cannot_stand_in_one_chain_prove_themselves(site: Site, name: str) -> None:
    held, rival = (without_content(each.record) for each in RIVALS[name])
    verified = judged(site, record=held, rival=rival, k_s=None, schema="", links=(), receipts=())
    assert verified.rival is not None
    assert verified.rival.statement_hash != verified.statement.statement_hash
    assert verified.messages is None


def test_a_key_of_one_statement_opens_no_neighbour(site: Site) -> None:
    for neighbour, links in ((L5, LINKS[1:]), (L6, ())):
        with pytest.raises(StatementRefused) as refused:
            judged(site, record=neighbour.record, links=links)
        assert refused.value.code is Code.KEY_COMMITMENT


def test_it_verifies_decades_later(site: Site) -> None:
    file = site.exported(links=LINKS, receipts=(OF_L6,), record=S.record, exported_at=NOW + 9000 * DAY)
    assert isinstance(file, ExportedRecord)
    assert verify_exported(file, fingerprint=site.fingerprint).receipts[0].member == AR


OLD = new_keys().signing
"""PE's signing key until it was replaced."""

END = NOW + 2 * DAY


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return the site once PE has another signing key."""
    retired = SigningKeyEntry(
        key_id=OLD.key_id, spki=OLD.spki, public=OLD.public, valid_from=NOW, valid_until=END
    )
    files = {**targets(), member_target(PE): member_file(enrol(PE, retired=(retired,)))}
    return Site(tmp_path_factory.mktemp("later"), files)


def by_old_key(**changes: Any) -> SignedStatement:  # noqa: ANN401 - any argument
    return statement(PE, key=OLD, **changes)


E1 = by_old_key()
EPOCH_2 = StreamContext(federation="ams", audience=REGION, publisher=PE, epoch=CONTEXT.epoch + 1000)
OPENER = statement(context=EPOCH_2, seq=0, prev=E1.hash)


def test_what_a_key_signed_that_has_ended_is_refused_where_nothing_shows_it(later: Site) -> None:
    late = to_micros(END) + MINUTE_US
    for receipts in ((), (receipt(received(E1.hash, seq=4), issued_at=late),)):
        with pytest.raises(StatementRefused) as refused:
            judged(later, record=E1.record, links=(), receipts=receipts)
        assert refused.value.code is Code.KEY_NOT_VALID


def test_it_counts_where_its_author_stands_by_it_with_another_key(later: Site) -> None:
    verified = judged(later, record=E1.record, links=(without_content(OPENER.record),), receipts=())
    assert verified.statement.ended
    assert not verified.links[0].ended


def test_it_counts_where_a_reader_held_it_before_the_end(later: Site) -> None:
    verified = judged(later, record=E1.record, links=(), receipts=(receipt(received(E1.hash, seq=4)),))
    assert verified.receipts[0].before_end


def test_two_statements_of_an_ended_key_prove_nothing_against_its_owner(later: Site) -> None:
    fork = by_old_key(issued_at=to_micros(NOW) + 1)
    told = (receipt(received(E1.hash, seq=4)),)
    with pytest.raises(StatementRefused) as refused:
        judged(later, record=E1.record, rival=fork.record, links=(), receipts=told)
    assert refused.value.code is Code.KEY_NOT_VALID
