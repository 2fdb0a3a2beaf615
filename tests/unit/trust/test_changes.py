"""What a signer is shown is what is signed: all of it, and nothing that only stands in the file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from almenara.errors import DirectoryRefused
from almenara.trust.changes import changes
from almenara.trust.directory import AudienceKind, MemberStatus
from almenara.trust.enrolment import make_enrolment, read_enrolment
from almenara.trust.judged import judge
from almenara.trust.keys import CheckpointKey
from almenara.trust.proposal import NOTHING, Base, propose
from almenara.trust.rolekeys import next_root, rotate
from almenara.trust.targets import (
    FEDERATION_TARGET,
    AudienceFile,
    FederationFile,
    MemberFile,
    audience_target,
    encode_target,
    member_target,
)
from unit.trust.federation import (
    AR,
    CL,
    CONDOR,
    DAY,
    ENROLMENTS,
    KEYS,
    NOW,
    PE,
    UY,
    enrol,
    federation_file,
    member_file,
    new_keys,
)
from unit.trust.holders import ANA, BASE, EVA, LUIS, RAUL, TEO, first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tuf.api.metadata import Root

    from almenara.trust.enrolment import Enrolment, SignedEnrolment


def shown(files: Mapping[str, bytes | None], *, root: Root | None = None, base: Base = BASE) -> list[str]:
    """Return what a signer reads of a proposal that changes these files, None for one taken away."""
    whole = {**base.files, **files}
    kept = {name: data for name, data in whole.items() if data is not None}
    proposal = propose(base, files=kept, root=root, by="eva", now=NOW)
    found = changes(judge(proposal, base, now=NOW))
    return [f"{'! ' if change.alarm else ''}{change.subject}: {change.text}" for change in found]


def audience(**changed: object) -> bytes:
    held = msgspec.json.decode(BASE.files[audience_target(CONDOR)], type=AudienceFile)
    return encode_target(msgspec.structs.replace(held, **changed))


def member(name: str, **changed: object) -> bytes:
    held = msgspec.json.decode(BASE.files[f"members/{name}.json"], type=MemberFile)
    return encode_target(msgspec.structs.replace(held, **changed))


def countersigned() -> SignedEnrolment:
    """Return PE's enrolment with a signature more, of a key that does not count."""
    signed = ENROLMENTS[PE].signed
    return msgspec.structs.replace(signed, signatures=(*signed.signatures, *ENROLMENTS[AR].signed.signatures))


CHECKPOINT = CheckpointKey(MLDSA65PrivateKey.generate())


def equipped() -> Enrolment:
    return read_enrolment(
        make_enrolment(
            federation="ams",
            member=PE,
            name="Customs of PE",
            signing_key=KEYS[PE].signing,
            sealing_key=None,
            checkpoint_key=CHECKPOINT,
            tls_request=b"a request",
            now=NOW + DAY,
        )
    )


def renamed() -> Enrolment:
    return read_enrolment(
        make_enrolment(
            federation="ams",
            member=PE,
            name="SUNAT",
            signing_key=KEYS[PE].signing,
            sealing_key=None,
            tls_request=b"",
            now=NOW + DAY,
        )
    )


TARGETS = "targets: version 2, good until 2027-05-23 09:30:00Z (was 2027-05-23 09:30:00Z)"
PE_KEYS = [
    f"member PE: signing key {KEYS[PE].signing.key_id.hex()}, from 2026-11-24 09:30:00Z",
    f"member PE: sealing key {KEYS[PE].sealing.key_id.hex()}",
]
STOLEN = new_keys()
VOUCHED = enrol(PE, STOLEN, at=NOW + DAY, previous=KEYS[PE].signing)
STOLEN_KEYS = [
    f"member PE: signing key {STOLEN.signing.key_id.hex()}, from 2026-11-25 09:30:00Z",
    f"member PE: sealing key {STOLEN.sealing.key_id.hex()}",
]
OTHER_SCHEMA = "ab" * 32
KEY_RESET = (
    "! member PE: KEY RESET: it did not sign this change with a key of before; ask it by telephone, "
    "and read its new keys to each other"
)

