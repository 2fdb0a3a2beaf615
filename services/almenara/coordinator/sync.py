"""Does the cluster hold what the directory says: topics, access, quotas, and the directory itself?

    lock -> directory as readers see it -> topics, rules, quotas -> synced.json -> directory topic
         -> certificates to turn away

The rules come before the directory that speaks of them, so that a reader finds what it is told of.
The broker is told last whom to turn away: it starts anew for that, and the others should know first.
What is wanted depends on the time too, for operations end by themselves.
`synced.json` remembers what the cluster was last made to hold: what differs from it was changed by
somebody else, and putting it back is an alarm; a crash before it is written only loses that alarm.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from almenara.bus.admin import Admin
from almenara.bus.drift import Drift
from almenara.bus.kafka import Reader, Sender, answers
from almenara.bus.quotas import DEFAULT_LIMITS, Limits, Quota, client_quotas
from almenara.bus.topics import (
    REPLICATION,
    AclRule,
    TopicSettings,
    directory_settings,
    stream_acls,
    stream_topic,
)
from almenara.bus.turned_away import turn_away
from almenara.coordinator.lock import locked_async
from almenara.errors import Code, Unavailable
from almenara.model.ids import Stream, directory_topic
from almenara.trust.certificates import client_context, member_name
from almenara.trust.directory import MemberStatus
from almenara.trust.secretfile import replace_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from almenara.coordinator.federation import Federation
    from almenara.trust.directory import Directory

SYNCED_FILE = "synced.json"


class Wanted(NamedTuple):
    """What the directory asks of the cluster."""

    topics: tuple[TopicSettings, ...]
    acls: frozenset[AclRule]
    quotas: frozenset[Quota]
    turned_away: frozenset[str]
    """Names of members' certificates that must not even connect."""


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster was last made to hold."""

    cluster_id: str
    topics: tuple[TopicSettings, ...]
    acls: frozenset[AclRule]
    quotas: frozenset[Quota] = frozenset()
    turned_away: frozenset[str] = frozenset()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one synchronization did: all changes, those that undid somebody else's, files published.

    `turned_away` is set when it changed: the certificates whose connections the brokers must end.
    """

    version: int
    changed: Drift
    reverted: Drift
    published: tuple[str, ...]
    turned_away: frozenset[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.changed or self.published or self.turned_away is not None)


def wanted(
    directory: Directory, *, replication: int, now: datetime, limits: Limits = DEFAULT_LIMITS
) -> Wanted:
    """Return the topics, the rules and the quotas that the directory asks for at that time.

    A member that is suspended or has left gets no rule, nor does anybody in an audience that is over.
    The topics stay for their readers: Kafka deletes what has passed its retention.
    """
    federation = directory.federation
    streams = (
        stream_topic(
            Stream(audience.id, member),
            federation=federation,
            retention=timedelta(days=audience.retention_days),
            replication=replication,
        )
        for audience in directory.audiences.values()
        for member in sorted(audience.members)
    )
    generations = {
        member.id: (member.generation,)
        for member in directory.members.values()
        if member.status is MemberStatus.ACTIVE
    }
    acls = stream_acls(
        federation,
        audiences={
            audience.id: audience.members
            for audience in directory.audiences.values()
            if not audience.is_over(now)
        },
        generations=generations,
    )
    return Wanted(
        topics=(directory_settings(federation, replication=replication), *streams),
        acls=acls,
        quotas=client_quotas(generations, limits),
        turned_away=turned_away(directory),
    )


def replication(asked: int | None, *, brokers: int, before: Synced | None) -> int:
    """Return how many brokers are to hold each record: what is asked, else as many as there are, up to 3.

    What a cluster was once made to hold so stays: a broker that is away for now changes nothing.
    """
    if asked is not None:
        return asked
    held = max((topic.replication for topic in before.topics), default=1) if before else 1
    return max(held, min(REPLICATION, brokers))


def turned_away(directory: Directory) -> frozenset[str]:
    """Return the names of the certificates that are revoked, or whose member is not active."""
    return frozenset(
        member_name(member.id, generation)
        for member in directory.members.values()
        for generation in range(1, member.generation + (member.status is not MemberStatus.ACTIVE))
    )


def undone(drift: Drift, before: Synced | None, want: Wanted) -> Drift:
    """Return the part of the changes that put back what somebody else had changed."""
    if before is None:
        return Drift()
    known = {topic.name for topic in before.topics}
    same = {topic.name for topic in frozenset(before.topics) & frozenset(want.topics)}
    return Drift(
        topics_created=tuple(name for name in drift.topics_created if name in known),
        topics_changed=tuple(name for name in drift.topics_changed if name in same),
        acls_created=tuple(rule for rule in drift.acls_created if rule in before.acls),
        acls_removed=tuple(rule for rule in drift.acls_removed if rule not in before.acls),
        quotas_set=tuple(quota for quota in drift.quotas_set if quota in before.quotas),
        quotas_removed=tuple(quota for quota in drift.quotas_removed if quota not in before.quotas),
    )


