"""How does the coordinator keep the federation going, hour after hour?

    sign what is due -> renew certificates -> synchronize the cluster -> wait -> ...

It waits for an interval, or until the directory in its folder has changed: what is taken away must
be gone at once. It answers nobody and holds nothing but files, so it may stop at any moment: for a
day nobody will notice but those who wait to be admitted (the timestamp lives 24 hours). The broker
may be away at any time; signing goes on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from almenara import clock
from almenara.coordinator import upkeep
from almenara.coordinator.federation import Federation
from almenara.coordinator.sync import Cluster
from almenara.errors import AlmenaraError, Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.coordinator.sync import Outcome

CHANGE_POLL_S = 0.25
"""How often the folder is looked at for a new version of the directory."""

RETRY_S = 1.0
"""Wait before another try when the cluster is away: it is back 4 s after a crash."""

REASSIGN = "kafka-reassign-partitions.sh, or replication in federation.toml as it is"
"""What to do about topics on fewer brokers than asked: Kafka's own tool moves records while all goes on."""

log = structlog.get_logger()


async def run(folder: Path, *, stopping: asyncio.Event) -> None:
    """Keep the federation of a folder until `stopping` is set.

    Raises Misconfigured at once if the folder holds none; later, faults are logged and waited for.
    """
    federation = Federation.open(folder)
    log.info("coordinator.started", federation=federation.name, folder=str(federation.folder))
    fault: str | None = None
    while not stopping.is_set():
        await _keep(federation)
        try:
            federation = Federation.open(folder)  # its settings may have been edited
            async with Cluster.connect(federation) as cluster:
                known = False
                while not stopping.is_set():
                    signed_at = federation.signed_at()
                    outcome = await cluster.sync(federation, now=clock.now())
                    report(outcome)
                    if not known:
                        log.info(
                            "coordinator.connected", bootstrap=cluster.bootstrap, version=outcome.version
                        )
                        warn_of_thin_topics(outcome)
                        known, fault = True, None
                    await _change(stopping, federation, signed_at)
                    if await _keep(federation) or federation.bootstrap() != cluster.bootstrap:
                        break  # connect anew: another certificate, or another place
        except AlmenaraError as error:
            if fault != error.text:
                log.warning("coordinator.waiting", code=error.code, error=error.text)
                fault = error.text
            await _wait(stopping, RETRY_S)
    log.info("coordinator.stopped", federation=federation.name)


def report(outcome: Outcome) -> None:
    """Log what a synchronization changed; what it had to put back is an alarm, rule by rule."""
    for rule in outcome.reverted.acls_removed:
        log.error("acl.reverted", rule=str(rule), found="added", version=outcome.version)
    for rule in outcome.reverted.acls_created:
        log.error("acl.reverted", rule=str(rule), found="removed", version=outcome.version)
    for topic in outcome.reverted.topics_created:
        log.error("topic.reverted", topic=topic, found="deleted", version=outcome.version)
    for topic in outcome.reverted.topics_changed:
        log.error("topic.reverted", topic=topic, found="changed", version=outcome.version)
    for quota in outcome.reverted.quotas_set:
        log.error("quota.reverted", quota=str(quota), found="changed", version=outcome.version)
    for quota in outcome.reverted.quotas_removed:
        log.error("quota.reverted", quota=str(quota), found="added", version=outcome.version)
    if outcome.turned_away is not None:
        log.warning(
            "connections.turned_away", certificates=sorted(outcome.turned_away), version=outcome.version
        )
    if outcome:
        log.info(
            "cluster.synchronized",
            version=outcome.version,
            topics_created=len(outcome.changed.topics_created),
            acls_created=len(outcome.changed.acls_created),
            acls_removed=len(outcome.changed.acls_removed),
            quotas_set=len(outcome.changed.quotas_set),
            files_published=len(outcome.published),
        )


def warn_of_thin_topics(outcome: Outcome) -> None:
    """Log which topics lie on fewer brokers than they should."""
    if thin := outcome.changed.topics_thin:
        log.warning("topics.thin", topics=thin, do=f"have them on more brokers: {REASSIGN}")


async def _keep(federation: Federation) -> bool:
    """Sign and renew what is due; return whether a certificate was renewed."""
    now = clock.now()
    try:
        if await asyncio.to_thread(upkeep.keep_signed, federation, now):
            log.info("directory.signed", federation=federation.name)
            for role, expires, remedy in await asyncio.to_thread(upkeep.expiring, federation, now):
                log.warning("directory.expires_soon", role=role, expires=expires.isoformat(), do=remedy)
        renewed = await asyncio.to_thread(upkeep.renew_certificates, federation, now)
    except AlmenaraError as error:
        level = log.error if isinstance(error, Misconfigured) else log.warning
        level("directory.unsigned", code=error.code, error=error.text)
        return False
    for path in renewed:
        log.info("certificate.renewed", path=str(path))
    return federation.operator_path in renewed


async def _change(stopping: asyncio.Event, federation: Federation, signed_at: int) -> None:
    """Wait for the interval, or until the directory was signed since."""
    deadline = asyncio.get_running_loop().time() + federation.settings.sync_interval_s
    while not stopping.is_set() and federation.signed_at() == signed_at:
        rest = deadline - asyncio.get_running_loop().time()
        if rest <= 0:
            return
        await _wait(stopping, min(rest, CHANGE_POLL_S))


async def _wait(stopping: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await stopping.wait()
