"""A proposal takes effect by a quorum's signatures on the very bytes that each was shown, or not at all."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from almenara.errors import AlmenaraError, Code, DirectoryRefused, Refused, Unavailable
from almenara.trust.changes import changes
from almenara.trust.judged import directory_of, judge, require_complete, sign, with_signatures
from almenara.trust.proposal import (
    NOTHING,
    PROPOSAL_MAX,
    TARGETS_LIFETIME,
    Base,
    Proposal,
    RoleSignature,
    canonical,
    merged,
    parse_proposal,
    propose,
)
from almenara.trust.rolekeys import next_root, rotate
from almenara.trust.targets import FEDERATION_TARGET, FederationFile, encode_target, member_target
from unit.trust.federation import AR, DAY, ENROLMENTS, NOW, PE, UY, member_file
from unit.trust.holders import ANA, BASE, EVA, LUIS, RAUL, SOL, TEO, Replaced, first, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuf.api.metadata import Root

ADMITTED = {**BASE.files, member_target(UY): member_file(ENROLMENTS[UY])}


UY_HASH = hashlib.sha256(ADMITTED[member_target(UY)]).hexdigest()


def admission() -> Proposal:
    """Return the proposal to admit UY."""
    return propose(BASE, files=ADMITTED, by="eva", now=NOW)


def drafted() -> Root:
    assert BASE.root is not None
    return next_root(BASE.root, expires=NOW + 300 * DAY)


def rotation() -> Proposal:
    """Return the proposal to let Teo sign the targets in Raul's place."""
    root = drafted()
    rotate(root, "targets", add=[TEO.public], remove=[RAUL.key_id], threshold=2)
    return propose(BASE, files=BASE.files, root=root, by="ana", now=NOW)


def after(proposal: Proposal) -> Base:
    judged = judge(proposal, BASE, now=NOW)
    return Base(judged.root, judged.targets, judged.files)


def test_a_proposal_names_what_it_would_make_and_carries_what_changes() -> None:
    proposal = admission()
    assert proposal.name == "targets-2.json"
    assert proposal.files.keys() == {member_target(UY)}
    judged = judge(proposal, BASE, now=NOW)
    assert judged.files == ADMITTED
    assert UY in directory_of(judged).members
    assert (judged.has("targets"), judged.has("root")) == (True, False)


def test_it_takes_effect_at_the_threshold_and_not_before() -> None:
    proposal = admission()
    for key, complete in ((SOL, False), (RAUL, True)):
        proposal = sign(judge(proposal, BASE, now=NOW), key)
        judged = judge(proposal, BASE, now=NOW)
        if complete:
            require_complete(judged)
        else:
            with pytest.raises(Unavailable, match="targets has 1 of 2 signatures, 1 more of: Eva") as caught:
                require_complete(judged)
            assert caught.value.code is Code.SIGNATURES_MISSING
            assert RAUL.key_id in caught.value.text


def test_one_coordinator_alone_grants_nothing() -> None:
    """THREATS 21: with all that one holder has, and whatever else it signs with."""
    judged = judge(signed(admission(), BASE, EVA), BASE, now=NOW)
    with pytest.raises(Refused, match="has signed it already"):
        sign(judged, EVA)
    with pytest.raises(Refused, match="none of those that may sign"):
        sign(judged, TEO)
    assert with_signatures(judged, (EVA, TEO, ANA, LUIS)) == judged.proposal
    with pytest.raises(Unavailable):
        require_complete(judged)


def test_the_file_comes_back_as_it_was_written() -> None:
    proposal = signed(admission(), BASE, EVA)
    assert parse_proposal(proposal.to_bytes()) == proposal


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.MALFORMED),
        (b"{}", Code.MALFORMED),
        (b"\xff", Code.MALFORMED),
        (admission().to_bytes().replace(b"almenara-proposal-v1", b"almenara-proposal-v2"), Code.MALFORMED),
        (b" " * (PROPOSAL_MAX + 1), Code.OVERSIZE),
    ],
    ids=["empty", "{}", "no text", "another version", "without an end"],
)
def test_a_file_that_is_none_is_refused(data: bytes, code: Code) -> None:
    with pytest.raises(Refused) as caught:
        parse_proposal(data)
    assert caught.value.code is code


