"""Sender keys shared by who may not, or that are none: they open nothing and hide nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from almenara.errors import Code, MessageRefused
from almenara.model.ids import REGION, Stream
from almenara.publisher.shares import share_message
from almenara.store.quarantine import refusals
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import AR, CL, ENROLMENTS, NOW, PE, directory, enrol, targets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from almenara.store.owed import Debt

pytestmark = pytest.mark.attacks

AR_KEYLESS = directory(targets(ENROLMENTS[PE], enrol(AR, sealing=False), ENROLMENTS[CL]))
AR_KEYED = directory(version=2)


@pytest.fixture
def author() -> Author:
    """Return PE after it said an alert to all while AR had no sealing key."""
    author = Author()
    author.says(alert(1), known=AR_KEYLESS)
    return author


@pytest.fixture
def reader(author: Author, tmp_path: Path) -> ReaderSite:
    """Return AR with that alert, closed to it."""
    reader = ReaderSite(tmp_path)
    reader.reads(*author.records, known=AR_KEYLESS)
    return reader


def codes(reader: ReaderSite) -> list[str]:
    return [refusal.code for refusal in reader.store.read_now(refusals)]


def test_another_members_word_opens_nothing_of_the_stream(author: Author, reader: ReaderSite) -> None:
    thief = Author(CL)
    thief.debts = author.debts  # the very keys of PE's stream
    shared = thief.shares(AR, known=AR_KEYED)
    reader.stream = Stream(REGION, CL)
    reader.reads(shared, known=AR_KEYED)
    reader.stream = author.stream
    reader.reads(known=AR_KEYED)
    assert reader.ids == []
    assert codes(reader) == [Code.KEY_MISSING]
    assert reader.reads((1, author.shares(AR, known=AR_KEYED)), known=AR_KEYED).delivered == 1


WRONG: dict[str, Callable[[Debt], Debt]] = {
    "another key under its id": lambda debt: replace(debt, key=bytes(32)),
    "noise, as for a list of others": lambda debt: replace(debt, owed=replace(debt.owed, entitled=False)),
    "its key under another id": lambda debt: replace(debt, owed=replace(debt.owed, key_id=bytes(32))),
    "its key for another epoch": lambda debt: replace(debt, owed=replace(debt.owed, epoch=1)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_key_opens_nothing_and_the_alarm_stays(
    author: Author, reader: ReaderSite, wrong: Callable[[Debt], Debt]
) -> None:
    author.debts = [wrong(debt) for debt in author.debts]
    reader.reads((1, author.shares(AR, known=AR_KEYED)), known=AR_KEYED)
    assert reader.ids == []
    assert codes(reader) == [Code.KEY_MISSING]


def test_keys_go_to_one_member_alone(author: Author) -> None:
    shared = share_message(author.debts, now=NOW)
    for to in (None, (AR, CL)):
        with pytest.raises(MessageRefused) as refused:
            author.says(shared, to=to, known=AR_KEYED)
        assert ("$.body.keys", Code.CONFLICT) in [(f.path, f.code) for f in refused.value.faults]
