"""A store gives out the receipts and links that prove a statement, and two statements of one place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from almenara.cli.proof import proof_page, proof_report
from almenara.clock import to_micros
from almenara.errors import Code, MessageRefused, RecordRefused, Refused
from almenara.model.codes import Kind
from almenara.model.ids import Stream
from almenara.model.json import parse_message
from almenara.node.evidence import Proof, proof_of, rival_of
from almenara.node.opening import Found, find_statement
from almenara.store.inbox import record_at
from almenara.trust.evidence import opened_by
from almenara.trust.exported import VerifiedExport, verify_exported
from almenara.wire.records import encode_record, parse_record, statement_hash
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.subscriber.test_checkpoint import FILES, KNOWN, Closing
from unit.trust.export_site import Site
from unit.trust.federation import AR, CL, DAY, NOW, PE, REGION, directory

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from almenara.model.messages import Message
    from almenara.trust.exportfile import ExportedRecord

EPOCH = to_micros(NOW) // 1000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture
def author() -> Author:
    return Author()


@pytest.fixture
def reader(tmp_path: Path) -> ReaderSite:
    return ReaderSite(tmp_path, CL)


def receipt(author: Author, seq: int) -> Message:
    """Return a receipt of the author's statement at that place."""
    entry = {
        "publisher": PE,
        "epoch": EPOCH,
        "seq": seq,
        "hash": statement_hash(parse_record(author.records[seq]).payload).hex(),
    }
    document = {"kind": "RECEIPT", "handling": {"tlp": "AMBER"}, "body": {"received": [entry]}}
    return parse_message(json.dumps(document), now=NOW)


def proven(reader: ReaderSite, number: int) -> tuple[Found, Proof]:
    """Return the statement of an alert and what the reader's store has to prove it with."""

    def work(connection: object) -> tuple[Found, Proof]:
        found = find_statement(connection, alert(number).message_id, member=CL, publisher=None)  # type: ignore[arg-type]
        return found, proof_of(connection, found, receipts=True, member=CL, directory=directory(), now=NOW)  # type: ignore[arg-type]

    return reader.store.read_now(work)


def hear(reader: ReaderSite, *, pe: list[bytes], ar: list[bytes]) -> None:
    """Let the reader read both streams."""
    reader.reads(*pe)
    reader.stream = Stream(REGION, AR)
    reader.reads(*ar)


def test_the_first_receipt_that_covers_a_statement_is_taken_with_its_links(
    site: Site, author: Author, reader: ReaderSite
) -> None:
    for number in range(4):
        author.says(alert(number))
    witness = Author(AR)
    for seq in (0, 2, 3):
        witness.says(receipt(author, seq))
    hear(reader, pe=author.records, ar=witness.records)
    found, proof = proven(reader, 1)
    assert [each.member for each in proof.receipts] == [AR]
    assert len(proof.links) == 1
    verified = verify_exported(
        site.exported(record=found.record, k_s=None, schema="", links=proof.links, receipts=proof.receipts),
        fingerprint=site.fingerprint,
    )
    assert verified.receipts[0].place == (EPOCH, 2)


def test_what_the_file_discloses_of_a_witness_is_its_receipt_alone(
    site: Site, author: Author, reader: ReaderSite
) -> None:
    author.says(alert(0))
    witness = Author(AR)
    witness.says(alert(7), receipt(author, 0))
    hear(reader, pe=author.records, ar=witness.records)
    found, proof = proven(reader, 0)
    verified = verify_exported(
        site.exported(record=found.record, k_s=None, schema="", receipts=proof.receipts),
        fingerprint=site.fingerprint,
    )
    (told,) = verified.receipts
    disclosed = opened_by(proof.receipts[0].k_s, told.statement).messages
    assert [each.kind for each in disclosed if not isinstance(each, MessageRefused)] == [Kind.RECEIPT]


def test_a_receipt_beyond_a_gap_proves_nothing(author: Author, reader: ReaderSite) -> None:
    for number in range(4):
        author.says(alert(number))
    witness = Author(AR)
    witness.says(receipt(author, 3))
    reader.reads((0, author.records[0]))
    reader.reads((3, author.records[3]))
    reader.reads((3, author.records[3]), at=NOW + DAY)
    hear(reader, pe=[], ar=witness.records)
    assert reader.store.read_now(lambda c: record_at(c, author.stream, EPOCH, 3)) is not None
    assert proven(reader, 0)[1] == Proof()


