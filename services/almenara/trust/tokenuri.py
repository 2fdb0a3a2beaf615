"""Which key of which token does a `pkcs11:` URI name (RFC 7512), and where does its PIN stand?

    pkcs11:token=almenara;object=signing?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/pin

The PIN itself never stands in a URI: settings are read by more eyes, and printed more often, than
keys. Attributes that are not used are refused, since ignoring one could choose another key.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec

from almenara.errors import Code, Misconfigured

SCHEME = "pkcs11:"

_PATH = frozenset({"token", "serial", "object", "id", "type"})
_QUERY = frozenset({"module-path", "pin-source"})
_FILE = "file:"


class TokenUri(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key in a token: the key by its label, its id or both."""

    token: str
    serial: bytes | None
    label: str | None
    id: bytes | None
    module: Path
    pin_file: Path | None

    def __str__(self) -> str:
        named = self.label if self.label is not None else (self.id or b"").hex()
        return f"key {named!r} of token {self.token!r}"


def parse_token_uri(uri: str) -> TokenUri:
    """Return what a `pkcs11:` URI names; raise Misconfigured CONFIGURATION if it names no single key."""
    path, _, query = uri.removeprefix(SCHEME).partition("?")
    attributes = _attributes(path, ";", _PATH)
    options = _attributes(query, "&", _QUERY)
    for name in ("token", "module-path"):
        if name not in attributes | options:
            raise _wrong(f"no {name}")
    if not attributes.keys() & {"object", "id"}:
        raise _wrong("neither object nor id")
    if attributes.get("type", b"private") != b"private":
        raise _wrong("its type is not private")
    label = attributes.get("object")
    pin_source = options.get("pin-source")
    return TokenUri(
        token=_text("token", attributes["token"]),
        serial=attributes.get("serial"),
        label=None if label is None else _text("object", label),
        id=attributes.get("id"),
        module=_absolute("module-path", options["module-path"]),
        pin_file=None if pin_source is None else _absolute("pin-source", pin_source),
    )


def _attributes(part: str, separator: str, known: frozenset[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for pair in filter(None, part.split(separator)):
        name, _, value = pair.partition("=")
        if name == "pin-value":
            raise _wrong("it holds the PIN (pin-value)")
        if name not in known:
            raise _wrong(f"attribute {name!r} is not known here")
        if name in found:
            raise _wrong(f"{name} stands twice")
        found[name] = unquote_to_bytes(value)
    return found


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as exc:
        raise _wrong(f"{name} is not UTF-8") from exc


def _absolute(name: str, value: bytes) -> Path:
    path = Path(_text(name, value).removeprefix(_FILE))
    if not path.is_absolute():
        raise _wrong(f"{name} is not an absolute path")
    return path


def _wrong(fault: str) -> Misconfigured:
    return Misconfigured(
        Code.CONFIGURATION,
        f"signing key pkcs11: {fault}; want pkcs11:token=LABEL;object=LABEL?module-path=/PATH.so"
        "&pin-source=file:/PATH",
    )
