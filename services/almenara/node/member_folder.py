"""What does a member's folder hold, and how does it come to be?

    PE/member.toml         settings, for people to edit
    PE/enrolment.json      for the coordinator: the member's name and public keys, signed
    PE/renewal.json        for the coordinator: a request for the next TLS certificate, signed
    PE/admission.json      the coordinator's answer: certificate, authority, directory
    PE/keys/               signing.json, sealing.json, checkpoint.json, tls.key: mode 0600, they
                           never leave
                           tls.pem, ca.pem, root.json: taken from the admission
                           said.json: how far the member has spoken (store/highwater.py)
    PE/state/              the node's store, socket and lock

The folder is built beside its place and moved there, keys first and settings last; a crash leaves
a `.new-...` folder, or keys without settings, and `init_member` names what stands in its way.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from almenara.errors import Code, Misconfigured
from almenara.model.ids import federation_name, member_id
from almenara.node.identity import load_keys, read_passphrase
from almenara.node.settings import SETTINGS_FILE, absolute_key_uri
from almenara.trust.certificates import create_tls_key, create_tls_request, load_tls_key, tls_request
from almenara.trust.enrolment import make_enrolment
from almenara.trust.keys import create_checkpoint_key, create_sealing_key, create_signing_key
from almenara.trust.keyuri import open_signer
from almenara.trust.renewal import make_renewal
from almenara.trust.secretfile import replace_file

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.model.ids import MemberId
    from almenara.node.settings import MemberSettings
    from almenara.trust.keyuri import Signer

RENEWAL_FILE = "renewal.json"

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

# The store in PostgreSQL instead; its password belongs into the file that passfile names.
# store = "postgresql://almenara_{lower}@db.example.org:5432/almenara_{lower}?passfile=pgpass"

# The directory as plain files (almenara directory show --output), proven and taken at the start; for when
# no broker answers. Without it the first directory is then the admission's.
# directory_files = "ams-directory"
{passphrase}
# Intervals in seconds; `almenara doctor` shows those in force.
# [publisher]
# heartbeat_interval_s = 30.0
# [housekeeping]
# interval_s = 3600.0
"""

_UNPROTECTED = """
# A file of mode 0600 with the passphrase of the signing and sealing keys, if they have one.
# passphrase_file = "passphrase"
"""


def init_member(
    folder: Path,
    *,
    member: str,
    federation: str,
    name: str,
    now: datetime,
    passphrase_file: Path | None = None,
    passphrase: bytes | None = None,
    signing_key: str = "",
) -> None:
    """Create a member's keys, settings and enrolment in a folder.

    Without a passphrase, in a file that the node reads too or by itself, the keys stand in clear, mode
    0600. `signing_key` is the URI of one that is
    there already, in a token for instance. Raises Refused FORMAT for a wrong id or name,
    Misconfigured CONFIGURATION if anything that would be made stands there already, and what
    `open_signer` raises.
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
                passphrase=passphrase,
                signing_key=absolute_key_uri(signing_key, folder.absolute()),
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


def write_renewal(settings: MemberSettings, *, new_key: bool, now: datetime) -> Path:
    """Write the request for the member's next TLS certificate beside its settings; return the file.

    A new key waits in a file of its own until its certificate comes; asking again asks for the same.
    Raises Misconfigured for a key that cannot be read or a folder that cannot be written.
    """
    waiting = settings.next_tls_key_path
    if new_key and not waiting.exists():
        create_tls_key(waiting)
    key = load_tls_key(waiting if new_key else settings.tls_key_path)
    renewal = make_renewal(
        federation=settings.federation,
        member=settings.member,
        tls_request=tls_request(settings.member, key),
        signing_keys=load_keys(settings).signing,
        now=now,
    )
    path = settings.folder / RENEWAL_FILE
    try:
        replace_file(path, renewal, mode=_PUBLIC_MODE)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{path}: cannot be written ({exc.strerror}); correct the folder's owner"
        ) from exc
    return path


def _build(
    draft: Path,
    *,
    member: MemberId,
    federation: str,
    name: str,
    now: datetime,
    passphrase_file: Path | None,
    passphrase: bytes | None,
    signing_key: str,
) -> None:
    passphrase = read_passphrase(passphrase_file) or passphrase
    keys = draft / "keys"
    keys.mkdir(mode=_FOLDER_MODE)
    signer: Signer
    if signing_key:
        signer = open_signer(signing_key, passphrase=passphrase)
    else:
        signer = create_signing_key(keys / "signing.json", passphrase=passphrase)
    enrolment = make_enrolment(
        federation=federation,
        member=member,
        name=name,
        signing_key=signer,
        sealing_key=create_sealing_key(keys / "sealing.json", passphrase=passphrase),
        checkpoint_key=create_checkpoint_key(keys / "checkpoint.json", passphrase=passphrase),
        tls_request=create_tls_request(member, keys / "tls.key"),
        now=now,
    )
    replace_file(draft / "enrolment.json", enrolment, mode=_PUBLIC_MODE)
    stated = (
        _UNPROTECTED if passphrase_file is None else _line("passphrase_file", str(passphrase_file.absolute()))
    )
    if signing_key:
        stated = _line("signing_key", signing_key) + stated
    settings = _SETTINGS.format(federation=federation, member=member, lower=member.lower(), passphrase=stated)
    replace_file(draft / SETTINGS_FILE, settings.encode(), mode=_PUBLIC_MODE)


def _line(key: str, value: str) -> str:
    # A JSON string is a TOML string too.
    return f"{key} = {msgspec.json.encode(value).decode()}\n"
