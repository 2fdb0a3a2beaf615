"""One ciphertext that two keys open to two texts, built on purpose: AES-GCM takes it, the seal does not."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from almenara.errors import Code, StatementRefused
from almenara.wire.records import PAYLOAD_STATEMENT, encode_head
from almenara.wire.seal import BUCKETS, open_sealed, statement_key
from unit.wire.seals import CONTEXT, K, framed, head_for

pytestmark = pytest.mark.attacks

NONCE = bytes(12)


def block_cipher(key: bytes, block: bytes) -> bytes:
    """AES of one block, by way of a counter that starts there."""
    return Cipher(AES(key), CTR(block)).encryptor().update(bytes(16))


def multiply(left: int, right: int) -> int:
    """Multiply in GCM's field, where the first bit is the coefficient of x^0 (SP 800-38D, 6.3)."""
    product = 0
    for bit in range(127, -1, -1):
        if right >> bit & 1:
            product ^= left
        left = left >> 1 ^ (0xE1 << 120 if left & 1 else 0)
    return product


def power(base: int, exponent: int) -> int:
    result = 1 << 127
    while exponent:
        if exponent & 1:
            result = multiply(result, base)
        base = multiply(base, base)
        exponent >>= 1
    return result


def blocks(data: bytes) -> list[int]:
    padded = data.ljust(-(-len(data) // 16) * 16, b"\0")
    return [int.from_bytes(padded[at : at + 16], "big") for at in range(0, len(padded), 16)]


def tag(key: bytes, associated: bytes, ciphertext: bytes) -> int:
    hash_key = int.from_bytes(block_cipher(key, bytes(16)), "big")
    lengths = (len(associated) * 8).to_bytes(8, "big") + (len(ciphertext) * 8).to_bytes(8, "big")
    total = 0
    for block in (*blocks(associated), *blocks(ciphertext), *blocks(lengths)):
        total = multiply(total ^ block, hash_key)
    return total ^ int.from_bytes(block_cipher(key, NONCE + b"\0\0\0\1"), "big")


def collide(first: bytes, second: bytes, associated: bytes, size: int) -> bytes:
    """Return nonce, ciphertext and tag that both keys accept: the last block makes the tags meet."""
    ciphertext = bytes(size)
    difference = tag(first, associated, ciphertext) ^ tag(second, associated, ciphertext)
    # The last ciphertext block X counts X * H^2 in each tag, so X = difference / (H1^2 + H2^2).
    squares = [power(int.from_bytes(block_cipher(key, bytes(16)), "big"), 2) for key in (first, second)]
    last = multiply(difference, power(squares[0] ^ squares[1], 2**128 - 2))
    ciphertext = ciphertext[:-16] + last.to_bytes(16, "big")
    return NONCE + ciphertext + tag(first, associated, ciphertext).to_bytes(16, "big")


def test_a_ciphertext_made_for_two_keys_opens_with_the_committed_one_alone() -> None:
    first, second = statement_key(K.key, CONTEXT, 4), statement_key(K.key, CONTEXT, 5)
    head = head_for(first)
    head_bytes = encode_head(head)
    associated = framed(b"almenara/v1/sealed-batch", PAYLOAD_STATEMENT.encode(), head_bytes)
    sealed = collide(first, second, associated, BUCKETS[0])

    texts = {AESGCM(key).decrypt(NONCE, sealed[len(NONCE) :], associated) for key in (first, second)}
    assert len(texts) == 2  # the attack is real: AES-GCM takes both

    with pytest.raises(StatementRefused) as refused:
        open_sealed(second, head, head_bytes, sealed)
    assert refused.value.code == Code.KEY_COMMITMENT
