"""The vectors as files: what another implementation reads."""

from __future__ import annotations

from typing import Any

from almenara.wire.records import PAYLOAD_STATEMENT, parse_record, statement_hash
from conformance.cases import (
    ACCEPTED,
    CHECKPOINT,
    ENDED,
    EPOCH,
    FIRST,
    FORK,
    KINDS,
    LIST,
    RECEIPT,
    RESTORED,
    Case,
    good,
    refused,
)
from conformance.federation import described, to_json

Sequence = list[tuple[str, str]]

CHAINS: dict[str, Sequence] = {
    "in order": [
        ("statement-audience", "Anchor"),
        ("statement-list", "Next"),
        ("statement-every-kind", "Next"),
        ("statement-receipt", "Next"),
        ("statement-epoch", "NewEpoch"),
    ],
    "replayed": [
        ("statement-audience", "Anchor"),
        ("statement-list", "Next"),
        ("statement-audience", "Duplicate"),
        ("statement-list", "Duplicate"),
    ],
    "forked": [
        ("statement-audience", "Anchor"),
        ("statement-list", "Next"),
        ("statement-every-kind", "Next"),
        ("statement-fork", "Equivocation"),
        ("statement-receipt", "Next"),
    ],
    "forked unseen": [
        ("statement-audience", "Anchor"),
        ("statement-list", "Next"),
        ("statement-fork", "Next"),
        ("statement-receipt", "Equivocation"),
        ("statement-every-kind", "Equivocation"),
    ],
    "withheld, then filled in order": [
        ("statement-audience", "Anchor"),
        ("statement-receipt", "Gap"),
        ("statement-list", "Fill"),
        ("statement-every-kind", "Fill"),
    ],
    "withheld, then filled backwards": [
        ("statement-audience", "Anchor"),
        ("statement-receipt", "Gap"),
        ("statement-every-kind", "Fill"),
        ("statement-list", "Fill"),
    ],
    "filled with a fork": [
        ("statement-audience", "Anchor"),
        ("statement-list", "Next"),
        ("statement-receipt", "Gap"),
        ("statement-fork", "Equivocation"),
        ("statement-every-kind", "Fill"),
    ],
    "behind a new epoch": [
        ("statement-audience", "Anchor"),
        ("statement-list", "Next"),
        ("statement-epoch", "Gap"),
        ("statement-every-kind", "Early"),
        ("statement-receipt", "Fill"),
        ("statement-every-kind", "Fill"),
    ],
    "truncated": [
        ("statement-audience", "Anchor"),
        ("statement-list", "Next"),
        ("statement-every-kind", "Next"),
        ("statement-epoch-after-restore", "NewEpoch"),
        ("statement-receipt", "OldEpoch"),
    ],
    "a key that has ended": [
        ("statement-ended-key", "Unproven"),
        ("statement-audience", "Anchor"),
        ("statement-ended-key", "OldEpoch"),
    ],
    "closed by a checkpoint": [
        ("statement-audience", "Anchor"),
        ("statement-list", "Next"),
        ("statement-every-kind", "Next"),
        ("statement-receipt", "Next"),
        ("statement-checkpoint", "Next"),
        ("statement-receipt", "Duplicate"),
        ("statement-epoch", "NewEpoch"),
    ],
    "late reader": [
        ("statement-every-kind", "Anchor"),
        ("statement-list", "BeforeAnchor"),
        ("statement-receipt", "Next"),
    ],
}
"""Golden statements in the order of arrival, and the step that each one must be.

Where the step is Gap, the wait ends at once and the statement is accepted above the gap.
"""

MADE = {
    "statement-audience": FIRST,
    "statement-list": LIST,
    "statement-every-kind": KINDS,
    "statement-receipt": RECEIPT,
    "statement-epoch": EPOCH,
    "statement-epoch-after-restore": RESTORED,
    "statement-fork": FORK,
    "statement-ended-key": ENDED,
    "statement-checkpoint": CHECKPOINT,
}


def build() -> dict[str, str]:
    """Return every file of the vectors, by its path under tests/conformance."""
    cases = [*good(), *refused()]
    if len({case.name for case in cases}) != len(cases):
        raise ValueError("two golden records have one name")
    return {
        "vectors/federation.json": to_json(described()),
        "vectors/chains.json": to_json(
            {
                name: [{"record": record, "step": step} for record, step in steps]
                for name, steps in CHAINS.items()
            }
        ),
        **{f"vectors/records/{case.name}.json": to_json(_described(case)) for case in cases},
    }


def _described(case: Case) -> dict[str, Any]:
    expected: dict[str, Any] = {"admit": case.admit}
    if case.admit == ACCEPTED and parse_record(case.record).payload_type == PAYLOAD_STATEMENT:
        expected["statement_hash"] = statement_hash(parse_record(case.record).payload).hex()
        expected["readers"] = {
            reader: {"outcome": reading.outcome, "messages": list(reading.messages)}
            for reader, reading in case.readers.items()
        }
    return {
        "name": case.name,
        "says": case.says,
        "stream": {"audience": case.stream.audience, "publisher": case.stream.publisher},
        "record": case.record.hex(),
        "expected": expected,
    }