CASES: dict[str, tuple[dict[str, bytes | None], list[str]]] = {
    "nothing but time": ({}, []),
    "a member added": (
        {member_target(UY): member_file(ENROLMENTS[UY])},
        [
            "member UY: ADDED: Customs of UY, ACTIVE, certificate generation 1",
            f"member UY: signing key {KEYS[UY].signing.key_id.hex()}, from 2026-11-24 09:30:00Z",
            f"member UY: sealing key {KEYS[UY].sealing.key_id.hex()}",
        ],
    ),
    "a member suspended and cut off": (
        {member_target(PE): member(PE, status=MemberStatus.SUSPENDED, generation=2)},
        [
            "member PE: SUSPENDED (was ACTIVE)",
            "member PE: certificate generation 2 (was 1): older ones are cut off",
        ],
    ),
    "a member admitted at another time": (
        {member_target(PE): member(PE, admitted_at=NOW + DAY)},
        ["member PE: admitted 2026-11-25 09:30:00Z (was 2026-11-24 09:30:00Z)"],
    ),
    "certificates revoked": (
        {member_target(PE): member(PE, generation=2, revoked_at=NOW + DAY)},
        [
            "member PE: certificate generation 2 (was 1): older ones are cut off",
            "member PE: certificates revoked 2026-11-25 09:30:00Z (was never): none for earlier requests",
        ],
    ),
    "a member removed": (
        {member_target(CL): None},
        ["! member CL: REMOVED, with all trace of its keys"],
    ),
    "keys changed by the member": (
        {member_target(PE): member_file(VOUCHED)},
        [
            "member PE: admitted 2026-11-25 09:30:00Z (was 2026-11-24 09:30:00Z)",
            "member PE: new enrolment, signed with its key of before",
            *STOLEN_KEYS,
        ],
    ),
    "keys changed without the member": (
        {member_target(PE): member(PE, enrolment=enrol(PE, STOLEN, at=NOW + DAY).signed)},
        [
            KEY_RESET,
            *STOLEN_KEYS,
        ],
    ),
    "the sealing key taken away": (
        {member_target(PE): member(PE, enrolment=enrol(PE, at=NOW + DAY, sealing=False).signed)},
        [
            "member PE: new enrolment, signed with its key of before",
            f"member PE: signing key {KEYS[PE].signing.key_id.hex()}, from 2026-11-25 09:30:00Z",
            "member PE: no sealing key",
        ],
    ),
    "an audience added": (
        {
            "audiences/pair.json": encode_target(
                AudienceFile(
                    kind=AudienceKind.PAIR, title="Two", members=(AR, PE), retention_days=7, opens_at=NOW
                )
            )
        },
        [
            "audience pair: kind: PAIR",
            "audience pair: title: Two",
            "audience pair: retention days: 7",
            "audience pair: opens at: 2026-11-24 09:30:00Z",
            "audience pair: + AR: may read it from now on",
            "audience pair: + PE: may read it from now on",
        ],
    ),
    "an audience changed": (
        {audience_target(CONDOR): audience(members=(PE, CL), retention_days=60, closes_at=NOW + DAY)},
        [
            "audience op-condor: retention days: 60 (was 30)",
            "audience op-condor: closes at: 2026-11-25 09:30:00Z (was none)",
            "audience op-condor: + CL: may read it from now on",
            "audience op-condor: - AR: no longer reads it",
        ],
    ),
    "an audience removed": ({audience_target(CONDOR): None}, ["! audience op-condor: REMOVED"]),
    "brokers and schemas changed": (
        {
            FEDERATION_TARGET: encode_target(
                FederationFile(federation="ams", bootstrap="b.example:9094", schemas=(OTHER_SCHEMA,))
            )
        },
        [
            "federation: brokers: b.example:9094 (was 127.0.0.1:9094)",
            f"federation: + schema {OTHER_SCHEMA}",
            "federation: - schema " + msgspec.json.decode(federation_file(), type=FederationFile).schemas[0],
        ],
    ),
    "a file written in another way": (
        {member_target(PE): BASE.files[member_target(PE)] + b" "},
        ["member PE: written anew, and says the same"],
    ),
    "a member's name changed": (
        {member_target(PE): member("PE", enrolment=renamed().signed)},
        [
            "member PE: new enrolment, signed with its key of before",
            "member PE: name SUNAT (was Customs of PE)",
            f"member PE: signing key {KEYS[PE].signing.key_id.hex()}, from 2026-11-25 09:30:00Z",
            "member PE: no sealing key",
        ],
    ),
    "a key for checkpoints and another TLS request": (
        {member_target(PE): member("PE", enrolment=equipped().signed)},
        [
            "member PE: new enrolment, signed with its key of before",
            f"member PE: signing key {KEYS[PE].signing.key_id.hex()}, from 2026-11-25 09:30:00Z",
            "member PE: no sealing key",
            f"member PE: checkpoint key {CHECKPOINT.key_id.hex()}",
            f"member PE: TLS request {hashlib.sha256(b'a request').hexdigest()}",
        ],
    ),
    "other signatures on the same enrolment": (
        {member_target(PE): member("PE", enrolment=countersigned())},
        ["member PE: written anew, and says the same"],
    ),
    "a file of another kind": (
        {"notes.json": b"{}"},
        ["file notes.json: added; readers of this version pass it over"],
    ),
}


