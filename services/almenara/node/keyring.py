"""Which keys does a member hold, in which files, and how are they protected? Never what is in them."""

from __future__ import annotations

import hashlib
import stat
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from almenara.errors import AlmenaraError, Code, Misconfigured
from almenara.node.identity import beside
from almenara.node.rotation import LOST
from almenara.node.settings import key_path
from almenara.trust.admission import read_member_certificate
from almenara.trust.certificates import load_tls_key, public_spki
from almenara.trust.keyfile import inspect_key_file
from almenara.trust.keyuri import open_signer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from almenara.node.settings import MemberSettings

SCRYPT = "scrypt"
CLEAR = "none"
TOKEN = "token"  # noqa: S105 - where the key is


class HeldKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key that the member holds; `fault` says why it cannot serve, empty if it can."""

    kind: str
    key_id: str
    place: str
    protection: str
    mode: str
    expires: datetime | None = None
    fault: str = ""


def key_files(settings: MemberSettings) -> tuple[Path, ...]:
    """Return every file of a private key except TLS keys: those in use, older ones, retired ones.

    What `member recover` put aside gives no key.
    """
    passed_over = (settings.root_path, settings.marks_path, settings.keys / LOST)
    found = {path for path in settings.keys.rglob("*.json") if not {path, path.parent} & {*passed_over}}
    if (following := key_path(settings.next_signing_key_uri)) is not None:
        found.add(following)
    if settings.signing_key_path is not None:
        found |= {path for path in beside(settings.signing_key_path) if path.exists()}
    return tuple(sorted(path for path in found if not path.name.startswith(".")))


def protected(settings: MemberSettings) -> bool:
    """Tell whether a passphrase is needed; raise Misconfigured KEY_UNREADABLE for a file that is no key."""
    return any(inspect_key_file(path).protected for path in key_files(settings))


def held_keys(settings: MemberSettings) -> Iterator[HeldKey]:
    """Return what there is to say of every key, without its passphrase; a token's needs its PIN."""
    for uri in (settings.signing_key_uri, settings.next_signing_key_uri):
        if uri and key_path(uri) is None:
            yield _token(uri)
    for path in key_files(settings):
        yield _file(path)
    for path in (settings.tls_key_path, settings.next_tls_key_path):
        if path.exists():
            yield _tls(settings, path)


def _token(uri: str) -> HeldKey:
    place, _, _ = uri.partition("?")
    key_id, fault = "", ""
    try:
        key_id = open_signer(uri, passphrase=None).key_id.hex()
    except AlmenaraError as error:
        fault = str(error)
    return HeldKey(kind="signing", key_id=key_id, place=place, protection=TOKEN, mode="", fault=fault)


def _file(path: Path) -> HeldKey:
    try:
        found = inspect_key_file(path)
    except Misconfigured as error:
        return HeldKey(kind="", key_id="", place=str(path), protection="", mode=_mode(path), fault=str(error))
    protection = SCRYPT if found.protected else CLEAR
    return HeldKey(
        kind=found.kind, key_id=found.key_id, place=str(path), protection=protection, mode=_mode(path)
    )


def _tls(settings: MemberSettings, path: Path) -> HeldKey:
    key_id, fault, expires = "", "", None
    try:
        key_id = hashlib.sha256(public_spki(load_tls_key(path))).hexdigest()
        if path == settings.tls_key_path and settings.certificate_path.exists():
            certificate = read_member_certificate(
                settings.certificate_path.read_bytes(), ca=settings.ca_path.read_bytes()
            )
            expires = certificate.expires
    except Misconfigured as error:
        fault = str(error)
    return HeldKey(
        kind="tls",
        key_id=key_id,
        place=str(path),
        protection=CLEAR,
        mode=_mode(path),
        expires=expires,
        fault=fault,
    )


def _mode(path: Path) -> str:
    try:
        return f"{stat.S_IMODE(path.stat().st_mode):04o}"
    except OSError as exc:
        raise Misconfigured(
            Code.KEY_UNREADABLE, f"{path}: cannot be looked at ({exc.strerror}); correct its owner"
        ) from exc