def test_copies_that_went_different_ways_count_together() -> None:
    one, other = signed(admission(), BASE, EVA), signed(admission(), BASE, SOL)
    require_complete(judge(merged(one, other), BASE, now=NOW))
    again = merged(one, signed(admission(), BASE, EVA))
    assert [each.key_id for each in again.parts[0].signatures] == [EVA.key_id]
    with pytest.raises(Refused, match="not the same"):
        merged(one, rotation())


def with_signature(proposal: Proposal, *given: RoleSignature) -> Proposal:
    return Replaced(proposal).part(signatures=(*proposal.parts[0].signatures, *given))


def of_another_proposal() -> Proposal:
    """Return the admission with a signature that its signer gave to a renewal of the targets."""
    renewal = signed(propose(BASE, files=BASE.files, by="eva", now=NOW), BASE, EVA)
    return with_signature(admission(), *renewal.parts[0].signatures)


def by_a_removed_key() -> Proposal:
    rotated = rotation()
    unsigned = msgspec.structs.replace(
        rotated, parts=tuple(msgspec.structs.replace(part, signatures=()) for part in rotated.parts)
    )
    root, targets = signed(unsigned, BASE, ANA, LUIS).parts
    stale = RoleSignature(key_id=RAUL.key_id, signature=bytes.fromhex(RAUL.sign(targets.metadata).signature))
    return msgspec.structs.replace(
        rotated, parts=(root, msgspec.structs.replace(targets, signatures=(stale,)))
    )


def by_a_key_of_another_role() -> Proposal:
    proposal = admission()
    signature = bytes.fromhex(ANA.sign(proposal.parts[0].metadata).signature)
    return with_signature(proposal, RoleSignature(key_id=ANA.key_id, signature=signature))


def doubled() -> Proposal:
    proposal = signed(admission(), BASE, EVA)
    signature = bytes.fromhex(EVA.sign(proposal.parts[0].metadata).signature)
    return with_signature(proposal, RoleSignature(key_id=EVA.key_id, signature=signature))


def half_signed(half: str) -> Callable[[], Proposal]:
    """Return the admission with one of the two algorithms' signatures broken."""

    def attack() -> Proposal:
        proposal = signed(admission(), BASE, EVA)
        (given,) = proposal.parts[0].signatures
        at = 0 if half == "ed25519" else 64
        broken = given.signature[:at] + bytes([given.signature[at] ^ 1]) + given.signature[at + 1 :]
        return Replaced(proposal).part(signatures=(RoleSignature(key_id=given.key_id, signature=broken),))

    return attack


def tampered_target() -> Proposal:
    proposal = signed(admission(), BASE, EVA, SOL)
    return msgspec.structs.replace(proposal, files={member_target(UY): member_file(ENROLMENTS[PE])})


def dropped_target() -> Proposal:
    return msgspec.structs.replace(signed(admission(), BASE, EVA, SOL), files={})


def an_extra_file() -> Proposal:
    proposal = signed(admission(), BASE, EVA, SOL)
    return msgspec.structs.replace(proposal, files={**proposal.files, "members/ZZ.json": b"{}"})


def other_signers_without_targets() -> Proposal:
    rotated = rotation()
    return msgspec.structs.replace(rotated, parts=rotated.parts[:1])


def lowered_quorum() -> Proposal:
    """Return targets that come with a root which lets one key sign them, signed by the new key alone."""
    root = drafted()
    rotate(root, "targets", add=[TEO.public], remove=[SOL.key_id, EVA.key_id, RAUL.key_id], threshold=1)
    return propose(BASE, files=ADMITTED, root=root, by="teo", now=NOW)


