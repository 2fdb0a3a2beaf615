"""How does a member's folder come to be, and how does the coordinator's admission enter it?

    PE/member.toml         settings, for people to edit
    PE/enrolment.json      for the coordinator: the member's name and public keys, signed
    PE/admission.json      the coordinator's answer: certificate, authority, directory
    PE/keys/               signing.json, sealing.json, tls.key: mode 0600, they never leave
                           tls.pem, ca.pem, root.json: taken from the admission
    PE/state/              the node's store, socket and lock

The folder is built beside its place and moved there, keys first and settings last; a crash leaves
a `.new-...` folder, or keys without settings, and `init_member` names what stands in its way.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from almenara.errors import Code, Misconfigured
from almenara.model.ids import federation_name, member_id
from almenara.node.settings import SETTINGS_FILE
from almenara.trust.admission import is_newer, read_member_certificate, verify_admission
from almenara.trust.certificates import create_tls_request, save_certificate
from almenara.trust.enrolment import make_enrolment
from almenara.trust.keys import (
    SealingKey,
    SigningKey,
    create_sealing_key,
    create_signing_key,
    load_sealing_key,
    load_signing_key,
)
from almenara.trust.secretfile import read_secret, replace_file

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.model.ids import MemberId
    from almenara.node.settings import MemberSettings
    from almenara.trust.admission import Admission
    from almenara.trust.directory import Directory

_FOLDER_MODE = 0o700
_PUBLIC_MODE = 0o644

# The order in which they take their place: a folder with settings has everything else.
_MADE = ("keys", "enrolment.json", SETTINGS_FILE)

_SETTINGS = """\
# Settings of one member's node. Paths are relative to this file. Every key can be set by an
# environment variable too: ALMENARA_STATE, ALMENARA_PUBLISHER_RETRY_S, and so on.
federation = "{federation}"
member = "{member}"

# Where the brokers are; without it the directory says so.
# bootstrap = "broker.example.org:9094"

