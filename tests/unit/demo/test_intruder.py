"""The forgery of the demonstration fails at its signature, and at nothing before or beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.demo.intruder import forged_withdrawal
from almenara.errors import Code, RecordRefused
from almenara.model.bodies import RiskAlertWithdrawal
from almenara.model.messages import Message
from almenara.model.rules import check
from almenara.trust.admit import VerifiedStatement, admit, open_statement, read_statement, unwrap_sender_key
from almenara.trust.signer import sign_record
from almenara.wire.records import parse_record
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import AR, KEYS, NOW, PE, directory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def author() -> Author:
    author = Author()
    author.says(alert(1))
    return author


@pytest.fixture
def forged(author: Author, tmp_path: Path) -> bytes:
    return forged_withdrawal(
        author.records[0],
        alert(1).message_id,
        directory=directory(),
        key_file=tmp_path / "intruder.json",
        now=NOW,
    )


def test_a_reader_refuses_it_for_its_signature(author: Author, forged: bytes, tmp_path: Path) -> None:
    with pytest.raises(RecordRefused) as refused:
        admit(forged, stream=author.stream, directory=directory(), now=NOW)
    assert refused.value.code == Code.BAD_SIGNATURE
    reader = ReaderSite(tmp_path)
    assert reader.reads(*author.records, forged).delivered == 1


def test_with_the_authors_key_it_would_withdraw_the_alert(
    author: Author, forged: bytes, tmp_path: Path
) -> None:
    record = parse_record(forged)
    genuine = sign_record(KEYS[PE].signing, record.payload_type, record.payload, record.content)
    assert ReaderSite(tmp_path).reads(*author.records, genuine).delivered == 2

    verified = admit(genuine, stream=author.stream, directory=directory(), now=NOW)
    assert isinstance(verified, VerifiedStatement)
    read = read_statement(verified)
    key = unwrap_sender_key(read, [KEYS[AR].sealing])
    (opened,) = open_statement(read, reader=AR, sender_key=key, directory=directory()).messages
    assert isinstance(opened.message, Message)
    check(opened.message, now=NOW)
    assert isinstance(opened.message.body, RiskAlertWithdrawal)
    assert opened.message.body.target == alert(1).message_id
