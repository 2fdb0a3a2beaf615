"""What does a member's node need to know, and from which file, variable or flag does it know it?

`member.toml` < environment < flags. A key of the file is also a variable, `ALMENARA_STATE` for
`state` and `ALMENARA_PUBLISHER_RETRY_S` for `retry_s` of `[publisher]`. Paths are relative to the
file. What is unknown or of the wrong type is an error that names the key and where it stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from almenara.errors import Code, Misconfigured, Refused
from almenara.model.ids import MemberId, federation_name, member_id
from almenara.publisher.settings import PublisherSettings
from almenara.store.place import Database, Place, database, holds_password
from almenara.subscriber.settings import SubscriberSettings
from almenara.trust.replacement import finish

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SETTINGS_FILE = "member.toml"
ENVIRONMENT_PREFIX = "ALMENARA_"
FILE_URI = "file:"
REPLACEMENT_PLAN = ".replacing"


class HousekeepingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often what has outlived its retention goes, in seconds: an hour more is nothing to days of it."""

    interval_s: float = 3600.0


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`member.toml` as it stands."""

    federation: str
    member: str
    bootstrap: str = ""
    state: str = "state"
    store: str = ""
    keys: str = "keys"
    signing_key: str = ""
    next_signing_key: str = ""
    passphrase_file: str = ""
    directory_files: str = ""
    renewal_poll_s: float = 10.0
    publisher: PublisherSettings = PublisherSettings()
    subscriber: SubscriberSettings = SubscriberSettings()
    housekeeping: HousekeepingSettings = HousekeepingSettings()


class MemberSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one member's node, with absolute paths.

    `bootstrap` is empty unless a person set it: the directory says where the brokers are.
    `next_signing_key_uri` is that of a rotation to a key that is there already, empty without one.
    `store` is a PostgreSQL database, None for the file in the state folder.
    `directory_files` is a folder from which a node takes a newer directory when it starts.
    `renewal_poll_s` is how often a running node looks for a renewed certificate and for moved brokers.
    """

    file: Path
    federation: str
    member: MemberId
    bootstrap: str
    state: Path
    store: Database | None
    keys: Path
    signing_key_uri: str
    next_signing_key_uri: str
    passphrase_file: Path | None
    directory_files: Path | None
    renewal_poll_s: float
    publisher: PublisherSettings
    subscriber: SubscriberSettings
    housekeeping: HousekeepingSettings

    @property
    def folder(self) -> Path:
        """Return the member's folder."""
        return self.file.parent

    @property
    def replacement_plan(self) -> Path:
        """Return where the plan stands while keys and settings change together."""
        return self.folder / REPLACEMENT_PLAN

    @property
    def admission_path(self) -> Path:
        """Return where the coordinator's answer to the enrolment belongs."""
        return self.folder / "admission.json"

    @property
    def store_path(self) -> Path:
        """Return the member store, where it is a file."""
        return self.state / "almenara.db"

    @property
    def store_place(self) -> Place:
        """Return where the member store stands."""
        return self.store or self.store_path

    @property
    def socket_path(self) -> Path:
        """Return the Unix socket on which the node listens."""
        return self.state / "node.sock"

    @property
    def lease_path(self) -> Path:
        """Return the lock of whoever speaks for the member."""
        return self.state / "node.lock"

    @property
    def ready_path(self) -> Path:
        """Return the file that says, while the node runs, that its socket answers."""
        return self.state / "node.ready"

    @property
    def directory_cache(self) -> Path:
        """Return the folder in which the TUF client keeps what it has seen."""
        return self.state / "directory"

    @property
    def enrolment_path(self) -> Path:
        """Return the member's own word on its keys, for the coordinator."""
        return self.folder / "enrolment.json"

    @property
    def marks_path(self) -> Path:
        """Return the file that says how far this member has spoken, beside its keys and not its store."""
        return self.keys / "said.json"

    @property
    def signing_key_path(self) -> Path | None:
        """Return the file of the signing key, None if it is in a token; others stand beside as `-*.json`."""
        return key_path(self.signing_key_uri)

    @property
    def sealing_key_path(self) -> Path:
        """Return the sealing key in use; older ones stand beside it as `sealing-*.json`."""
        return self.keys / "sealing.json"

    @property
    def checkpoint_key_path(self) -> Path:
        """Return the key that signs checkpoints; a member may have none."""
        return self.keys / "checkpoint.json"

    @property
    def tls_key_path(self) -> Path:
        """Return the key of the TLS certificate."""
        return self.keys / "tls.key"

    @property
    def next_tls_key_path(self) -> Path:
        """Return the key for which a certificate has been asked and has not come yet."""
        return self.keys / "tls-next.key"

    @property
    def certificate_path(self) -> Path:
        """Return the TLS certificate, taken from the admission."""
        return self.keys / "tls.pem"

    @property
    def ca_path(self) -> Path:
        """Return the certificate of the federation's authority, taken from the admission."""
        return self.keys / "ca.pem"

    @property
    def root_path(self) -> Path:
        """Return the first root of the directory, taken from the admission."""
        return self.keys / "root.json"


