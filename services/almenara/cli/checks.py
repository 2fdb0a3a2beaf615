"""What does doctor look at in the member's folder, store and directory, without any network?

Each check returns what it saw and what to do about it; it raises nothing that a person can mend.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from almenara.errors import AlmenaraError, Refused, Unavailable
from almenara.node.housekeeping import MARGIN, cutoffs_of
from almenara.node.identity import install_admission, load_keys, own_enrolment, require_certificate
from almenara.store import directory as directory_row
from almenara.store.compaction import size_of
from almenara.store.database import Store
from almenara.store.retention import oldest_message
from almenara.store.tables import SCHEMA_VERSION
from almenara.trust.admission import RENEWAL_TIME, read_admission
from almenara.trust.continuity import TrustedDirectory
from almenara.trust.directory import GRACE, RENEW_BEFORE, MemberStatus, Standing
from almenara.trust.refresh import root_fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection

    from almenara.model.ids import AudienceId
    from almenara.node.identity import MemberKeys
    from almenara.node.settings import MemberSettings
    from almenara.trust.directory import Directory

DISK_FEW = 1 << 30
"""Bytes free below which doctor warns: a busy week of one member's stream."""

DISK_NONE = 100 << 20
"""Bytes free below which the store may stop any minute: SQLite's log alone grows to tens of MiB."""

TRIM_LATE = timedelta(days=1)
"""How long what is over may still be there: the node looks every hour, and trims millions within hours."""

ROLE_SIGNERS = {
    "root": "the holders of the root's keys, who sign it again (almenara directory propose --role root)",
    "targets": "the holders of the targets' keys, who sign them again (almenara directory propose)",
    "snapshot": "the coordinator, whose daemon signs it (almenara coordinator run)",
    "timestamp": "the coordinator, whose daemon signs it every hour (almenara coordinator run)",
}
"""Who must sign each role of the directory next."""


class Verdict(StrEnum):
    """Say how a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """What one check saw, and what to do; `status` is the exit status that a failure asks for."""

    check: str
    verdict: Verdict
    seen: str
    remedy: str = ""
    status: int = 0


def ok(check: str, seen: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(check, Verdict.OK, seen)


def warn(check: str, seen: str, remedy: str) -> Finding:
    """Return a finding that a person should look at."""
    return Finding(check, Verdict.WARN, seen, remedy)


def fail(check: str, seen: str, remedy: str, *, kind: type[AlmenaraError] = Refused) -> Finding:
    """Return a finding of something that does not work, of the kind that the error would be."""
    return Finding(check, Verdict.FAIL, seen, remedy, kind.exit_status)


def failed(check: str, error: AlmenaraError) -> Finding:
    """Return the finding of an error, whose text says what to do behind its semicolon."""
    seen, _, remedy = error.text.rpartition("; ")
    return Finding(check, Verdict.FAIL, f"{seen or remedy} [{error.code}]", remedy, error.exit_status)


def intervals(settings: MemberSettings) -> Finding:
    """Show the intervals in force, in seconds."""
    found = [
        f"{name.removesuffix('_s').replace('_', ' ')} {getattr(part, name):g} s"
        for part in (settings.publisher, settings.subscriber, settings.housekeeping)
        for name in part.__struct_fields__
        if name.endswith("_s")
    ]
    return ok("intervals", ", ".join(found))


def certificate(settings: MemberSettings, now: datetime) -> Finding:
    """Look at admission and TLS certificate, installing the admission as the node does when it starts."""
    try:
        install_admission(settings, read_admission(settings.admission_path))
        held = require_certificate(settings, now)
    except AlmenaraError as error:
        return failed("certificate", error)
    seen = f"{held.name} of {held.federation}, expires {_date(held.expires)}"
    if held.renewal_due(now):
        days = RENEWAL_TIME.days
        remedy = (
            f"less than {days} days: run almenara member renew, then the coordinator admits what it writes"
        )
        return warn("certificate", seen, remedy)
    return ok("certificate", seen)


def keys(settings: MemberSettings) -> tuple[Finding, MemberKeys | None]:
    """Look at the private keys: there, of mode 0600, readable with the passphrase."""
    try:
        held = load_keys(settings)
    except AlmenaraError as error:
        return failed("keys", error), None
    signing, sealing, checkpoint = (
        f"{keys[0].key_id.hex()}{f' and {len(keys) - 1} more' if len(keys) > 1 else ''}" if keys else "none"
        for keys in held
    )
    return ok("keys", f"signing {signing}, sealing {sealing}, checkpoint {checkpoint}"), held


def store(settings: MemberSettings) -> Iterator[Finding]:
    """Look at the store: there, of this program's schema, free to be written, with space on its disk."""
    try:
        opened = Store.open(settings.store_place)
        try:
            opened.write_now(directory_row.load)  # a write transaction that changes nothing
        finally:
            opened.close()
    except AlmenaraError as error:
        yield failed("store", error)
    else:
        yield ok("store", f"{settings.store_place}, schema {SCHEMA_VERSION}, can be written")
    free = shutil.disk_usage(settings.state if settings.state.exists() else settings.folder).free
    seen = f"{free / (1 << 30):.1f} GiB free"
    if free < DISK_NONE:
        yield fail("disk", seen, "free space now: nothing more can be accepted soon", kind=Unavailable)
    elif free < DISK_FEW:
        yield warn("disk", seen, "free space, or move the state folder to a larger disk")
    else:
        yield ok("disk", seen)