class Cluster:
    """The coordinator's connections to the cluster; `connect` opens them."""

    def __init__(self, bootstrap: str, *, admin: Admin, reader: Reader, sender: Sender) -> None:
        self.bootstrap = bootstrap
        self.admin = admin
        self.reader = reader
        self.sender = sender
        self._seen: tuple[tuple[tuple[str, bytes], ...], int] | None = None

    @classmethod
    @asynccontextmanager
    async def connect(cls, federation: Federation) -> AsyncIterator[Cluster]:
        """Lend connections with the coordinator's certificate.

        Raises Misconfigured if the certificate cannot serve or no address is known, Unavailable
        BROKER_DOWN if nobody answers there: kafka-python would try for long, and leak its sockets.
        """
        bootstrap = federation.bootstrap()
        context = client_context(
            certificate=federation.operator_path, key=federation.operator_path, ca=federation.ca_path
        )
        if not await answers(bootstrap, context):
            raise Unavailable(
                Code.BROKER_DOWN, f"broker {bootstrap}: no answer; see that it runs, then try again"
            )
        async with AsyncExitStack() as stack:
            admin = await stack.enter_async_context(Admin(bootstrap, context))
            reader = await stack.enter_async_context(Reader(bootstrap, context))
            sender = await stack.enter_async_context(Sender(bootstrap, context))
            yield cls(bootstrap, admin=admin, reader=reader, sender=sender)

    async def sync(self, federation: Federation, *, now: datetime) -> Outcome:
        """Make the cluster hold what the directory of the folder says; doing it again changes nothing.

        Raises Unavailable when the cluster does not answer or another command holds the folder for
        long. A crash leaves a part done; the next call does the rest.
        """
        # Before the lock: an absent cluster must not keep commands from the folder.
        cluster = await self.admin.describe()
        async with locked_async(federation.lock_path):
            files, directory = await asyncio.to_thread(federation.published, now)
            settings = federation.settings
            before = _read_synced(federation.folder, cluster.cluster_id)
            # The cluster names those that answer now; the embedded broker has as many as it was given.
            brokers = max(cluster.brokers, federation.embedded_nodes())
            copies = replication(settings.replication, brokers=brokers, before=before)
            want = wanted(directory, replication=copies, now=now, limits=settings.quotas)
            drift = await self.admin.sync(want.topics, want.acls, want.quotas)
            after = Synced(
                cluster_id=cluster.cluster_id,
                topics=want.topics,
                acls=want.acls,
                quotas=want.quotas,
                turned_away=want.turned_away,
            )
            if after != before:
                data = msgspec.json.encode(after, order="deterministic")
                replace_file(federation.folder / SYNCED_FILE, data)
            published = await self._publish(directory_topic(federation.name), files)
            if not settings.bootstrap:
                turn_away(federation.folder / "broker", want.turned_away)
        known = frozenset() if before is None else before.turned_away
        return Outcome(
            version=directory.version,
            changed=drift,
            reverted=undone(drift, before, want),
            published=published,
            turned_away=None if want.turned_away == known else want.turned_away,
        )

    async def _publish(self, topic: str, files: tuple[tuple[str, bytes], ...]) -> tuple[str, ...]:
        """Bring the directory topic to these files, in their order; return the names that were sent."""
        if self._seen == (files, await self.reader.end_offset(topic)):
            return ()
        held = await self._held(topic)
        sent = [(name, data) for name, data in files if held.get(name) != data]
        for name, data in sent:
            await self.sender.send_keyed(topic, name.encode(), data)
        # Last: whoever reads an older timestamp has read the files of its version before.
        gone = sorted(held.keys() - {name for name, _ in files})
        for name in gone:
            await self.sender.send_keyed(topic, name.encode(), None)
        self._seen = (files, await self.reader.end_offset(topic))
        return tuple(name for name, _ in sent)

    async def _held(self, topic: str) -> Mapping[str, bytes]:
        held: dict[str, bytes] = {}
        for record in await self.reader.read_all(topic):
            name = (record.key or b"").decode("utf-8", "replace")
            if record.value:
                held[name] = record.value
            else:
                held.pop(name, None)
        return held


def _read_synced(folder: Path, cluster_id: str) -> Synced | None:
    """Return what this cluster was made to hold; None for a new cluster, or a file that tells nothing."""
    try:
        synced = msgspec.json.decode((folder / SYNCED_FILE).read_bytes(), type=Synced)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return synced if synced.cluster_id == cluster_id else None
