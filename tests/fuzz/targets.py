"""What is fuzzed, from which first inputs, and how large may one grow?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara.trust.admission import Admission
from almenara.trust.exportfile import ExportedRecord
from almenara.trust.keybackup import BackupHeader
from almenara.trust.proposal import Part, Proposal, RoleSignature
from almenara.trust.renewal import make_renewal
from almenara.wire.avro import canonical_form
from almenara.wire.records import without_content
from almenara.wire.seal import statement_key
from conformance.cases import FIRST, FORK, ITEMS, KINDS, LIST, batch, good, refused
from conformance.federation import (
    AR,
    EPOCHS,
    FEDERATION,
    HERE,
    KEYS,
    NOW,
    PE,
    SENDER_KEYS,
    context,
    secret,
)
from fuzz import properties
from fuzz.bounds import CPU_MS_MAX
from fuzz.mutators import as_file, as_it_stands, as_json, reenrolled, resigned, resummed
from fuzz.world import FILES, GOLDEN, STREAM, published

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fuzz.mutators import Mutator


WHOLE_MS = 400
"""What a whole directory may take: some 50 ms where all is signed, hybrid, and right."""


class Target(NamedTuple):
    """A property that must hold for all bytes, and where to begin looking for some that break it."""

    holds: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    max_bytes: int
    mutator: Mutator = as_it_stands
    cpu_ms: int = CPU_MS_MAX
    lasts: bool = True
    """Whether an input means the same in the next run; the directory's role keys are new in each."""


def _records() -> Iterator[bytes]:
    return (case.record for case in (*good(), *refused()))


def _batches() -> Iterator[bytes]:
    yield from (batch(number + 1) for number in range(len(ITEMS)))
    yield batch(1, 2, to=[AR, PE])


def _documents() -> Iterator[bytes]:
    return iter((HERE / "inputs" / "messages.jsonl").read_bytes().splitlines())


def _enrolments() -> Iterator[bytes]:
    return (msgspec.json.encode(member.enrolment) for member in GOLDEN.members.values())


def _each(files: Mapping[str, bytes]) -> Iterator[bytes]:
    return (bytes([index]) + files[name] for index, name in enumerate(sorted(files)))


def _admissions() -> Iterator[bytes]:
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    yield Admission(
        federation=FEDERATION,
        member=PE,
        issued_at=NOW,
        certificate=pem,
        ca=pem,
        bootstrap="127.0.0.1:9094",
        root=b"{}",
        directory={"metadata/1.root.json": b"{}"},
    ).to_bytes()


def _key_files() -> Iterator[bytes]:
    kinds = (("signing", KEYS[PE].signing.key_id, secret("PE signing")), ("sealing", bytes(32), bytes(96)))
    for kind, key_id, raw in kinds:
        yield msgspec.json.encode(
            {
                "format": "almenara-key-v1",
                "kind": kind,
                "key_id": key_id.hex(),
                "protection": "none",
                "salt": b"",
                "nonce": b"",
                "secret": raw,
            }
        )


def _renewals() -> Iterator[bytes]:
    yield make_renewal(
        federation=FEDERATION, member=PE, tls_request=b"x", signing_keys=[KEYS[PE].signing], now=NOW
    )


def _proposals() -> Iterator[bytes]:
    signature = RoleSignature(key_id="0" * 64, signature=b"x")
    part = Part(role="targets", base=3, metadata=b"{}", signatures=(signature,))
    yield Proposal(proposed_by="PE", proposed_at=NOW, parts=(part,), files=FILES.targets).to_bytes()


def _backups() -> Iterator[bytes]:
    header = BackupHeader(federation=FEDERATION, member=PE, root_fingerprint="0" * 64, made_at=NOW)
    plain = {"format": "almenara-backup-v1", "salt": b"", "nonce": b"", "sealed": b"x"}
    yield msgspec.json.encode(msgspec.structs.asdict(header) | plain)


def _exports() -> Iterator[bytes]:
    shown = published()
    plain = ExportedRecord(
        audience=STREAM.audience,
        publisher=STREAM.publisher,
        record=FIRST.record,
        root=shown.root,
        directory=shown.files,
        directory_at=NOW,
        exported_at=NOW,
    )
    yield plain.to_bytes()
    k_s = statement_key(SENDER_KEYS["K1"].key, context(PE, epoch=EPOCHS[0]), 0)
    yield msgspec.structs.replace(
        plain, k_s=k_s, schema=canonical_form("Batch").decode(), links=(without_content(LIST.record),)
    ).to_bytes()
    yield msgspec.structs.replace(plain, record=KINDS.record, rival=without_content(FORK.record)).to_bytes()


TARGETS = {
    "record": Target(properties.record, _records, 16_384),
    "admitted": Target(properties.admitted, _records, 65_536, resigned),
    "batch": Target(properties.batch, _batches, 16_384),
    "document": Target(properties.document, _documents, 8_192, as_json),
    "enrolment": Target(properties.enrolment, _enrolments, 8_192, reenrolled),
    "directory": Target(properties.directory, lambda: _each(FILES.targets), 16_384, as_file),
    "refreshed": Target(
        properties.refreshed, lambda: _each(published().files), 65_536, as_file, WHOLE_MS, lasts=False
    ),
    "renewal": Target(properties.renewal, _renewals, 8_192, as_json),
    "proposal": Target(properties.proposal, _proposals, 65_536, as_json),
    "backup": Target(properties.backup, _backups, 4_096, as_json),
    "admission": Target(properties.admission, _admissions, 8_192, as_json),
    "key_file": Target(properties.key_file, _key_files, 4_096, as_json),
    "exported": Target(properties.exported, _exports, 262_144, resummed, WHOLE_MS, lasts=False),
}