REFUSED: dict[str, tuple[Callable[[], Proposal], Code]] = {
    "a signature given to another proposal": (of_another_proposal, Code.BAD_SIGNATURE),
    "the Ed25519 half broken": (half_signed("ed25519"), Code.BAD_SIGNATURE),
    "the ML-DSA half broken": (half_signed("ml-dsa-65"), Code.BAD_SIGNATURE),
    "a signature by a removed key": (by_a_removed_key, Code.UNKNOWN_KEY),
    "a signature by a key of another role": (by_a_key_of_another_role, Code.UNKNOWN_KEY),
    "a doubled signature": (doubled, Code.MALFORMED),
    "a target exchanged": (tampered_target, Code.DIRECTORY_INVALID),
    "a target left out": (dropped_target, Code.MALFORMED),
    "a file that nothing signed speaks of": (an_extra_file, Code.MALFORMED),
    "other signers of the targets, without targets": (other_signers_without_targets, Code.CONFLICT),
    "no part": (lambda: msgspec.structs.replace(admission(), parts=()), Code.MALFORMED),
    "a part twice": (
        lambda: msgspec.structs.replace(admission(), parts=admission().parts * 2),
        Code.MALFORMED,
    ),
    "another base than the bytes say": (lambda: Replaced(admission()).part(base=0), Code.CONFLICT),
    "a version skipped": (lambda: Replaced(admission()).text('"version":2', '"version":3'), Code.MALFORMED),
    "a field more": (
        lambda: Replaced(admission()).text('"version":2', '"version":2,"x":1'),
        Code.MALFORMED,
    ),
    "a field said twice": (
        lambda: Replaced(admission()).text('"version":2', '"version":3,"version":2'),
        Code.NOT_CANONICAL,
    ),
    "a space more": (lambda: Replaced(admission()).text('"version":2', '"version": 2'), Code.NOT_CANONICAL),
    "no metadata": (lambda: Replaced(admission()).part(metadata=b"{}"), Code.MALFORMED),
    "metadata of another role": (
        lambda: Replaced(admission()).part(metadata=rotation().parts[0].metadata),
        Code.NOT_CANONICAL,
    ),
    "an end that has passed": (
        lambda: Replaced(admission()).text(f"{NOW + TARGETS_LIFETIME:%Y}", "2025"),
        Code.DIRECTORY_EXPIRED,
    ),
    "a target above its folder": (
        lambda: propose(BASE, files={**BASE.files, "members/../../x": b""}, by="", now=NOW),
        Code.MALFORMED,
    ),
    "a target with a note": (
        lambda: Replaced(admission()).text(f'"{UY_HASH}"}},', f'"{UY_HASH}"}},"j":"x",'),
        Code.MALFORMED,
    ),
    "a number with a fraction": (
        lambda: Replaced(admission()).text('"version":2', '"version":2,"x":1.5'),
        Code.NOT_CANONICAL,
    ),
    "a delegation": (
        lambda: Replaced(admission()).text('"expires"', '"delegations":{"keys":{},"roles":[]},"expires"'),
        Code.MALFORMED,
    ),
}


@pytest.mark.parametrize(("attack", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_sound_is_refused_whoever_has_signed_it(
    attack: Callable[[], Proposal], code: Code
) -> None:
    with pytest.raises(Refused) as caught:
        judge(attack(), BASE, now=NOW)
    assert caught.value.code is code


def test_a_proposal_of_which_the_base_was_published_over_is_refused() -> None:
    """Replayed, or overtaken: its signatures are good, its base is gone."""
    whole = signed(admission(), BASE, EVA, SOL)
    newer = after(whole)
    with pytest.raises(Refused, match="builds on version 1 of targets, and the newest") as caught:
        judge(whole, newer, now=NOW)
    assert caught.value.code is Code.CONFLICT
    with pytest.raises(Refused):
        judge(first(), newer, now=NOW)


def test_new_signers_do_not_count_before_the_old_quorum_lets_them_in() -> None:
    proposal = signed(lowered_quorum(), BASE, TEO)
    with pytest.raises(Unavailable, match="root has 0 of 2 signatures"):
        require_complete(judge(proposal, BASE, now=NOW))
    require_complete(judge(signed(proposal, BASE, ANA, LUIS), BASE, now=NOW))


def test_a_new_root_quorum_is_let_in_by_the_old_one_and_shows_its_keys() -> None:
    root = drafted()
    rotate(root, "root", add=[EVA.public, TEO.public], remove=[ANA.key_id], threshold=3)
    proposal = propose(BASE, files=BASE.files, root=root, by="ana", now=NOW)
    assert [part.role for part in proposal.parts] == ["root"]
    cases = {
        (ANA, LUIS): "^proposal root-2.json: root has 1 of 3 signatures, 2 more of: Eva",
        (EVA, TEO, SOL): "^proposal root-2.json: root before has 1 of 2 signatures",
        (ANA, EVA, TEO): "root before has 1 of 2 signatures.* and root has 2 of 3",
    }
    for keys, missing in cases.items():
        with pytest.raises(Unavailable, match=missing):
            require_complete(judge(signed(proposal, BASE, *keys), BASE, now=NOW))
    require_complete(judge(signed(proposal, BASE, ANA, LUIS, EVA, TEO), BASE, now=NOW))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ('"threshold":2', Code.DIRECTORY_INVALID),
        ('"consistent_snapshot":true', Code.DIRECTORY_INVALID),
    ],
    ids=["a quorum above its keys", "no consistent snapshots"],
)
def test_a_root_that_readers_could_not_follow_is_refused(spoil: str, code: Code) -> None:
    root = drafted()
    if spoil.startswith('"threshold"'):
        root.roles["snapshot"].threshold = 2
    else:
        root.consistent_snapshot = False
    with pytest.raises(Refused) as caught:
        judge(propose(BASE, files=BASE.files, root=root, by="ana", now=NOW), BASE, now=NOW)
    assert caught.value.code is code


