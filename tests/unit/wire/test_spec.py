"""schemas/SPEC.md: what it states as bytes, labels, codes and limits is what the code does."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from almenara.errors import Code
from almenara.model.bodies import KINDS
from almenara.model.ids import AudienceId, MemberId
from almenara.trust.enrolment import ENROLMENT_TYPE
from almenara.trust.hybrid import ROLE_TYPE
from almenara.trust.renewal import RENEWAL_TYPE
from almenara.wire import avro, schema_lint
from almenara.wire.messages import (
    MEMBER_BYTES_MAX,
    MESSAGE_MAX,
    MESSAGES_MAX,
    RECIPIENTS_MAX,
    encode_batch,
)
from almenara.wire.padding import BATCH_MAX, BUCKETS
from almenara.wire.records import (
    GENESIS_PREV,
    PAYLOAD_HEARTBEAT,
    PAYLOAD_MAX,
    PAYLOAD_STATEMENT,
    RECORD_MAX,
    Head,
    Scope,
    encode_content,
    encode_head,
    encode_statement,
    statement_hash,
)
from almenara.wire.schemas import schema_folder
from almenara.wire.seal import (
    WRAP_BYTES,
    StreamContext,
    key_commitment,
    seal,
    sender_key_id,
    statement_key,
)

SPEC = (schema_folder() / "SPEC.md").read_text()
WIRE = Path(avro.__file__).parent
ONE_LINE = "".join(SPEC.split())


@pytest.mark.parametrize("name", ["SignedRecord", "Statement", "Content", "Heartbeat", "Batch"])
def test_it_gives_the_fingerprint_and_digest_of_a_schema(name: str) -> None:
    assert f"| {name} | `{avro.prefix(name).hex()}` | `{avro.sha256_hex(name)}` |" in SPEC


def test_it_gives_every_label_of_the_code_and_no_other() -> None:
    in_code = {
        label
        for path in WIRE.glob("*.py")
        for label in re.findall(r'b"(almenara/v1/[a-z-]+)"', path.read_text())
    }
    assert in_code
    assert set(re.findall(r'"(almenara/v1/[a-z-]+)"', SPEC)) == in_code


def test_it_gives_every_payload_type() -> None:
    assert set(re.findall(r"application/vnd\.almenara[a-z0-9.+]+", SPEC)) == {
        PAYLOAD_STATEMENT,
        PAYLOAD_HEARTBEAT,
        ENROLMENT_TYPE,
        ROLE_TYPE,
        RENEWAL_TYPE,
    }


def test_every_code_that_it_names_is_a_code() -> None:
    # scopes, receipts, the preface
    elsewhere = {"AUDIENCE", "LIST", "GAP", "BEFORE_ANCHOR", "OLDER_UNOPENED", "CAPITALS"}
    assert set(re.findall(r"`([A-Z][A-Z_]{3,})`", SPEC)) - elsewhere <= set(Code)


def test_it_numbers_the_kinds_in_the_order_of_the_union() -> None:
    listed = ", ".join(f"{index} {kind}" for index, kind in enumerate(KINDS.values()))
    assert "".join(listed.split()) in ONE_LINE


def test_it_gives_the_limits_and_buckets_of_the_code() -> None:
    for limit in (
        RECORD_MAX,
        PAYLOAD_MAX,
        BATCH_MAX,
        MESSAGE_MAX,
        MESSAGES_MAX,
        RECIPIENTS_MAX,
        WRAP_BYTES,
        *BUCKETS,
    ):
        assert f"{limit:,}" in SPEC, limit
    assert f"| {MEMBER_BYTES_MAX} bytes |" in SPEC
    assert f"at most {schema_lint.DEPTH_MAX} levels" in SPEC.replace("\n  ", " ")


def test_it_names_the_envelope_that_never_changes() -> None:
    line = SPEC.partition("**Envelope**:")[2].partition("never change")[0]
    assert set(re.findall(r"\w+", line)) - {"and"} == schema_lint.FROZEN


def test_its_check_values_are_those_of_the_code() -> None:
    key = bytes(range(32))
    context = StreamContext(
        federation="ams", audience=AudienceId("region"), publisher=MemberId("PE"), epoch=1_795_514_400_000
    )
    k_s = statement_key(key, context, 7)
    head = encode_head(
        Head(
            federation=context.federation,
            audience=context.audience,
            publisher=context.publisher,
            epoch=context.epoch,
            seq=7,
            prev=GENESIS_PREV,
            issued_at=1_795_514_400_000_000,
            directory_version=3,
            scope=Scope.AUDIENCE,
            elicits_receipt=True,
            sender_key=sender_key_id(key),
            key_commitment=key_commitment(k_s),
        )
    )
    sealed = seal(k_s, head, b"batch", nonce=bytes(12))
    content = encode_content((), sealed)
    batch = encode_batch((MemberId("AR"), MemberId("CL")), [b"ITEM"])
    for value in (
        sender_key_id(key),
        k_s,
        key_commitment(k_s),
        statement_hash(b"hello"),
        batch,
        head,
        sealed[-16:],
        sha256(sealed).digest(),
        sha256(content).digest(),
        statement_hash(encode_statement(head, sha256(content).digest())),
    ):
        assert value.hex() in ONE_LINE
    assert f"{len(sealed):,} bytes" in SPEC
