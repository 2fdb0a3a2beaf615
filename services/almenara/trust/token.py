"""How does a member sign with a key that never leaves a token (PKCS#11): an HSM, a card, SoftHSM?

    open --(sign fails: token away)--> closed --(next sign: library begins anew)--> open
                                          |
                                          +--(PIN refused)--> closed until the PIN source has another one

The last arrow keeps a daemon that tries again and again from locking the token. A call into the
library may block, so a daemon signs in a thread. The library is one state of the whole process,
whoever uses it, hence one lock. Imported where a URI asks for it: pkcs11 is an extra.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import TYPE_CHECKING

import pkcs11
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11.types import SignMixin

from almenara.errors import Code, Misconfigured, Unavailable
from almenara.trust.keys import ED25519_BYTES
from almenara.trust.secretfile import read_secret
from almenara.trust.tokenuri import parse_token_uri

if TYPE_CHECKING:
    from almenara.trust.tokenuri import TokenUri

PIN_VARIABLE = "ALMENARA_PKCS11_PIN"
"""Holds the PIN where the URI has no pin-source."""

# What a token proves that it can do before the node relies on it; no record's signed bytes begin so.
_TRIAL = b"almenara/v1/token-trial"

_PIN_REFUSALS = (
    pkcs11.PinExpired,
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinLocked,
    pkcs11.UserPinNotInitialized,
)

_LIBRARY = threading.RLock()


class _PinRefused(Misconfigured):
    def __init__(self, uri: TokenUri) -> None:
        text = f"{uri}: the token refuses the PIN; correct it before the token locks itself"
        super().__init__(Code.KEY_UNREADABLE, text)


class TokenKey:
    """A member's Ed25519 signing key in a token; `open_token_key` makes one."""

    __slots__ = ("_private", "_refused_pin", "_uri", "key_id", "public", "spki")

    def __init__(self, uri: TokenUri, private: SignMixin, public: Ed25519PublicKey) -> None:
        self._uri = uri
        self._private: SignMixin | None = private
        self._refused_pin: str | None = None
        self.public = public
        self.spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = hashlib.sha256(self.spki).digest()

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of the bytes; it may block.

        Raises Unavailable KEY_AWAY while the token does not sign, Misconfigured KEY_UNREADABLE if
        it came back with another key or refuses the PIN.
        """
        with _LIBRARY:
            if self._private is None:
                self._private = self._reopened()
            try:
                return _sign(self._private, data)
            except pkcs11.PKCS11Error as exc:
                self._private = None
                raise _away(self._uri, exc) from exc

    def _reopened(self) -> SignMixin:
        pin = _pin(self._uri)
        if pin == self._refused_pin:
            raise _PinRefused(self._uri)
        try:
            private, public = _open(self._uri, pin, anew=True)
        except _PinRefused:
            self._refused_pin = pin
            raise
        if public != self.public:
            raise _unusable(self._uri, "it is another key than when the node started", "start the node again")
        return private


def open_token_key(uri: str) -> TokenKey:
    """Return the key that a `pkcs11:` URI names, once it has signed a trial that its public half proves.

    Raises Misconfigured CONFIGURATION for the URI or a library that cannot be loaded, KEY_UNREADABLE
    for a refused PIN or a key that is missing or not Ed25519, Unavailable KEY_AWAY for a token that
    is not there.
    """
    named = parse_token_uri(uri)
    with _LIBRARY:
        private, public = _open(named, _pin(named), anew=False)
        try:
            public.verify(_sign(private, _TRIAL), _TRIAL)
        except (pkcs11.PKCS11Error, InvalidSignature) as exc:
            fault = f"it does not sign with Ed25519, CKM_EDDSA ({_name(exc)})"
            raise _unusable(named, fault, "make an Ed25519 key pair in the token") from exc
    return TokenKey(named, private, public)


def _open(uri: TokenUri, pin: str, *, anew: bool) -> tuple[SignMixin, Ed25519PublicKey]:
    """Log in and find the key pair; `anew` forgets what the library has seen of tokens before."""
    try:
        library = pkcs11.lib(str(uri.module))
    except pkcs11.PKCS11Error as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"module-path {uri.module}: not a PKCS#11 library ({exc}); name the one of the token's vendor",
        ) from exc
    try:
        if anew:
            library.reinitialize()
        token = library.get_token(token_label=uri.token, token_serial=uri.serial)
        try:
            session = token.open(user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # by another key of this process: a login is the process's
            session = token.open()
        private, public = (
            session.get_key(object_class=half, label=uri.label, id=uri.id)
            for half in (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.PUBLIC_KEY)
        )
        point = bytes(public[pkcs11.Attribute.EC_POINT])
    except (pkcs11.NoSuchKey, pkcs11.MultipleObjectsReturned, pkcs11.AttributeTypeInvalid) as exc:
        fault = f"not one Ed25519 key pair of that name ({_name(exc)})"
        raise _unusable(uri, fault, "correct object and id, or make the pair in the token") from exc
    except _PIN_REFUSALS as exc:
        raise _PinRefused(uri) from exc
    except pkcs11.PKCS11Error as exc:
        raise _away(uri, exc) from exc
    if not isinstance(private, SignMixin):
        raise _unusable(uri, "it may not sign (CKA_SIGN)", "make a key pair that may, in the token")
    # Some tokens wrap the point into an OCTET STRING, others do not; the trial tells if it is another.
    return private, Ed25519PublicKey.from_public_bytes(point[-ED25519_BYTES:])


def _sign(private: SignMixin, data: bytes) -> bytes:
    return bytes(private.sign(data, mechanism=pkcs11.Mechanism.EDDSA))


def _pin(uri: TokenUri) -> str:
    """Return the PIN from the URI's source or the environment; raise Misconfigured if there is none."""
    if uri.pin_file is not None:
        pin = read_secret(uri.pin_file).partition(b"\n")[0].decode("utf-8", "replace")
    else:
        pin = os.environ.get(PIN_VARIABLE, "")
    if not pin:
        raise _unusable(uri, "no PIN", f"name a file by pin-source, or set {PIN_VARIABLE}")
    return pin


def _name(error: BaseException) -> str:
    return type(error).__name__


def _away(uri: TokenUri, exc: Exception) -> Unavailable:
    return Unavailable(
        Code.KEY_AWAY,
        f"{uri}: the token does not answer ({_name(exc)}); connect it, or correct the URI of signing_key",
        retry_after_s=5.0,
    )


def _unusable(uri: TokenUri, fault: str, remedy: str) -> Misconfigured:
    return Misconfigured(Code.KEY_UNREADABLE, f"{uri}: {fault}; {remedy}")