@pytest.mark.parametrize("spoil", ["true", '2,"x":1'], ids=["a truth for a number", "a field more"])
def test_signers_in_another_form_are_refused(spoil: str) -> None:
    root = drafted()
    root.roles["snapshot"].threshold = True
    if spoil != "true":
        root.roles["snapshot"].threshold = 1
        root.roles["snapshot"].unrecognized_fields["x"] = 1
    with pytest.raises(Refused, match="signers of snapshot are none"):
        judge(propose(BASE, files=BASE.files, root=root, by="ana", now=NOW), BASE, now=NOW)


WHOLE = signed(rotation(), BASE, ANA, LUIS).to_bytes()


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3))
def test_no_byte_of_the_file_makes_anything_but_a_judgement_or_a_refusal(at: int, put: bytes) -> None:
    try:
        judged = judge(parse_proposal(WHOLE[:at] + put + WHOLE[at + len(put) :]), BASE, now=NOW)
    except AlmenaraError:
        return
    assert [part.metadata for part in judged.proposal.parts] == [part.metadata for part in rotation().parts]


METADATA = rotation().parts[0].metadata


@given(st.integers(0, len(METADATA) - 1), st.binary(min_size=0, max_size=6))
def test_no_byte_to_be_signed_makes_anything_but_a_judgement_or_a_refusal(at: int, put: bytes) -> None:
    spoiled = Replaced(rotation()).part(metadata=METADATA[:at] + put + METADATA[at + 1 :])
    try:
        judged = judge(spoiled, BASE, now=NOW)
        assert changes(judged)
    except AlmenaraError:
        return
    assert judged.proposal.parts[0].metadata == canonical(judged.root)


def test_a_root_with_a_key_that_signs_nothing_is_refused() -> None:
    root = drafted()
    root.keys[TEO.key_id] = TEO.public
    with pytest.raises(Refused, match="names keys without a role"):
        judge(propose(BASE, files=BASE.files, root=root, by="ana", now=NOW), BASE, now=NOW)


def test_the_first_version_needs_both_parts() -> None:
    whole = first()
    for part in whole.parts:
        with pytest.raises(Refused, match="both root and targets"):
            judge(msgspec.structs.replace(whole, parts=(part,)), NOTHING, now=NOW)


def test_another_federation_is_not_slipped_in() -> None:
    other = encode_target(FederationFile(federation="other", schemas=()))
    files = {name: data for name, data in BASE.files.items() if not name.startswith("members/")}
    del files["audiences/op-condor.json"]
    proposal = propose(BASE, files={**files, FEDERATION_TARGET: other}, by="eva", now=NOW)
    with pytest.raises(DirectoryRefused, match="for federation other, this is ams"):
        directory_of(judge(proposal, BASE, now=NOW))


def test_what_no_reader_would_take_makes_no_directory() -> None:
    proposal = propose(BASE, files={**BASE.files, member_target(AR): b"{}"}, by="eva", now=NOW)
    with pytest.raises(DirectoryRefused):
        directory_of(judge(proposal, BASE, now=NOW))


def test_a_renewal_alone_brings_no_file() -> None:
    proposal = propose(BASE, files=BASE.files, by="eva", now=NOW + 100 * DAY)
    assert proposal.files == {}
    judged = judge(proposal, BASE, now=NOW + 100 * DAY)
    assert judged.targets.expires == NOW + 100 * DAY + TARGETS_LIFETIME
    assert judged.file("targets").startswith(b"{")
