"""What is wrong with a node, if anything, and what has its store seen?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.node.answers import Counts, KeptBack
from almenara.node.streams import ALARMS
from almenara.store import directory as directory_row
from almenara.store import outbox, quarantine, tally
from almenara.store.tally import Tally
from almenara.trust.continuity import TrustedDirectory
from almenara.trust.directory import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from almenara.errors import AlmenaraError
    from almenara.node.answers import StreamView
    from almenara.trust.admission import MemberCertificate
    from almenara.trust.directory import Directory


def counts(connection: Connection) -> Counts:
    """Return what the store has seen in its life."""
    seen = tally.tallies(connection)
    return Counts(
        published=seen[Tally.PUBLISHED],
        unsent=sum(outbox.unsent_counts(connection).values()),
        held=seen[Tally.HELD],
        opened=seen[Tally.OPENED],
        not_for_me=seen[Tally.NOT_FOR_ME],
        refused=sum(quarantine.refusal_counts(connection).values()),
    )


def kept_back(connection: Connection, delay: timedelta) -> tuple[KeptBack, ...]:
    """Return the changes of members' keys that have no effect yet."""
    saved = directory_row.load(connection)
    if saved is None:
        return ()
    return tuple(
        KeptBack(
            member=change.member,
            change=change.change.value,
            since=change.since,
            effective_at=change.since + delay,
        )
        for change in TrustedDirectory.from_bytes(saved).kept_back
    )


def problems(
    *,
    broker: str,
    store: AlmenaraError | None,
    directory: Directory | None,
    certificate: MemberCertificate,
    kept_back: Iterable[KeptBack],
    streams: Iterable[StreamView],
    now: datetime,
) -> tuple[str, ...]:
    """Return one line for each thing that a person should look at.

    `broker` is why it does not answer, `store` why the last write to it failed.
    """
    found = [broker] if broker else []
    if store is not None:
        found.append(store.text)
    if directory is None:
        found.append("directory: none verified yet")
    elif directory.standing(now) is not Standing.FRESH:
        expired = f"{directory.expires.first:%Y-%m-%d %H:%MZ}"
        found.append(f"directory {directory.version}: expired {expired}; reach the coordinator")
    if certificate.renewal_due(now):
        expires = f"{certificate.expires:%Y-%m-%d %H:%MZ}"
        found.append(f"certificate {certificate.name}: expires {expires}; run almenara member renew")
    found += [
        f"member {each.member}: {each.change}, without effect before {each.effective_at:%Y-%m-%d %H:%MZ}"
        for each in kept_back
    ]
    found += [
        f"stream {view.audience}/{view.publisher}: {view.state}; {view.detail}"
        for view in streams
        if view.state in ALARMS
    ]
    return tuple(found)
