"""Opening: who reads a statement, and that nobody else ever does (THREATS 6, 11, 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from almenara.errors import Code, MessageRefused, StatementRefused
from almenara.trust.admit import (
    OpenedStatement,
    ReadStatement,
    VerifiedStatement,
    admit,
    open_statement,
    read_statement,
    unwrap_sender_key,
)
from almenara.wire.messages import decode_message, encode_batch, encode_message
from almenara.wire.records import Scope
from almenara.wire.seal import SenderKey, new_sender_key, statement_key
from unit.trust.federation import AR, CL, KEYS, NOW, PE, UY, directory
from unit.trust.statements import (
    BATCH,
    CONTEXT,
    STREAM,
    K,
    alert,
    announcement,
    batch,
    statement,
)

if TYPE_CHECKING:
    from almenara.model.ids import MemberId
    from almenara.trust.directory import Directory

DIRECTORY = directory()
LIST = {"scope": Scope.LIST, "batch": batch(AR)}


def signed(**changes: Any) -> ReadStatement:  # noqa: ANN401 - any argument of make_statement
    admitted = admit(statement(**changes).record, stream=STREAM, directory=DIRECTORY, now=NOW)
    assert isinstance(admitted, VerifiedStatement)
    return read_statement(admitted)


def opened(
    said: ReadStatement, reader: MemberId = AR, *, key: SenderKey = K, found: Directory = DIRECTORY
) -> OpenedStatement:
    return open_statement(said, reader=reader, sender_key=key, directory=found)


@pytest.mark.parametrize("reader", [PE, AR, CL])
def test_every_member_of_the_audience_unwraps_the_key_and_reads(reader: MemberId) -> None:
    said = signed(key_wraps=announcement())
    key = unwrap_sender_key(said, [KEYS[reader].sealing])
    assert key == K
    read = opened(said, reader, key=key)
    assert read.recipients == ()
    assert [each.message for each in read.messages] == [decode_message(read.messages[0].item, ())]
    assert read.verified is said.verified


def test_what_is_read_is_what_was_said() -> None:
    first, second = alert(), alert()
    read = opened(signed(batch=encode_batch((), [encode_message(first), encode_message(second)])))
    assert [each.message for each in read.messages] == [first, second]
    assert [each.item for each in read.messages] == [encode_message(first), encode_message(second)]


def test_the_statement_key_opens_this_statement_and_no_other() -> None:
    assert opened(signed()).k_s == statement_key(K.key, CONTEXT, 4)
    assert opened(signed(seq=5)).k_s != opened(signed()).k_s


def test_a_list_opens_for_its_members_and_the_publisher() -> None:
    said = signed(key_wraps=announcement([AR]), **LIST)
    for reader in (PE, AR):
        read = opened(said, reader, key=unwrap_sender_key(said, [KEYS[reader].sealing]))
        assert read.recipients == (AR,)
        message = read.messages[0].message
        assert not isinstance(message, MessageRefused)
        assert message.recipients == (AR,)


def test_a_list_is_not_for_a_member_whose_slot_opens_to_noise() -> None:
    said = signed(key_wraps=announcement([AR]), **LIST)
    with pytest.raises(StatementRefused) as refusal:
        unwrap_sender_key(said, [KEYS[CL].sealing])
    assert refusal.value.code is Code.NOT_FOR_ME


def test_nobody_in_the_audience_may_be_left_out_of_what_is_for_all() -> None:
    said = signed(key_wraps=announcement([AR]))
    with pytest.raises(StatementRefused) as refusal:
        unwrap_sender_key(said, [KEYS[CL].sealing])
    assert refusal.value.code is Code.KEY_MISSING


@pytest.mark.parametrize("scope", list(Scope))
def test_a_member_without_a_slot_misses_the_key(scope: Scope) -> None:
    for said in (signed(key_wraps=announcement(), scope=scope), signed(scope=scope)):
        with pytest.raises(StatementRefused) as refusal:
            unwrap_sender_key(said, [KEYS[UY].sealing])
        assert refusal.value.code is Code.KEY_MISSING


def test_a_slot_that_does_not_open_is_a_missing_key_even_in_a_list() -> None:
    other_epoch = msgspec.structs.replace(CONTEXT, epoch=CONTEXT.epoch - 1)
    said = signed(key_wraps=announcement(context=other_epoch), **LIST)
    with pytest.raises(StatementRefused) as refusal:
        unwrap_sender_key(said, [KEYS[AR].sealing])
    assert refusal.value.code is Code.KEY_MISSING


def test_one_slot_is_tried_however_many_keys_are_held() -> None:
    said = signed(key_wraps=announcement([AR]), **LIST)
    # AR holds CL's key here as its newest: its noise decides, and AR's own slot is not tried.
    with pytest.raises(StatementRefused):
        unwrap_sender_key(said, [KEYS[CL].sealing, KEYS[AR].sealing])
    assert unwrap_sender_key(said, [KEYS[UY].sealing, KEYS[AR].sealing]) == K


def test_another_sender_key_than_the_heads_is_not_tried() -> None:
    with pytest.raises(StatementRefused) as refusal:
        opened(signed(), key=new_sender_key())
    assert refusal.value.code is Code.KEY_MISSING


def test_a_key_under_a_false_id_does_not_open() -> None:
    with pytest.raises(StatementRefused) as refusal:
        opened(signed(), key=SenderKey(key=new_sender_key().key, id=K.id))
    assert refusal.value.code is Code.KEY_COMMITMENT


def with_sealed(sealed: bytes) -> ReadStatement:
    """Return a statement that is read with other sealed bytes: its own author sealed it wrong."""
    return msgspec.structs.replace(signed(), sealed=sealed)


def test_sealed_bytes_that_were_not_sealed_under_this_head_do_not_open() -> None:
    """Ciphertext taken from one statement and signed again under another head (THREATS 6)."""
    other = signed(seq=5)
    with pytest.raises(StatementRefused) as refusal:
        opened(with_sealed(other.sealed))
    assert refusal.value.code is Code.UNSEALABLE
    with pytest.raises(StatementRefused) as padding:
        opened(with_sealed(other.sealed[:-1]))
    assert padding.value.code is Code.PADDING


def test_a_schema_that_the_directory_does_not_allow_is_not_decoded() -> None:
    found = msgspec.structs.replace(DIRECTORY, schemas=frozenset())
    with pytest.raises(StatementRefused) as refusal:
        opened(signed(batch=b"anything"), found=found)
    assert refusal.value.code is Code.SCHEMA_NOT_ALLOWED


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"anything", Code.UNKNOWN_SCHEMA), (BATCH + b"\0", Code.MALFORMED)],
    ids=["no batch", "with a tail"],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(data: bytes, code: Code) -> None:
    with pytest.raises(StatementRefused) as refusal:
        opened(signed(batch=data))
    assert refusal.value.code is code


ADDRESSED: dict[str, tuple[Scope, tuple[MemberId, ...], MemberId, bool]] = {
    "audience, nobody named": (Scope.AUDIENCE, (), AR, True),
    "audience, reader named": (Scope.AUDIENCE, (AR,), AR, False),
    "list, reader named": (Scope.LIST, (AR, CL), AR, True),
    "list, reader not named": (Scope.LIST, (CL,), AR, False),
    "list, nobody named": (Scope.LIST, (), AR, False),
    "list, nobody named, read by its publisher": (Scope.LIST, (), PE, False),
    "list, read by its publisher": (Scope.LIST, (CL,), PE, True),
    "audience, somebody named, read by its publisher": (Scope.AUDIENCE, (CL,), PE, False),
}


@pytest.mark.attacks
@pytest.mark.parametrize(
    ("scope", "recipients", "reader", "allowed"), ADDRESSED.values(), ids=ADDRESSED.keys()
)
def test_a_batch_names_its_readers_as_its_scope_says(
    scope: Scope,
    recipients: tuple[MemberId, ...],
    reader: MemberId,
    allowed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    said = signed(scope=scope, batch=batch(*recipients))
    if allowed:
        assert opened(said, reader).recipients == recipients
        return
    with pytest.raises(StatementRefused) as refusal:
        opened(said, reader)
    assert refusal.value.code is Code.NOT_A_RECIPIENT


def test_one_unreadable_message_stands_among_the_others() -> None:
    item = encode_message(alert())
    zero_id = bytes(16) + item[16:]
    read = opened(signed(batch=encode_batch((), [item, zero_id, item])))
    kinds = [isinstance(each.message, MessageRefused) for each in read.messages]
    assert kinds == [False, True, False]
    assert [each.item for each in read.messages] == [item, zero_id, item]


def test_the_same_nonce_gives_the_same_bytes() -> None:
    first, second = (statement(nonce=bytes(12)) for _ in range(2))
    assert first == second
    assert statement().record != first.record
