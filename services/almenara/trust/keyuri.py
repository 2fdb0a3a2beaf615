"""Which key signs for a member? The one that a URI names: `file:PATH`, or `pkcs11:...` in a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from almenara.errors import Code, Misconfigured
from almenara.trust.keys import load_signing_key
from almenara.trust.tokenuri import SCHEME

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Signer(Protocol):
    """Who signs, and how: `trust.keys.SigningKey` in memory, or `trust.token.TokenKey`."""

    @property
    def key_id(self) -> bytes:
        """Return SHA-256 of the SubjectPublicKeyInfo."""

    @property
    def spki(self) -> bytes:
        """Return the SubjectPublicKeyInfo in DER."""

    @property
    def public(self) -> Ed25519PublicKey:
        """Return the public half."""

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of the bytes.

        It may block. Raises Unavailable KEY_AWAY or Misconfigured KEY_UNREADABLE if the key is in a
        token that does not sign.
        """


def open_signer(uri: str, *, passphrase: bytes | None) -> Signer:
    """Return the signing key that a URI names; a passphrase is for a file, a token has its PIN.

    Raises Misconfigured CONFIGURATION for a scheme other than `file:` and `pkcs11:`, or if the extra
    for tokens is not installed, and what `load_signing_key` and `open_token_key` raise.
    """
    if uri.startswith(SCHEME):
        try:
            from almenara.trust.token import open_token_key
        except ImportError as exc:
            raise Misconfigured(
                Code.CONFIGURATION, "signing key pkcs11: no library for tokens here; install almenara[pkcs11]"
            ) from exc
        return open_token_key(uri)
    return load_signing_key(uri, passphrase=passphrase)