# The store, the socket and the lock of the node; the private keys, which never leave.
# state = "state"
# keys = "keys"
{passphrase}
# Intervals in seconds; `almenara doctor` shows those in force.
# [publisher]
# heartbeat_interval_s = 30.0
"""

_UNPROTECTED = """
# A file of mode 0600 with the passphrase of the signing and sealing keys, if they have one.
# passphrase_file = "passphrase"
"""


class MemberKeys(NamedTuple):
    """The private keys of a member: one signs; any of the sealing keys may open, the first is in use."""

    signing: SigningKey
    sealing: tuple[SealingKey, ...]


def init_member(
    folder: Path,
    *,
    member: str,
    federation: str,
    name: str,
    now: datetime,
    passphrase_file: Path | None = None,
) -> None:
    """Create a member's keys, settings and enrolment in a folder.

    Without a passphrase the keys stand in clear, mode 0600. Raises Refused FORMAT for a wrong id or
    name, Misconfigured CONFIGURATION if anything that would be made stands there already.
    """
    identifier, federation = member_id(member), federation_name(federation)
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        for made in _MADE:
            if (folder / made).exists():
                raise Misconfigured(
                    Code.CONFIGURATION,
                    f"{folder / made}: exists already and nothing is overwritten; name another folder, or "
                    "move this one away if the member is to begin anew with other keys",
                )
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        try:
            _build(
                draft,
                member=identifier,
                federation=federation,
                name=name,
                now=now,
                passphrase_file=passphrase_file,
            )
            for made in _MADE:
                (draft / made).rename(folder / made)
        finally:
            shutil.rmtree(draft)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{folder}: cannot be written ({exc.strerror}); name a folder that you own, with free space",
        ) from exc


def _build(
    draft: Path,
    *,
    member: MemberId,
    federation: str,
    name: str,
    now: datetime,
    passphrase_file: Path | None,
) -> None:
    passphrase = read_passphrase(passphrase_file)
    keys = draft / "keys"
    keys.mkdir(mode=_FOLDER_MODE)
    enrolment = make_enrolment(
        federation=federation,
        member=member,
        name=name,
        signing_key=create_signing_key(keys / "signing.json", passphrase=passphrase),
        sealing_key=create_sealing_key(keys / "sealing.json", passphrase=passphrase),
        tls_request=create_tls_request(member, keys / "tls.key"),
        now=now,
    )
    replace_file(draft / "enrolment.json", enrolment, mode=_PUBLIC_MODE)
    stated = _UNPROTECTED
    if passphrase_file is not None:
        stated = f"passphrase_file = {_toml_string(str(passphrase_file.absolute()))}\n"
    settings = _SETTINGS.format(federation=federation, member=member, passphrase=stated)
    replace_file(draft / SETTINGS_FILE, settings.encode(), mode=_PUBLIC_MODE)


def install_admission(settings: MemberSettings, admission: Admission) -> Directory:
    """Take certificate, authority and root from an admission, and return the directory it brings.

    Installing the same one again changes nothing, and an older certificate never replaces a newer
    one. Raises what `verify_admission` raises, and Misconfigured CONFIGURATION if another root was
    installed before: a member joins one directory, once.
    """
    directory = verify_admission(
        admission,
        federation=settings.federation,
        member=settings.member,
        tls_key=settings.tls_key_path,
        source=settings.admission_path,
    )
    ca = admission.ca.encode()
    try:
        if settings.root_path.exists() and settings.root_path.read_bytes() != admission.root:
            raise Misconfigured(
                Code.CONFIGURATION,
                f"{settings.admission_path}: its directory has another root than {settings.root_path}; "
                "compare fingerprints with the coordinator, and remove that file only if this one is right",
            )
        if not settings.root_path.exists():
            replace_file(settings.root_path, admission.root, mode=_PUBLIC_MODE)
        incoming = read_member_certificate(admission.certificate.encode(), ca=ca)
        installed = (settings.certificate_path, settings.ca_path)
        if not all(path.exists() for path in installed) or is_newer(
            incoming,
            read_member_certificate(installed[0].read_bytes(), ca=installed[1].read_bytes()),
        ):
            save_certificate(settings.ca_path, ca)
            save_certificate(settings.certificate_path, admission.certificate.encode())
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{settings.keys}: cannot be read or written ({exc.strerror}); correct its owner or free space",
        ) from exc
    return directory


def require_certificate(settings: MemberSettings, now: datetime) -> None:
    """Return if the installed certificate still opens a connection.

    Raises Misconfigured CERTIFICATE_EXPIRED, or CONFIGURATION if there is none to judge.
    """
    try:
        pem, ca = settings.certificate_path.read_bytes(), settings.ca_path.read_bytes()
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{exc.filename}: cannot be read ({exc.strerror}); put the coordinator's admission.json into "
            f"{settings.folder}",
        ) from exc
    read_member_certificate(pem, ca=ca).require_valid(now, source=settings.certificate_path)


def load_keys(settings: MemberSettings) -> MemberKeys:
    """Return the member's private keys; raise Misconfigured KEY_UNREADABLE if a file does not give one."""
    passphrase = read_passphrase(settings.passphrase_file)
    older = sorted(settings.keys.glob("sealing-*.json"), reverse=True)
    return MemberKeys(
        signing=load_signing_key(settings.signing_key_uri, passphrase=passphrase),
        sealing=tuple(
            load_sealing_key(path, passphrase=passphrase) for path in (settings.sealing_key_path, *older)
        ),
    )


def read_passphrase(path: Path | None) -> bytes | None:
    """Return the first line of a file of mode 0600, None if no file is given.

    Raises Misconfigured KEY_UNREADABLE if it cannot be read, is open to others or empty.
    """
    if path is None:
        return None
    first, _, _ = read_secret(path).partition(b"\n")
    if not first:
        raise Misconfigured(Code.KEY_UNREADABLE, f"{path}: empty; write the passphrase on its first line")
    return first


def _toml_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