@pytest.mark.parametrize(("files", "lines"), CASES.values(), ids=CASES.keys())
def test_each_change_has_its_line(files: dict[str, bytes | None], lines: list[str]) -> None:
    assert shown(files) == [*lines, TARGETS]


def test_a_file_of_another_kind_is_shown_when_it_changes_and_goes() -> None:
    base = Base(BASE.root, BASE.targets, {**BASE.files, "notes.json": b"1"})
    assert shown({"notes.json": b"2"}, base=base)[0].startswith("file notes.json: changed")
    assert shown({"notes.json": None}, base=base)[0].startswith("file notes.json: removed")


def test_a_first_version_is_shown_whole() -> None:
    found = [f"{each.subject}: {each.text}" for each in changes(judge(first(), NOTHING, now=NOW))]
    assert found[:2] == ["root: version 1, good until 2027-11-24 09:30:00Z", "signers of root: 2 of 3"]
    assert f"signers of root: + Ana ({ANA.key_id})" in found
    assert "federation: name: ams" in found
    assert "audience region: kind: REGION" in found
    assert "member PE: ADDED: Customs of PE, ACTIVE, certificate generation 1" in found
    assert all(line in found for line in PE_KEYS)
    assert found[-1] == "targets: version 1, good until 2027-05-23 09:30:00Z"


def test_other_signers_are_shown_by_name_and_key() -> None:
    assert BASE.root is not None
    root = next_root(BASE.root, expires=NOW + 300 * DAY)
    rotate(root, "targets", add=[TEO.public], remove=[RAUL.key_id, EVA.key_id], threshold=1)
    root.keys[LUIS.key_id].unrecognized_fields["holder"] = "Luisa"
    gone = sorted((EVA, RAUL), key=lambda key: key.key_id)
    assert shown({}, root=root) == [
        "root: version 2, good until 2027-09-20 09:30:00Z (was 2027-11-24 09:30:00Z)",
        f"signers of root: Luis ({LUIS.key_id}) is called Luisa ({LUIS.key_id})",
        "signers of targets: 1 of 2 (was 2 of 3)",
        f"signers of targets: + Teo ({TEO.key_id})",
        *(f"signers of targets: - {key.public.shown}" for key in gone),
        TARGETS,
    ]


def test_what_only_the_file_says_changes_no_line() -> None:
    """THREATS 21: the text around the signed bytes may say what it likes."""
    files = {**BASE.files, member_target(UY): member_file(ENROLMENTS[UY])}
    honest = propose(BASE, files=files, by="eva", now=NOW)
    told = msgspec.structs.replace(honest, proposed_by="renewal, changes nothing", proposed_at=NOW - DAY)
    assert changes(judge(told, BASE, now=NOW)) == changes(judge(honest, BASE, now=NOW))


def test_what_no_reader_would_take_is_not_shown_but_refused() -> None:
    with pytest.raises(DirectoryRefused):
        shown({member_target(AR): None})


def test_a_root_that_lives_on_alone_is_shown_alone() -> None:
    assert BASE.root is not None
    proposal = propose(
        BASE, files=BASE.files, root=next_root(BASE.root, expires=NOW + 400 * DAY), by="ana", now=NOW
    )
    found = changes(judge(proposal, BASE, now=NOW))
    assert [change.text for change in found] == [
        "version 2, good until 2027-12-29 09:30:00Z (was 2027-11-24 09:30:00Z)"
    ]