def test_without_a_receipt_there_is_none(author: Author, reader: ReaderSite) -> None:
    author.says(alert(0))
    witness = Author(AR)
    witness.says(alert(8))
    hear(reader, pe=author.records, ar=witness.records)
    assert proven(reader, 0)[1] == Proof()


def rivals(reader: ReaderSite, site: Site) -> VerifiedExport:
    stream = Stream(REGION, PE)
    held, rival = reader.store.read_now(lambda c: rival_of(c, stream, directory=directory(), now=NOW))
    file: ExportedRecord = site.exported(record=held, rival=rival, k_s=None, schema="")
    return verify_exported(file, fingerprint=site.fingerprint)


def test_two_statements_for_one_place_are_exported_and_shown_as_such(
    site: Site, author: Author, reader: ReaderSite
) -> None:
    author.says(alert(0))
    before = author.head
    author.says(alert(1))
    author.head = before
    fork = author.says(alert(2))
    reader.reads(*author.records)
    verified = rivals(reader, site)
    assert verified.rival is not None
    assert verified.rival.statement_hash == statement_hash(parse_record(fork).payload)
    report = proof_report(verified)
    assert (report["verdict"], report["author"]) == ("EQUIVOCATION", "PE")
    page = "\n".join(proof_page(verified, ""))
    assert page.startswith("EQUIVOCATION   PE, Customs of PE signed two statements")
    assert report["hash"] in page
    assert report["rival"]["hash"] in page


def test_a_statement_on_another_past_is_exported_against_the_one_that_is_held(
    site: Site, author: Author, reader: ReaderSite
) -> None:
    author.says(alert(0))
    before = author.head
    author.says(alert(1))
    author.head = before
    author.says(alert(2))
    above = author.says(alert(3))
    reader.reads(author.records[0], author.records[1], above)
    verified = rivals(reader, site)
    assert verified.rival is not None
    assert verified.rival.head.seq == verified.statement.head.seq + 1


def test_an_author_that_never_contradicts_itself_gives_no_such_evidence(
    site: Site, author: Author, reader: ReaderSite
) -> None:
    author.says(alert(0))
    reader.reads(*author.records)
    with pytest.raises(Refused) as refused:
        rivals(reader, site)
    assert refused.value.code is Code.UNKNOWN_MESSAGE


def test_evidence_leads_to_the_next_checkpoint(tmp_path: Path) -> None:
    site, author, reader = Site(tmp_path / "site", FILES), Closing(), ReaderSite(tmp_path, CL)
    author.says(alert(0))
    author.says(alert(1))
    author.closes()
    author.says(alert(2))
    reader.reads(*author.records, known=KNOWN)

    def evidence(number: int, *, receipts: bool = True) -> ExportedRecord:
        def work(connection: Connection) -> tuple[Found, Proof]:
            found = find_statement(connection, alert(number).message_id, member=CL, publisher=None)
            proof = proof_of(connection, found, receipts=receipts, member=CL, directory=KNOWN, now=NOW)
            return found, proof

        found, proof = reader.store.read_now(work)
        return site.exported(record=found.record, k_s=None, schema="", links=proof.links)

    covered = verify_exported(evidence(0), fingerprint=site.fingerprint)
    assert covered.checkpoint is not None
    assert [link.head.seq for link in covered.links] == [1, 2]
    assert proof_report(covered)["post_quantum_to"] == f"{covered.checkpoint.head.epoch}/2"
    assert "signed with ML-DSA-65 too" in "\n".join(proof_page(covered, ""))

    assert evidence(0, receipts=False).links == ()
    after = verify_exported(evidence(2), fingerprint=site.fingerprint)
    assert (after.checkpoint, after.links) == (None, ())
    assert proof_report(after)["post_quantum_to"] is None

    exported = evidence(0)
    closing = parse_record(exported.links[-1])
    stripped = encode_record(replace(closing, signatures=closing.signatures[:1]))
    with pytest.raises(RecordRefused) as refusal:
        verify_exported(
            replace(exported, links=(*exported.links[:-1], stripped)), fingerprint=site.fingerprint
        )
    assert refusal.value.code is Code.UNSIGNED
