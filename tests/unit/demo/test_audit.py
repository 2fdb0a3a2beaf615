"""The audit agrees with what was shared, and names whatever was changed in a store."""

# ruff: noqa: S608 - the queries are this file's own
from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

import pytest
from msgspec.structs import replace

from almenara.demo.audit import audit
from almenara.demo.expected import Injected
from almenara.model.ids import Stream
from unit.demo.scene import AUDIENCES, Scene, play, refuse, tamper
from unit.subscriber.stream import alert
from unit.trust.federation import AR, CL, CONDOR, PE, REGION

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.demo.audit import Verdict
    from almenara.model.ids import MemberId

REGION_PE = "audience = 'region' AND publisher = 'PE'"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return play(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def scene(played: Scene, tmp_path: Path) -> Scene:
    """Return the scene with stores that a test may change."""
    stores = {member: tmp_path / path.name for member, path in played.stores.items()}
    for member, path in played.stores.items():
        shutil.copy(path, stores[member])
    return played._replace(stores=stores)


def judged(scene: Scene, *injected: Injected) -> Verdict:
    return audit(scene.stores, scene.messages, injected, AUDIENCES)


def test_what_was_shared_as_it_should_be_has_no_discrepancy(scene: Scene) -> None:
    verdict = judged(scene)
    assert verdict.discrepancies == ()
    assert verdict.line == "demo: 6 published, 6 held once, 0 held elsewhere, 0 refused"


def test_what_each_store_holds_is_counted_row_by_row(scene: Scene) -> None:
    counts = {each.member: each for each in judged(scene).members}
    assert (counts[PE].published, counts[PE].held, counts[PE].opened) == (5, 1, 1)
    assert (counts[AR].published, counts[AR].held, counts[AR].opened) == (1, 5, 5)
    assert (counts[CL].published, counts[CL].held, counts[CL].opened, counts[CL].not_for_me) == (0, 4, 4, 1)


class Case(NamedTuple):
    name: str
    store: MemberId
    changes: tuple[str, ...]
    named: str


CASES = (
    Case("removed message", AR, ("DELETE FROM message WHERE position = 1",), "held 0 times by AR"),
    Case(
        "doubled message",
        AR,
        (
            "CREATE TABLE copy AS SELECT * FROM message",
            "DROP TABLE message",
            "ALTER TABLE copy RENAME TO message",
            "INSERT INTO message SELECT * FROM message WHERE position = 1",
        ),
        "held 2 times by AR",
    ),
    Case(
        "invented message",
        AR,
        ("UPDATE message SET message_id = zeroblob(16) WHERE position = 1",),
        "never asked for",
    ),
    Case(
        "changed content",
        AR,
        ("UPDATE message SET body = CAST(body || x'00' AS BLOB) WHERE position = 1",),
        "its content at AR",
    ),
    Case(
        "changed recipients",
        AR,
        ("UPDATE message SET recipients = '' WHERE recipients <> ''",),
        "its content at AR",
    ),
    Case(
        "message of no statement",
        AR,
        ("UPDATE message SET seq = 99 WHERE position = 1",),
        "no statement at AR",
    ),
    Case(
        "message of a statement that was not opened",
        AR,
        (f"UPDATE statement SET code = 'KEY_MISSING' WHERE {REGION_PE} AND seq = 0",),
        "no statement at AR",
    ),
    Case("missing link", AR, (f"DELETE FROM statement WHERE {REGION_PE} AND seq = 1",), "does not follow"),
    Case("missing beginning", AR, (f"DELETE FROM statement WHERE {REGION_PE} AND seq = 0",), "the beginning"),
    Case(
        "missing end", AR, (f"DELETE FROM statement WHERE {REGION_PE} AND seq = 3",), "does not hold it up to"
    ),
    Case(
        "changed hash",
        AR,
        (f"UPDATE statement SET hash = zeroblob(32) WHERE {REGION_PE} AND seq = 2",),
        "another hash",
    ),
    Case(
        "changed signed bytes",
        AR,
        (f"UPDATE statement SET record = x'c301' WHERE {REGION_PE} AND seq = 2",),
        "cannot be read",
    ),
    Case(
        "moved statement",
        AR,
        (f"UPDATE statement SET seq = 7 WHERE {REGION_PE} AND seq = 3",),
        "says of itself",
    ),
    Case(
        "missing link of its author's",
        PE,
        ("DELETE FROM outbox WHERE audience = 'region' AND seq = 1",),
        "at PE",
    ),
    Case("lost by its author", PE, ("DELETE FROM outgoing WHERE audience = 'op-condor'",), "not published"),
    Case(
        "moved by its author",
        PE,
        ("UPDATE outgoing SET audience = 'andean' WHERE seq = 3",),
        "published to andean",
    ),
    Case(
        "open gap",
        AR,
        ("INSERT INTO gap VALUES ('region', 'PE', 1, 1, x'00', 1, 3, x'00')",),
        "AR: 1 gaps are open",
    ),
    Case(
        "contradiction",
        AR,
        ("INSERT INTO evidence VALUES ('EQUIVOCATION', 'region', 'PE', 1, 1, x'00', x'01', 0, x'00')",),
        "AR: 1 records contradict",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_changed_store_is_named(scene: Scene, case: Case) -> None:
    tamper(scene.stores[case.store], *case.changes)
    discrepancies = judged(scene).discrepancies
    assert [text for text in discrepancies if case.named in text], discrepancies


def copied(scene: Scene, table: str, where: str) -> None:
    """Copy rows of a table from AR's store into CL's."""
    tamper(
        scene.stores[CL],
        f"ATTACH '{scene.stores[AR]}' AS other",
        f"INSERT INTO main.{table} SELECT * FROM other.{table} WHERE {where}",
    )


def test_a_misdelivered_message_is_held_elsewhere(scene: Scene) -> None:
    tamper(scene.stores[AR], "UPDATE message SET position = position + 100")
    copied(scene, "message", "recipients = 'AR'")
    verdict = judged(scene)
    assert verdict.held_elsewhere == 1
    assert verdict.held_once == 6
    assert [text for text in verdict.discrepancies if "held by CL, for whom it is not" in text]


def test_statements_of_an_audience_that_one_is_not_in_are_named(scene: Scene) -> None:
    copied(scene, "statement", "audience = 'op-condor'")
    assert [text for text in judged(scene).discrepancies if "CL holds statements" in text]


def test_a_statement_that_its_author_never_made_is_named(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "twin").mkdir()
    twin = play(tmp_path / "twin")
    tamper(
        scene.stores[CL],
        "DELETE FROM statement",
        f"ATTACH '{twin.stores[CL]}' AS twin",
        "INSERT INTO main.statement SELECT * FROM twin.statement",
    )
    assert [text for text in judged(scene).discrepancies if "which PE never made" in text]


def test_a_message_that_was_not_to_be_published_is_named(scene: Scene) -> None:
    verdict = judged(scene._replace(messages=scene.messages[1:]))
    assert [text for text in verdict.discrepancies if "published, and not asked for" in text]
    assert verdict.held_elsewhere == 2


def test_a_message_that_nobody_published_is_named(scene: Scene) -> None:
    missing = replace(scene.messages[0], message_id=alert(99).message_id.bytes)
    verdict = judged(scene._replace(messages=(*scene.messages, missing)))
    assert verdict.held_once == 6
    assert [text for text in verdict.discrepancies if "not published" in text]


def refused(scene: Scene, injected: Injected, *members: MemberId, code: str = "") -> None:
    """Let members have refused an injected record."""
    for member in members:
        refuse(scene.stores[member], injected.stream, injected.record, code=code or injected.code)


def test_a_refusal_of_what_nobody_put_there_is_named(scene: Scene) -> None:
    refuse(scene.stores[AR], Stream(REGION, PE), b"anything", code="MALFORMED")
    (text,) = judged(scene).discrepancies
    assert text == "stream region/PE: AR refused a record with MALFORMED that nobody had put there"


@pytest.fixture
def replay(scene: Scene) -> Injected:
    """Return a record of PE's region stream as if put onto its other one."""
    return Injected(
        name="replay",
        stream=Stream(CONDOR, PE),
        record=scene.records[Stream(REGION, PE)][0],
        code="WRONG_STREAM",
        readers=frozenset({AR}),
    )


def test_an_injected_record_that_every_reader_refused_is_counted(scene: Scene, replay: Injected) -> None:
    refused(scene, replay, AR)
    verdict = judged(scene, replay)
    assert verdict.discrepancies == ()
    assert verdict.refused == 1


def test_an_injected_record_that_nobody_refused_is_named(scene: Scene, replay: Injected) -> None:
    verdict = judged(scene, replay)
    assert verdict.refused == 0
    assert verdict.discrepancies == ("replay: AR did not refuse it once with WRONG_STREAM",)


def test_an_injected_record_refused_for_another_reason_is_named(scene: Scene, replay: Injected) -> None:
    refused(scene, replay, AR, code="OVERSIZE")
    verdict = judged(scene, replay)
    assert verdict.refused == 0
    assert len(verdict.discrepancies) == 2


def test_an_injected_record_that_a_reader_took_is_named(scene: Scene) -> None:
    taken = Injected(
        name="forgery",
        stream=Stream(REGION, PE),
        record=scene.records[Stream(REGION, PE)][2],
        code="BAD_SIGNATURE",
        readers=frozenset({AR, CL}),
    )
    refused(scene, taken, AR, CL)
    assert "forgery: AR took it into region/PE" in judged(scene, taken).discrepancies


def test_a_file_that_is_no_store_is_an_error(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(sqlite3.Error):
        judged(scene._replace(stores={**scene.stores, AR: tmp_path / "none.db"}))
    assert not (tmp_path / "none.db").exists()
