"""What does a backup of a member's keys hold, and how does a folder come out of it?

It holds all private keys, those that only open what is retained too, certificates, settings, enrolment,
admission, and how far the member had spoken, but not the store: that changes with every message, and
a copy of it is old at once.

Restored into a folder beside its place, each key checked against its id, then moved there; a crash
leaves a `.new-...` folder and no settings.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from almenara.errors import Code, Misconfigured
from almenara.node.identity import beside
from almenara.node.keyring import key_files
from almenara.node.settings import FILE_URI, SETTINGS_FILE, key_path, load_settings
from almenara.node.settings_file import with_setting
from almenara.trust.certificates import load_certificate, load_tls_key
from almenara.trust.keybackup import BackupHeader, open_backup, read_backup, seal_backup
from almenara.trust.keyfile import inspect_key_file, rewrapped
from almenara.trust.keys import load_checkpoint_key, load_sealing_key, load_signing_key
from almenara.trust.refresh import root_fingerprint
from almenara.trust.secretfile import SECRET_MODE, read_secret, replace_file, write_secret

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.node.settings import MemberSettings

_MARKS = "keys/said.json"
_FOLDER_MODE = 0o700
_PUBLIC_MODE = 0o644
_PUBLIC = frozenset(
    {"keys/tls.pem", "keys/ca.pem", "keys/root.json", SETTINGS_FILE, "enrolment.json", "admission.json"}
)


def back_up(
    settings: MemberSettings, output: Path, *, passphrase: bytes | None, under: bytes, now: datetime
) -> tuple[str, ...]:
    """Write all keys to one new file under a passphrase of its own; return the names of what it holds.

    `passphrase` opens the keys as they stand. A key in a token is not in it. Raises Misconfigured if a
    key does not open, the file exists or cannot be written.
    """
    files = {}
    try:
        for path in key_files(settings):
            opened = rewrapped(path, read_secret(path), passphrase=passphrase, new=None)
            files[_name(settings, path)] = opened
        files |= {name: path.read_bytes() for name, path in _copied(settings).items() if path.exists()}
        files[SETTINGS_FILE] = _own_places(settings.file.read_text(), settings).encode()
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{exc.filename}: cannot be read ({exc.strerror}); correct its owner"
        ) from exc
    root = files.get("keys/root.json")
    header = BackupHeader(
        federation=settings.federation,
        member=settings.member,
        root_fingerprint="" if root is None else root_fingerprint(root),
        made_at=now,
    )
    write_secret(output, seal_backup(header, files, passphrase=under))
    return tuple(sorted(files))


def restore(
    backup: Path, folder: Path, *, under: bytes, new: bytes | None, passphrase_file: Path | None
) -> BackupHeader:
    """Make a member's folder out of a backup, its keys under a new passphrase or none; return whose it is.

    Raises Misconfigured KEY_UNREADABLE if the backup does not open or a key is not the one its id names,
    CONFIGURATION if the folder holds anything or cannot be written.
    """
    header, data = read_backup(backup)
    files = open_backup(backup, data, passphrase=under)
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Misconfigured(
                Code.CONFIGURATION,
                f"{folder}: not empty, and nothing is overwritten; name an empty or new folder",
            )
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        try:
            _lay_out(draft, files, new=new)
            _require_keys(load_settings(draft, environ={}), new)
            if passphrase_file is not None:
                file = draft / SETTINGS_FILE
                named = with_setting(file.read_text(), "passphrase_file", str(passphrase_file.absolute()))
                replace_file(file, named.encode(), mode=_PUBLIC_MODE)
            # Settings last: a folder with settings has everything else.
            for made in sorted(draft.iterdir(), key=lambda path: path.name == SETTINGS_FILE):
                made.rename(folder / made.name)
        finally:
            shutil.rmtree(draft)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{folder}: cannot be written ({exc.strerror}); name a folder that you own, with free space",
        ) from exc
    return header


def _copied(settings: MemberSettings) -> dict[str, Path]:
    """Return what is copied as it stands, by its name in the backup and in a restored folder."""
    return {
        "keys/tls.key": settings.tls_key_path,
        "keys/tls-next.key": settings.next_tls_key_path,
        "keys/tls.pem": settings.certificate_path,
        "keys/ca.pem": settings.ca_path,
        "keys/root.json": settings.root_path,
        _MARKS: settings.marks_path,
        "enrolment.json": settings.enrolment_path,
        "admission.json": settings.admission_path,
    }


def _name(settings: MemberSettings, path: Path) -> str:
    if path.is_relative_to(settings.keys):
        return str(PurePosixPath("keys", path.relative_to(settings.keys)))
    # A signing key of its own place comes back among the others, under the name that is looked for there.
    named = settings.signing_key_path
    if named is not None and path in beside(named):
        return f"keys/signing{path.stem.removeprefix(named.stem)}{path.suffix}"
    return f"keys/signing-{path.stem}{path.suffix}"


def _own_places(text: str, settings: MemberSettings) -> str:
    """Return the settings with every file where a restored folder has it."""
    changed = with_setting(with_setting(text, "keys", None), "passphrase_file", None)
    if settings.signing_key_path is not None:
        changed = with_setting(changed, "signing_key", None)
    if key_path(settings.next_signing_key_uri) is not None:
        changed = with_setting(changed, "next_signing_key", None)
    return with_setting(changed, "state", None)


def _lay_out(folder: Path, files: dict[str, bytes], *, new: bytes | None) -> None:
    """Write the files, keys under the new passphrase at once: in clear they never touch this disk."""
    for name, data in files.items():
        path = folder / name
        public = name in _PUBLIC
        if path.suffix == ".json" and not public and name != _MARKS:
            content = rewrapped(path, data, passphrase=None, new=new)
        else:
            content = data
        path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        replace_file(path, content, mode=_PUBLIC_MODE if public else SECRET_MODE)


def _require_keys(settings: MemberSettings, passphrase: bytes | None) -> None:
    """Return if every key is the one that its id names, and the certificate that of its key."""
    for path in key_files(settings):
        kind = inspect_key_file(path).kind
        if kind == "sealing":
            load_sealing_key(path, passphrase=passphrase)
        elif kind == "signing":
            load_signing_key(f"{FILE_URI}{path}", passphrase=passphrase)
        elif kind == "checkpoint":
            load_checkpoint_key(path, passphrase=passphrase)
    if settings.certificate_path.exists():
        public = load_certificate(settings.certificate_path.read_bytes()).public_key()
        if public != load_tls_key(settings.tls_key_path).public_key():
            raise Misconfigured(
                Code.KEY_UNREADABLE,
                f"backup: its {settings.certificate_path.name} is not that of its "
                f"{settings.tls_key_path.name}; use an older one",
            )
