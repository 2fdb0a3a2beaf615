"""What does the folder of a federation hold, and how does it come to be?

    D/federation.toml      settings, for people to edit
    D/directory/           the TUF repository: metadata/, targets/, keys/ of the roles
    D/ca/                  ca.pem, ca.key: the TLS authority
    D/operator.pem         the coordinator's own key and certificate for the cluster
    D/broker/              broker.pem, ca.pem for the embedded broker, which keeps its data here
    D/synced.json          what the cluster was made to hold; see sync.py
    D/lock

It is built beside its place and moved there, settings last: a folder without them is no federation
yet. A crash leaves a `.new-...` folder or parts that `found` names when it meets them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from almenara.bus.principals import BROKER, COORDINATOR
from almenara.coordinator.settings import SETTINGS_FILE, settings_text
from almenara.errors import Code, Misconfigured
from almenara.model.ids import REGION, federation_name
from almenara.trust.certificates import create_ca, save_ca, save_certificate
from almenara.trust.directory import AudienceKind
from almenara.trust.operators import issue_operator
from almenara.trust.repository import Repository
from almenara.trust.secretfile import replace_file
from almenara.trust.targets import (
    FEDERATION_TARGET,
    AudienceFile,
    FederationFile,
    audience_target,
    encode_target,
)
from almenara.wire.avro import sha256_hex

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.coordinator.settings import FederationSettings
    from almenara.trust.rolekeys import Thresholds

BATCH_SCHEMA = "Batch"
"""The schema that members seal; a federation begins with the one of this version alone."""

_FOLDER_MODE = 0o700
_PUBLIC_MODE = 0o644

# In the order in which they take their place.
_MADE = ("directory", "ca", "operator.pem", "broker/ca.pem", "broker/broker.pem", SETTINGS_FILE)


def found(
    folder: Path,
    settings: FederationSettings,
    *,
    title: str,
    retention_days: int,
    thresholds: Thresholds | None,
    now: datetime,
) -> None:
    """Create a federation in a folder, with the region as its one audience.

    Raises Refused FORMAT for its name, Misconfigured CONFIGURATION if anything that would be made
    stands there already, or the folder cannot be written.
    """
    federation_name(settings.name)
    text = settings_text(settings)
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        (folder / "broker").mkdir(mode=_FOLDER_MODE, exist_ok=True)
        for made in _MADE:
            if (folder / made).exists():
                raise Misconfigured(
                    Code.CONFIGURATION,
                    f"{folder / made}: exists already and nothing is overwritten; name another folder, or "
                    "move this one away if the federation is to begin anew",
                )
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        try:
            _issue_certificates(draft, settings, now)
            _publish_first(
                draft / "directory",
                settings,
                title=title,
                retention_days=retention_days,
                thresholds=thresholds,
                now=now,
            )
            replace_file(draft / SETTINGS_FILE, text.encode(), mode=_PUBLIC_MODE)
            for made in _MADE:
                (draft / made).rename(folder / made)
        finally:
            shutil.rmtree(draft)
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{folder}: cannot be written ({exc.strerror}); name a folder that you own, with free space",
        ) from exc


def _issue_certificates(draft: Path, settings: FederationSettings, now: datetime) -> None:
    for name in ("ca", "broker"):
        (draft / name).mkdir(mode=_FOLDER_MODE)
    ca = create_ca(settings.name, now)
    save_ca(ca, certificate=draft / "ca" / "ca.pem", key=draft / "ca" / "ca.key")
    save_certificate(draft / "broker" / "ca.pem", ca.pem)
    issue_operator(draft / "operator.pem", ca=ca, federation=settings.name, name=COORDINATOR, now=now)
    issue_operator(
        draft / "broker" / "broker.pem",
        ca=ca,
        federation=settings.name,
        name=BROKER,
        now=now,
        server_names=("localhost", *settings.hosts),
    )


def _publish_first(
    folder: Path,
    settings: FederationSettings,
    *,
    title: str,
    retention_days: int,
    thresholds: Thresholds | None,
    now: datetime,
) -> None:
    folder.mkdir(mode=_FOLDER_MODE)
    repository = Repository.create(folder, federation=settings.name, now=now, thresholds=thresholds)
    region = AudienceFile(kind=AudienceKind.REGION, title=title, retention_days=retention_days)
    repository.set_target(audience_target(REGION), encode_target(region))
    federation = FederationFile(
        federation=settings.name, bootstrap=settings.bootstrap, schemas=(sha256_hex(BATCH_SCHEMA),)
    )
    repository.set_target(FEDERATION_TARGET, encode_target(federation))
    repository.publish(now)