def load_settings(
    path: Path, *, environ: Mapping[str, str], flags: Mapping[str, str] | None = None
) -> MemberSettings:
    """Return the settings of a member's file, or of the `member.toml` in a folder.

    `flags` are keys with their values as text, `publisher.retry_s` for one in a section. Raises
    Misconfigured CONFIGURATION naming the file, variable or flag and what is wrong with it.
    """
    file = _locate(path)
    _finish_replacement(file)
    shape = _read(file)
    for key, kind in _keys(_File):
        variable = ENVIRONMENT_PREFIX + key.replace(".", "_").upper()
        if variable in environ:
            shape = _override(shape, key, kind, environ[variable], source=variable)
    kinds = dict(_keys(_File))
    for key, value in (flags or {}).items():
        if key not in kinds:
            raise Misconfigured(
                Code.CONFIGURATION, f"setting {key!r}: not known; want one of {', '.join(kinds)}"
            )
        shape = _override(shape, key, kinds[key], value, source=f"setting {key}")
    return _resolve(file, shape)


def reread(settings: MemberSettings) -> MemberSettings:
    """Return the settings with the next signing key that their file names by now: a rotation writes it there.

    Raises Misconfigured CONFIGURATION as `load_settings`.
    """
    named = absolute_key_uri(_read(settings.file).next_signing_key, settings.folder)
    return msgspec.structs.replace(settings, next_signing_key_uri=named or settings.next_signing_key_uri)


def key_path(uri: str) -> Path | None:
    """Return the file that a key's URI names, None for a token or no URI."""
    return Path(uri.removeprefix(FILE_URI)) if uri.startswith(FILE_URI) else None


def absolute_key_uri(uri: str, folder: Path) -> str:
    """Return a key's URI; the path of a `file:` one is relative to the member's folder."""
    if uri.startswith(FILE_URI):
        return f"{FILE_URI}{folder / uri.removeprefix(FILE_URI)}"
    return uri


def _locate(path: Path) -> Path:
    return (path / SETTINGS_FILE if path.is_dir() else path).absolute()


def _finish_replacement(file: Path) -> None:
    """Make good what a crash of `almenara key protect` left half done; the settings are part of it."""
    try:
        finish(file.with_name(REPLACEMENT_PLAN))
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{exc.filename or file.parent}: cannot be written ({exc.strerror}), and key protect was "
            "interrupted; correct its owner or free space",
        ) from exc


def _read(file: Path) -> _File:
    try:
        shape = msgspec.toml.decode(file.read_bytes(), type=_File)
    except FileNotFoundError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{file}: no such file; name a member's {SETTINGS_FILE}, or make one with: almenara member init",
        ) from exc
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{file}: cannot be read ({exc.strerror}); correct its owner or the path"
        ) from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Misconfigured(Code.CONFIGURATION, f"{file}: {exc}; correct it there") from exc
    if holds_password(shape.store):
        # Programs write this file anew, for all to read.
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{file}: store holds a password; write it into a file of mode 0600 that ?passfile= names"
            " (HOST:PORT:DATABASE:USER:PASSWORD), or set ALMENARA_STORE",
        )
    return shape


def _keys(shape: type[msgspec.Struct], section: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key that takes a single value, with its type."""
    for field in msgspec.structs.fields(shape):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _keys(field.type, f"{section}{field.encode_name}.")
        else:
            yield f"{section}{field.encode_name}", field.type


def _override(shape: _File, key: str, kind: Any, text: str, *, source: str) -> _File:  # noqa: ANN401 - a type
    try:
        value = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as exc:
        raise Misconfigured(Code.CONFIGURATION, f"{source}={text!r}: {exc}; correct its value") from exc
    section, _, name = key.rpartition(".")
    if not section:
        return msgspec.structs.replace(shape, **{name: value})
    changed = msgspec.structs.replace(getattr(shape, section), **{name: value})
    return msgspec.structs.replace(shape, **{section: changed})


def _resolve(file: Path, shape: _File) -> MemberSettings:
    folder = file.parent
    keys = folder / shape.keys
    try:
        federation = federation_name(shape.federation)
        member = member_id(shape.member)
    except Refused as exc:
        raise Misconfigured(Code.CONFIGURATION, f"{file}: {exc.text}") from exc
    uri = absolute_key_uri(shape.signing_key, folder) or f"{FILE_URI}{keys / 'signing.json'}"
    return MemberSettings(
        file=file,
        federation=federation,
        member=member,
        bootstrap=shape.bootstrap,
        state=folder / shape.state,
        store=database(shape.store, folder) if shape.store else None,
        keys=keys,
        signing_key_uri=uri,
        next_signing_key_uri=absolute_key_uri(shape.next_signing_key, folder),
        passphrase_file=folder / shape.passphrase_file if shape.passphrase_file else None,
        directory_files=folder / shape.directory_files if shape.directory_files else None,
        renewal_poll_s=shape.renewal_poll_s,
        publisher=shape.publisher,
        subscriber=shape.subscriber,
        housekeeping=shape.housekeeping,
    )
