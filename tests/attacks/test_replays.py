"""Records and ids shown again, anywhere and at any time (THREATS 7 and 27)."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from almenara.errors import Code
from almenara.model.codes import Language
from almenara.model.ids import REGION, Stream
from almenara.model.messages import Text
from almenara.store.database import Store
from almenara.store.quarantine import refusals
from almenara.store.tables import quarantine
from unit.subscriber.stream import Author, ReaderSite, alert
from unit.trust.federation import AR, CONDOR, NOW, PE, directory

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from almenara.trust.directory import Directory

pytestmark = pytest.mark.attacks

YEAR = timedelta(days=365)
HOME = Stream(REGION, PE)


class Shown(NamedTuple):
    """Where and when a genuine record is shown again, and what becomes of it."""

    stream: Stream = HOME
    later: timedelta = timedelta(0)
    known: Directory = directory()
    restarted: bool = False
    codes: tuple[Code, ...] = ()


AGAIN = {
    "on its own topic": Shown(),
    "after a restart of the reader": Shown(restarted=True),
    "a year later": Shown(later=YEAR),
    "on another member's topic": Shown(stream=Stream(REGION, AR), codes=(Code.STREAM_OWNER,)),
    "to another audience": Shown(stream=Stream(CONDOR, PE), codes=(Code.WRONG_STREAM,)),
    "to another federation of the same members": Shown(
        known=replace(directory(), federation="eur"), codes=(Code.WRONG_STREAM,)
    ),
}


@pytest.mark.parametrize("shown", AGAIN.values(), ids=AGAIN.keys())
def test_a_record_shown_again_is_never_delivered_again(tmp_path: Path, shown: Shown) -> None:
    author, site = Author(), ReaderSite(tmp_path)
    records = [author.says(alert(1)), author.says(alert(2), to=(AR,)), author.beats()]
    assert site.reads(*records).delivered == 2
    if shown.restarted:
        site.restarts()
    site.stream = shown.stream
    again = site.reads(*enumerate(records, 10), known=shown.known, at=NOW + shown.later)
    assert again.delivered == 0
    assert len(site.inbox) == 2
    found = {refusal.code for refusal in site.store.read_now(refusals)}
    assert found == set(shown.codes)
    other = ReaderSite(_folder(tmp_path), AR, shown.stream)
    other.reads(*records, known=shown.known, at=NOW + shown.later)
    assert len(other.inbox) == (0 if shown.codes else 2), "nor to a reader that had not seen it there"


def _folder(tmp_path: Path) -> Path:
    (folder := tmp_path / "other").mkdir()
    return folder


def keys(site: ReaderSite) -> list[tuple[str, UUID | bytes, bytes]]:
    """Return the idempotency key of each delivery, and its content."""
    return [(entry.row.publisher, entry.row.message_id, entry.row.content) for entry in site.inbox]


def test_what_a_restored_reader_delivers_again_has_the_same_idempotency_key(tmp_path: Path) -> None:
    author, site = Author(), ReaderSite(tmp_path)
    first, second = author.says(alert(1)), author.says(alert(2))
    site.reads(first)
    site.store.close()
    place = tmp_path / f"{AR}.db"
    shutil.copyfile(place, tmp_path / "backup")
    site.store = Store.open(place)
    site.restarts()
    site.reads((1, second))
    before = keys(site)
    site.store.close()
    for leftover in tmp_path.glob(f"{AR}.db*"):
        leftover.unlink()
    (tmp_path / "backup").rename(place)
    site.store = Store.open(place)
    site.restarts()
    assert site.reads((1, second)).delivered == 1
    assert keys(site) == before


def test_an_id_that_another_member_used_first_stays_the_authors_own(tmp_path: Path) -> None:
    """B cannot keep A's alert away by publishing something under its id before it."""
    author, copier, site = Author(), Author(AR), ReaderSite(tmp_path)
    site.stream = copier.stream
    site.reads(copier.says(alert(1, reference="AR-2026-000001")))
    site.stream = author.stream
    site.reads(author.says(alert(1)))
    assert [entry.row.publisher for entry in site.inbox] == [AR, PE]
    assert site.store.read_now(refusals) == []


def test_other_content_under_an_id_of_ones_own_is_kept_apart_and_sealed(tmp_path: Path) -> None:
    """What is refused is kept as it was signed: quarantine holds no text that somebody could read."""
    author, site = Author(), ReaderSite(tmp_path)
    marked = Text(lang=Language.ES, title="CANARY-REUSED-77c1")
    records = [author.says(alert(1)), author.says(alert(1, texts=(marked,)), alert(2))]
    site.reads(*records)
    assert site.ids == [alert(1).message_id, alert(2).message_id]
    (kept,) = site.store.read_now(lambda c: c.execute(select(quarantine)).all())
    assert (kept.code, kept.record) == (Code.MESSAGE_ID_REUSED, records[1])
    assert "CANARY" not in str(kept)
    assert b"CANARY" not in kept.record
