"""The golden records are what they were, and come out as SPEC.md demands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from almenara.errors import Held, MessageRefused, Refused
from almenara.model.ids import AudienceId, MemberId, Stream
from almenara.trust.admit import (
    OpenedStatement,
    VerifiedHeartbeat,
    VerifiedStatement,
    admit,
    open_statement,
    read_statement,
    unwrap_sender_key,
)
from almenara.wire.chain import Accepted, ChainState, Gap, Place, after_gap, judge
from almenara.wire.seal import BUCKETS, WRAP_BYTES
from conformance.cases import ACCEPTED, OPENED
from conformance.federation import HERE, KEYS, NOW, PE, SENDER_KEYS, directory
from conformance.vectors import MADE, build

DIRECTORY = directory()
RECORDS: dict[str, Any] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((HERE / "vectors" / "records").glob("*.json"))
}
CHAINS = json.loads((HERE / "vectors" / "chains.json").read_text(encoding="utf-8"))

READINGS = [
    (name, reader) for name, vector in RECORDS.items() for reader in vector["expected"].get("readers", {})
]


def admitted(vector: dict[str, Any]) -> VerifiedStatement | VerifiedHeartbeat:
    stream = Stream(AudienceId(vector["stream"]["audience"]), MemberId(vector["stream"]["publisher"]))
    return admit(bytes.fromhex(vector["record"]), stream=stream, directory=DIRECTORY, now=NOW)


def admission(vector: dict[str, Any]) -> str:
    try:
        admitted(vector)
    except (Refused, Held) as refusal:
        return refusal.code.value
    return ACCEPTED


def opened(verified: VerifiedStatement, reader: MemberId) -> OpenedStatement:
    """Open as a reader does: with the key announced here, or else with one announced before."""
    read = read_statement(verified)
    if read.key_wraps:
        key = unwrap_sender_key(read, [KEYS[reader].sealing])
    else:
        key = next(key for key in SENDER_KEYS.values() if key.id == verified.head.sender_key)
    return open_statement(read, reader=reader, sender_key=key, directory=DIRECTORY)


def reading(verified: VerifiedStatement, reader: MemberId) -> dict[str, Any]:
    try:
        messages = opened(verified, reader).messages
    except Refused as refusal:
        return {"outcome": refusal.code.value, "messages": []}
    return {
        "outcome": OPENED,
        "messages": [
            each.message.code.value
            if isinstance(each.message, MessageRefused)
            else str(each.message.message_id)
            for each in messages
        ],
    }


def test_the_files_are_what_their_inputs_make_of_them() -> None:
    """`make conformance` changes nothing."""
    files = build()
    on_disk = {path.relative_to(HERE).as_posix() for path in (HERE / "vectors").rglob("*.json")}
    assert on_disk == files.keys()
    for name, text in files.items():
        assert (HERE / name).read_text(encoding="utf-8") == text, name


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_admitted_or_refused_as_it_must_be(name: str) -> None:
    assert admission(RECORDS[name]) == RECORDS[name]["expected"]["admit"]


@pytest.mark.parametrize("name", [name for name in RECORDS if "statement_hash" in RECORDS[name]["expected"]])
def test_a_statement_has_its_hash(name: str) -> None:
    verified = admitted(RECORDS[name])
    assert isinstance(verified, VerifiedStatement)
    assert verified.statement_hash.hex() == RECORDS[name]["expected"]["statement_hash"]


@pytest.mark.parametrize(("name", "reader"), READINGS)
def test_a_reader_opens_what_it_must_and_no_more(name: str, reader: str) -> None:
    verified = admitted(RECORDS[name])
    assert isinstance(verified, VerifiedStatement)
    assert reading(verified, MemberId(reader)) == RECORDS[name]["expected"]["readers"][reader]


@pytest.mark.parametrize("name", ["statement-audience", "statement-list"])
def test_the_publisher_reads_its_own_statement_back(name: str) -> None:
    verified = admitted(RECORDS[name])
    assert isinstance(verified, VerifiedStatement)
    assert len(opened(verified, PE).messages) == 1


def test_a_list_looks_like_the_audience() -> None:
    """The same slots and the same sizes: nobody sees whom a list reaches, or how many."""
    shapes = set()
    for name in ("statement-audience", "statement-list"):
        verified = admitted(RECORDS[name])
        assert isinstance(verified, VerifiedStatement)
        statement = read_statement(verified)
        assert {len(slot.wrap) for slot in statement.key_wraps} == {WRAP_BYTES}
        assert len(statement.sealed) - 12 - 16 in BUCKETS
        shapes.add((tuple(slot.key_id for slot in statement.key_wraps), len(statement.sealed)))
    assert len(shapes) == 1


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_judged_step_by_step(name: str) -> None:
    chain: ChainState | None = None
    held: dict[Place, bytes] = {}
    for number, each in enumerate(CHAINS[name]):
        verified = admitted(RECORDS[each["record"]])
        assert isinstance(verified, VerifiedStatement)
        head, digest = verified.head, verified.statement_hash
        place = Place(head.epoch, head.seq)
        step = judge(
            head,
            digest,
            chain=chain,
            known=held.get(place),
            prev_at=next((at for at, known in held.items() if known == head.prev), None),
            ended=verified.ended,
        )
        assert type(step).__name__ == each["step"], number
        before = chain
        if isinstance(step, Gap):
            assert chain is not None
            chain = after_gap(head, digest, chain=chain)
        elif isinstance(step, Accepted):
            chain = step.chain
        if chain is not before:
            held[place] = digest


def test_every_statement_made_for_the_chains_is_in_one() -> None:
    assert {each["record"] for steps in CHAINS.values() for each in steps} == MADE.keys()
