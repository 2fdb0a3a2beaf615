"""What does a signature on this proposal approve?

Lines for people, computed from the bytes that are signed and from the published version that the
signer knows, and from nothing else in the file. What a line leaves out would be signed unseen, so
every target file and every part of a root has its line.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from almenara.trust.continuity import Continuity, judge_change
from almenara.trust.enrolment import verify_enrolment
from almenara.trust.hybrid import HybridKey
from almenara.trust.judged import directory_of
from almenara.trust.rolekeys import ROLES, Quorum
from almenara.trust.targets import (
    AUDIENCES,
    FEDERATION_TARGET,
    MEMBERS,
    SUFFIX,
    AudienceFile,
    FederationFile,
    MemberFile,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tuf.api.metadata import Root

    from almenara.trust.enrolment import Enrolment
    from almenara.trust.judged import Judged

_File = TypeVar("_File", MemberFile, AudienceFile, FederationFile)


class Change(NamedTuple):
    """One line: what it is about, what becomes of it, and if the signer should ask somebody first."""

    subject: str
    text: str
    alarm: bool = False


def changes(judged: Judged) -> tuple[Change, ...]:
    """Return all that the proposal would change; raise DirectoryRefused if no reader would take it."""
    directory_of(judged)
    found: list[Change] = []
    if judged.has("root"):
        found += _root_changes(judged.base.root, judged.root)
    if judged.has("targets"):
        before, after = judged.base.files, judged.files
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                found += _target_changes(name, before.get(name), after.get(name))
        published = judged.base.targets
        old = None if published is None else published.expires
        end = _until(judged.targets.expires, old)
        found.append(Change("targets", f"version {judged.targets.version}, {end}"))
    return tuple(found)


def _root_changes(before: Root | None, after: Root) -> Iterator[Change]:
    old = None if before is None else before.expires
    yield Change("root", f"version {after.version}, {_until(after.expires, old)}")
    for role in ROLES:
        was = {} if before is None else _keys(before, role)
        now = _keys(after, role)
        quorum = Quorum(after.roles[role].threshold, len(now))
        held = None if before is None else Quorum(before.roles[role].threshold, len(was))
        if held != quorum:
            yield Change(f"signers of {role}", str(quorum) if held is None else f"{quorum} (was {held})")
        for key_id in sorted(now.keys() - was.keys()):
            yield Change(f"signers of {role}", f"+ {now[key_id]}")
        for key_id in sorted(was.keys() - now.keys()):
            yield Change(f"signers of {role}", f"- {was[key_id]}")
        for key_id in sorted(key_id for key_id in was.keys() & now.keys() if was[key_id] != now[key_id]):
            yield Change(f"signers of {role}", f"{was[key_id]} is called {now[key_id]}")


def _keys(root: Root, role: str) -> dict[str, str]:
    found = {key_id: root.keys[key_id] for key_id in root.roles[role].keyids}
    return {key_id: key.shown for key_id, key in found.items() if isinstance(key, HybridKey)}


def _target_changes(name: str, before: bytes | None, after: bytes | None) -> Iterable[Change]:
    if name.startswith(MEMBERS):
        subject = f"member {name.removeprefix(MEMBERS).removesuffix(SUFFIX)}"
        found = _member_changes(subject, _decode(before, MemberFile), _decode(after, MemberFile))
    elif name.startswith(AUDIENCES):
        subject = f"audience {name.removeprefix(AUDIENCES).removesuffix(SUFFIX)}"
        found = _audience_changes(subject, _decode(before, AudienceFile), _decode(after, AudienceFile))
    elif name == FEDERATION_TARGET and after is not None:  # there is no directory without it
        subject = "federation"
        found = _federation_changes(
            _decode(before, FederationFile), msgspec.json.decode(after, type=FederationFile)
        )
    else:
        verb = "added" if before is None else "removed" if after is None else "changed"
        return (Change(f"file {name}", f"{verb}; readers of this version pass it over"),)
    return tuple(found) or (Change(subject, "written anew, and says the same"),)


def _member_changes(subject: str, before: MemberFile | None, after: MemberFile | None) -> Iterator[Change]:
    if after is None:
        yield Change(subject, "REMOVED, with all trace of its keys", alarm=True)
        return
    new = verify_enrolment(after.enrolment)
    if before is None:
        yield Change(subject, f"ADDED: {new.name}, {after.status}, certificate generation {after.generation}")
        yield from _keys_of(subject, new)
        return
    old = verify_enrolment(before.enrolment)
    if before.status is not after.status:
        yield Change(subject, f"{after.status} (was {before.status})")
    if before.generation != after.generation:
        yield Change(
            subject,
            f"certificate generation {after.generation} (was {before.generation}): older ones are cut off",
        )
    if before.revoked_at != after.revoked_at:
        held, now = (_time(at) if at else "never" for at in (before.revoked_at, after.revoked_at))
        yield Change(subject, f"certificates revoked {now} (was {held}): none for earlier requests")
    if before.admitted_at != after.admitted_at:
        yield Change(subject, f"admitted {_time(after.admitted_at)} (was {_time(before.admitted_at)})")
    if before.enrolment.digest == after.enrolment.digest:
        return
    if judge_change(before.enrolment, after.enrolment) is Continuity.KEY_RESET:
        yield Change(
            subject,
            "KEY RESET: it did not sign this change with a key of before; ask it by telephone, and read its "
            "new keys to each other",
            alarm=True,
        )
    else:
        yield Change(subject, "new enrolment, signed with its key of before")
    if old.name != new.name:
        yield Change(subject, f"name {new.name} (was {old.name})")
    yield from _keys_of(subject, new)


def _keys_of(subject: str, enrolment: Enrolment) -> Iterator[Change]:
    for entry in enrolment.signing_keys:
        end = "" if entry.valid_until is None else f", until {_time(entry.valid_until)}"
        yield Change(subject, f"signing key {entry.key_id.hex()}, from {_time(entry.valid_from)}{end}")
    sealing = enrolment.sealing_key
    yield Change(subject, "no sealing key" if sealing is None else f"sealing key {sealing.key_id.hex()}")
    for checkpoint in enrolment.checkpoint_keys:
        yield Change(subject, f"checkpoint key {checkpoint.key_id.hex()}")
    if enrolment.tls_request:
        digest = hashlib.sha256(enrolment.tls_request.encode()).hexdigest()
        yield Change(subject, f"TLS request {digest}")


def _audience_changes(
    subject: str, before: AudienceFile | None, after: AudienceFile | None
) -> Iterator[Change]:
    if after is None:
        yield Change(subject, "REMOVED", alarm=True)
        return
    fields = ("kind", "title", "retention_days", "opens_at", "closes_at")
    yield from _field_changes(subject, before, after, fields)
    was = set() if before is None else set(before.members)
    for member in sorted(set(after.members) - was):
        yield Change(subject, f"+ {member}: may read it from now on")
    for member in sorted(was - set(after.members)):
        yield Change(subject, f"- {member}: no longer reads it")


def _federation_changes(before: FederationFile | None, after: FederationFile) -> Iterator[Change]:
    yield from _field_changes("federation", before, after, ("federation", "bootstrap"))
    was = set() if before is None else set(before.schemas)
    for schema in sorted(set(after.schemas) - was):
        yield Change("federation", f"+ schema {schema}")
    for schema in sorted(was - set(after.schemas)):
        yield Change("federation", f"- schema {schema}")


def _field_changes(
    subject: str,
    before: AudienceFile | FederationFile | None,
    after: AudienceFile | FederationFile,
    fields: tuple[str, ...],
) -> Iterator[Change]:
    for field in fields:
        new = _shown(getattr(after, field))
        if before is None:
            if new:
                yield Change(subject, f"{_words(field)}: {new}")
        elif (old := _shown(getattr(before, field))) != new:
            yield Change(subject, f"{_words(field)}: {new or 'none'} (was {old or 'none'})")


def _shown(value: object) -> str:
    return "" if value is None else _time(value) if isinstance(value, datetime) else str(value)


def _words(field: str) -> str:
    return {"bootstrap": "brokers", "federation": "name"}.get(field, field.replace("_", " "))


def _until(end: datetime, before: datetime | None) -> str:
    return f"good until {_time(end)}" + ("" if before is None else f" (was {_time(before)})")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"


def _decode(data: bytes | None, shape: type[_File]) -> _File | None:
    return None if data is None else msgspec.json.decode(data, type=shape)