def retention(settings: MemberSettings, known: Directory, now: datetime) -> Finding:
    """Look at what the store holds, and whether what has outlived its retention goes."""
    cutoffs = cutoffs_of(known, now)

    def work(connection: Connection) -> tuple[int, dict[AudienceId, int]]:
        oldest = ((name, oldest_message(connection, name)) for name in cutoffs)
        return size_of(connection), {name: at for name, at in oldest if at is not None}

    try:
        opened = Store.open(settings.store_place)
    except AlmenaraError as error:
        return failed("retention", error)
    try:
        size, oldest = opened.read_now(work)
    finally:
        opened.close()
    goes = {name: now + timedelta(microseconds=at - cutoffs[name].before) for name, at in oldest.items()}
    shown = [
        f"{name} keeps {known.audiences[name].retention_days} days and {MARGIN.days}" for name in cutoffs
    ]
    shown += [f"the oldest of {name} goes {_date(at)}" for name, at in goes.items()]
    seen = f"{size / (1 << 20):.1f} MiB; {', '.join(shown)}"
    late = [name for name, at in goes.items() if at < now - TRIM_LATE]
    if not late:
        return ok("retention", seen)
    return warn(
        "retention", seen, f"{', '.join(late)}: a running node trims it; see its log for store.not_trimmed"
    )


def trusted_directory(settings: MemberSettings) -> TrustedDirectory | None:
    """Return the directory that the store keeps, None if there is no store or it has none yet."""
    try:
        opened = Store.open(settings.store_place)
    except AlmenaraError:
        return None
    try:
        saved = opened.read_now(directory_row.load)
        return None if saved is None else TrustedDirectory.from_bytes(saved)
    finally:
        opened.close()


def directory(
    settings: MemberSettings, trusted: TrustedDirectory | None, held: MemberKeys | None, now: datetime
) -> Iterator[Finding]:
    """Look at the directory: its standing, when each role expires, what is kept back, who we are in it."""
    if trusted is None:
        yield fail(
            "directory",
            "none verified yet",
            "start the node, and see that the broker answers",
            kind=Unavailable,
        )
        return
    known = trusted.directory()
    fingerprint = root_fingerprint(settings.root_path.read_bytes())
    seen = f"version {known.version}, {known.standing(now)}, root {fingerprint}"
    match known.standing(now):
        case Standing.FRESH:
            yield ok("directory", seen)
        case Standing.GRACE:
            end = _date(known.expires.first + GRACE)
            yield warn("directory", seen, f"reach the coordinator: publishing stops {end}")
        case Standing.EXPIRED:
            remedy = "reach the coordinator: publishing goes on after the next refresh"
            yield fail("directory", seen, remedy, kind=Unavailable)
    for role, signers in ROLE_SIGNERS.items():
        expires: datetime = getattr(known.expires, role)
        due = expires - RENEW_BEFORE[role]
        seen = f"expires {_date(expires)}, to be signed again by {_date(due)}"
        if now < due:
            yield ok(f"directory {role}", seen)
        else:
            yield warn(f"directory {role}", seen, f"ask {signers}")
    for change in trusted.kept_back:
        yield warn(
            f"member {change.member}",
            f"{change.change}: keys that it has not vouched for, kept back since {_date(change.since)}",
            f"ask it by telephone, then: almenara member approve {change.member}",
        )
    yield from _ourselves(settings, known, held, now)


def _ourselves(
    settings: MemberSettings, known: Directory, held: MemberKeys | None, now: datetime
) -> Iterator[Finding]:
    entry = known.members.get(settings.member)
    if entry is None:
        yield fail(
            "membership", f"{settings.member} is not in it", "ask the coordinator to admit this member"
        )
        return
    audiences = ", ".join(audience.id for audience in known.audiences_of(settings.member, now=now))
    why = f" ({entry.reason})" if entry.reason else ""
    seen = f"{entry.id}, {entry.name}: {entry.status}{why}, in {audiences or 'no audience'}"
    if entry.status is MemberStatus.ACTIVE:
        yield ok("membership", seen)
    else:
        yield fail("membership", seen, "ask the coordinator why")
    if held is None:
        return
    sealing = entry.sealing_key
    if not set(entry.signing_key_ids()) & {key.key_id for key in held.signing}:
        remedy = "find the folder whose keys were enrolled; if it is lost: almenara member recover"
        yield fail("keys enrolled", "the directory has another signing key of this member", remedy)
    elif sealing is None or sealing.key_id not in {key.key_id for key in held.sealing}:
        remedy = "find the folder whose keys were enrolled: nothing new can be opened without"
        yield fail("keys enrolled", "the directory has another sealing key of this member", remedy)
    elif own_enrolment(settings) not in {b"", entry.enrolment.digest}:
        remedy = f"send {settings.enrolment_path} to the coordinator, who runs: almenara member admit"
        yield warn("keys enrolled", "the directory does not have this member's newest enrolment", remedy)
    else:
        yield ok("keys enrolled", "the directory has both, without an end")


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%MZ}"
