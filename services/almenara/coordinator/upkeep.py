"""What does a federation need hour after hour, without anybody asking for it?

The timestamp is signed, what half of its life is over is renewed if its keys are here, a moved broker is
made known, certificates are renewed. What needs the holders of other keys is named in time (`expiring`).
Whatever is cut short is done by the next call.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from almenara.bus.principals import BROKER, COORDINATOR
from almenara.coordinator import ceremony
from almenara.coordinator.lock import locked
from almenara.errors import Code, Unavailable
from almenara.trust.certificates import load_ca
from almenara.trust.directory import RENEW_BEFORE
from almenara.trust.operators import issue_operator, renewal_due
from almenara.trust.repository import TIMESTAMP_LIFETIME

if TYPE_CHECKING:
    from pathlib import Path

    from almenara.coordinator.federation import Federation


class Expiring(NamedTuple):
    """A role whose keys are in people's hands, which they should sign again before it expires."""

    role: str
    expires: datetime
    remedy: str


def keep_signed(federation: Federation, now: datetime) -> bool:
    """Sign the timestamp if it is due, and whatever else is; return whether it was.

    Raises Unavailable TIMED_OUT while another command holds the lock, SIGNATURES_MISSING if a moved
    broker waits to be made known by the holders of the targets' keys.
    """
    with locked(federation.lock_path):
        repository = federation.repository()
        moved = federation.state_bootstrap(repository)
        signed_at = repository.expires.timestamp - TIMESTAMP_LIFETIME
        due = now >= signed_at + timedelta(seconds=federation.settings.timestamp_interval_s)
        if not (moved or due):
            return False
        if due:  # first: the online roles must not wait for keys that are elsewhere
            repository.sign_timestamp(now)
        idle = ceremony.waiting(federation.folder, repository.base, now=now) is None
        wanted = moved or repository.renewal_due(now)
        if wanted and idle and ceremony.can_publish(repository, now=now):
            ceremony.submit(federation.folder, repository, now=now)
        elif moved:
            raise Unavailable(
                Code.SIGNATURES_MISSING,
                f"directory: the brokers are at {federation.bootstrap()} now, and it says otherwise; run: "
                f"almenara directory propose --federation {federation.folder}",
                retry_after_s=3600.0,
            )
        return True


def expiring(federation: Federation, now: datetime) -> tuple[Expiring, ...]:
    """Return the roles that people should sign again soon, and with which command."""
    expires = federation.repository().expires
    propose = f"almenara directory propose --federation {federation.folder}"
    return tuple(
        Expiring(role, end, command)
        for role, end, command in (
            ("root", expires.root, f"{propose} --role root"),
            ("targets", expires.targets, propose),
        )
        if now >= end - RENEW_BEFORE[role]
    )


def renew_certificates(federation: Federation, now: datetime) -> tuple[Path, ...]:
    """Renew the coordinator's and the embedded broker's certificates when due; return which."""
    broker = federation.folder / "broker" / "broker.pem"
    renewed = []
    with locked(federation.lock_path):
        for path, name, servers in (
            (federation.operator_path, COORDINATOR, ()),
            (broker, BROKER, ("localhost", *federation.settings.hosts)),
        ):
            if renewal_due(path, now):
                ca = load_ca(certificate=federation.ca_path, key=federation.folder / "ca" / "ca.key")
                issue_operator(
                    path, ca=ca, federation=federation.name, name=name, now=now, server_names=servers
                )
                renewed.append(path)
    return tuple(renewed)
