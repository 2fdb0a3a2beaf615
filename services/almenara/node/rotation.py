"""How does a member change its keys while its node runs, and how does it begin anew without them?

    rotate:  new keys beside the old -> enrolment.json signed by both -> coordinator -> directory
             -> the node signs with the new key, and opens what is sealed to it  (heldkeys.py)
             -> at its next start the files take their places                   (put_in_place)

Crash points: new key files without an enrolment are never used, and the command can be given again;
an enrolment that is not in the directory changes nothing; a node that was stopped when the directory
changed finds it at its next start, for the directory alone says which key signs. The old signing key
stays until then. A name that is free between two renames is made good at the next start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import structlog

from almenara.errors import Code, Misconfigured
from almenara.node.identity import beside, load_keys, read_passphrase
from almenara.node.settings import FILE_URI, absolute_key_uri
from almenara.node.settings_file import with_setting
from almenara.trust.certificates import create_tls_request, load_tls_key, tls_request
from almenara.trust.enrolment import read_enrolment, succeed
from almenara.trust.keys import (
    create_checkpoint_key,
    create_sealing_key,
    create_signing_key,
    load_checkpoint_key,
    load_sealing_key,
    load_signing_key,
)
from almenara.trust.keyuri import open_signer
from almenara.trust.secretfile import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from almenara.node.identity import MemberKeys
    from almenara.node.settings import MemberSettings
    from almenara.trust.directory import Directory
    from almenara.trust.enrolment import Enrolment
    from almenara.trust.keys import CheckpointKey, SealingKey, SigningKey
    from almenara.trust.keyuri import Signer

RETIRED = "retired"
"""The folder below the keys for signing keys that have ended; after a time they go (old_keys.py)."""

LOST = "lost"
"""The folder below the keys for files that do not give their key any more."""

_STAMP = "%Y%m%dT%H%M%S"
_PUBLIC_MODE = 0o644
_FOLDER_MODE = 0o700

log = structlog.get_logger()


class NewKeys(NamedTuple):
    """The keys that an enrolment brings; None where the one before stays."""

    signing: Signer | None
    sealing: SealingKey | None
    checkpoint: CheckpointKey | None


def rotate(
    settings: MemberSettings,
    *,
    signing: bool,
    sealing: bool,
    checkpoint: bool = False,
    now: datetime,
    signing_key: str = "",
) -> NewKeys:
    """Make new keys beside those in force, and the enrolment that announces them; a node may run.

    A new checkpoint key takes the old one's place at once: what it cannot sign yet waits for the
    directory, and a checkpoint can wait.
    `signing_key` is the URI of one that is there already, in a token for instance: member.toml then names
    it as next_signing_key. Raises Misconfigured if the keys in force cannot be read, new ones cannot be
    made beside them, or the enrolment that names them is not in the folder.
    """
    before = _enrolment(settings)
    held = load_keys(settings)
    in_force = before.signing_keys_in_force()
    if not {entry.key_id for entry in in_force} <= {key.key_id for key in held.signing}:
        raise Misconfigured(
            Code.KEY_UNREADABLE,
            f"{settings.enrolment_path}: its signing key {in_force[0].key_id.hex()} is not in "
            f"{settings.keys}; put its file there, or if it is lost: almenara member recover",
        )
    if checkpoint and held.checkpoint:
        old = held.checkpoint[0].key_id.hex()[:16]
        _move(settings.checkpoint_key_path, settings.keys / RETIRED / f"checkpoint-{old}.json")
    made = _create(
        settings, signing=signing and not signing_key, sealing=sealing, checkpoint=checkpoint, now=now
    )
    if signing_key:
        made = made._replace(signing=_name_next(settings, signing_key))
    data = succeed(
        before,
        held=held.signing,
        signing_key=made.signing,
        sealing_key=made.sealing,
        checkpoint_key=made.checkpoint,
        tls_request=_tls_request(settings),
        now=now,
    )
    replace_file(settings.enrolment_path, data, mode=_PUBLIC_MODE)
    return made


def recover(settings: MemberSettings, *, now: datetime) -> NewKeys:
    """Begin anew after the signing key was lost: new keys, and an enrolment that the old has not signed.

    A sealing key that can still be read stays, so that what is retained stays readable, and so does a
    TLS key. Files that do not give their key are put aside, not deleted. To be done while no node
    runs. Raises Misconfigured if the signing key in force can be read: then `rotate` keeps the
    members' trust without a reset.
    """
    before = _enrolment(settings)
    passphrase = read_passphrase(settings.passphrase_file)
    stamp = f"{now:{_STAMP}}"
    path = _signing_path(settings)
    signing = _readable(
        path, lambda file: load_signing_key(f"{FILE_URI}{file}", passphrase=passphrase), stamp
    )
    if signing & {entry.key_id for entry in before.signing_keys_in_force()}:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{path}: the signing key in force is here and can be read; run: almenara member rotate",
        )
    sealing = _readable(
        settings.sealing_key_path, lambda file: load_sealing_key(file, passphrase=passphrase), stamp
    )
    kept = before.sealing_key is not None and before.sealing_key.key_id in sealing
    checkpoint = _readable(
        settings.checkpoint_key_path, lambda file: load_checkpoint_key(file, passphrase=passphrase), stamp
    )
    listed = {entry.key_id for entry in before.checkpoint_keys[:1]}
    made = _create(settings, signing=True, sealing=not kept, checkpoint=not listed <= checkpoint, now=now)
    data = succeed(
        before,
        held=(),
        signing_key=made.signing,
        sealing_key=made.sealing,
        checkpoint_key=made.checkpoint,
        tls_request=_tls_request(settings),
        now=now,
    )
    replace_file(settings.enrolment_path, data, mode=_PUBLIC_MODE)
    return made


def put_in_place(settings: MemberSettings, keys: MemberKeys, directory: Directory) -> None:
    """Give the keys that the directory lists the names that the settings name; retire ended ones.

    To be done before a node starts. A signing key with an end signs no more: its file goes into a
    folder of its own. An older sealing key stays beside the new one, for it opens what is retained.
    """
    entry = directory.members.get(settings.member)
    path = settings.signing_key_path
    if entry is None:
        return
    listed = entry.signing_key_ids()
    # Not strict: the one that next_signing_key names comes after those in files.
    files = {} if path is None else dict(zip(beside(path), keys.signing, strict=False))
    if path is not None and any(key.key_id in listed for key in files.values()):
        ended = {key.key_id for key in entry.signing_keys} - set(listed)
        for file, key in files.items():
            if key.key_id in ended:
                _move(file, settings.keys / RETIRED / f"signing-{key.key_id.hex()[:16]}.json")
        _take_name(path, {file: key.key_id for file, key in files.items()}, listed)
    if entry.sealing_key is not None:
        first = settings.sealing_key_path
        sealed = {file: key.key_id for file, key in zip(beside(first), keys.sealing, strict=True)}
        wanted = entry.sealing_key.key_id
        if sealed.get(first) not in {None, wanted} and wanted in sealed.values():
            _move(first, first.with_name(f"{first.stem}-{sealed.pop(first).hex()[:16]}{first.suffix}"))
        _take_name(first, sealed, (wanted,))


def _take_name(path: Path, held: dict[Path, bytes], listed: tuple[bytes, ...]) -> None:
    found = [file for file, key_id in held.items() if key_id in listed]
    if found and not path.exists():
        _move(found[0], path)


def _move(file: Path, place: Path) -> None:
    try:
        place.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        file.rename(place)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{file}: cannot be moved to {place} ({exc.strerror}); correct the folder's owner",
        ) from exc
    log.info("key.moved", file=file.name, to=str(place.relative_to(file.parent)))


def _create(
    settings: MemberSettings, *, signing: bool, sealing: bool, checkpoint: bool, now: datetime
) -> NewKeys:
    passphrase = read_passphrase(settings.passphrase_file)

    def named(path: Path) -> Path:
        return path.with_name(f"{path.stem}-{now:{_STAMP}}{path.suffix}")

    return NewKeys(
        create_signing_key(named(_signing_path(settings)), passphrase=passphrase) if signing else None,
        create_sealing_key(named(settings.sealing_key_path), passphrase=passphrase) if sealing else None,
        create_checkpoint_key(settings.checkpoint_key_path, passphrase=passphrase) if checkpoint else None,
    )


def _name_next(settings: MemberSettings, uri: str) -> Signer:
    """Return the key of a URI once member.toml names it beside the one in force; both sign meanwhile."""
    named = absolute_key_uri(uri, settings.folder)
    if settings.next_signing_key_uri not in {"", named}:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{settings.file}: next_signing_key names another key already; if the directory lists that one, "
            "make it signing_key, else remove the line",
        )
    signer = open_signer(named, passphrase=read_passphrase(settings.passphrase_file))
    text = with_setting(settings.file.read_text(), "next_signing_key", uri)
    replace_file(settings.file, text.encode(), mode=_PUBLIC_MODE)
    return signer


def _tls_request(settings: MemberSettings) -> bytes:
    """Return a request for the TLS key in use, which a renewal may have changed since the last enrolment."""
    path = settings.tls_key_path
    if path.exists():
        return tls_request(settings.member, load_tls_key(path))
    return create_tls_request(settings.member, path)


def _enrolment(settings: MemberSettings) -> Enrolment:
    try:
        return read_enrolment(settings.enrolment_path.read_bytes())
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{settings.enrolment_path}: cannot be read ({exc.strerror}); put the last enrolment of this "
            "member there: its coordinator has a copy",
        ) from exc


def _signing_path(settings: MemberSettings) -> Path:
    path = settings.signing_key_path
    if path is None:
        raise Misconfigured(
            Code.CONFIGURATION,
            "signing_key: not a file; make the new key where the old one is, and name it in member.toml",
        )
    return path


def _readable(
    path: Path, load: Callable[[Path], SigningKey | SealingKey | CheckpointKey], stamp: str
) -> set[bytes]:
    """Return the ids of the keys that these files give; put aside those that give none."""
    found = set()
    for file in beside(path):
        try:
            found.add(load(file).key_id)
        except Misconfigured:
            if file.exists():
                _move(file, file.parent / LOST / f"{file.stem}-{stamp}{file.suffix}")
    return found
