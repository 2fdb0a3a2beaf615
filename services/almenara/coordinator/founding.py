"""What does the folder of a federation hold, and how does it come to be?

    D/federation.toml      settings, for people to edit
    D/directory/           the TUF repository: metadata/, targets/, keys/ of the roles at hand
    D/proposals/           what waits for signatures of other coordinators (ceremony.py)
    D/ca/                  ca.pem, ca.key: the TLS authority
    D/operator.pem         the coordinator's own key and certificate for the cluster
    D/broker/              broker.pem, ca.pem for the embedded broker, which keeps its data here
    D/synced.json          what the cluster was made to hold; see sync.py
    D/lock

It is built beside its place and moved there, settings last: a folder without them is no federation
yet. A directory that stands there already, begun by `directory init`, is taken as it is. A crash
leaves a `.new-...` folder or parts that `found` names when it meets them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from almenara.bus.principals import BROKER, COORDINATOR
from almenara.coordinator.ceremony import (
    DIRECTORY,
    FIRST,
    PROPOSALS,
    found_directory,
    founded,
    open_repository,
    read,
)
from almenara.coordinator.settings import SETTINGS_FILE, settings_text
from almenara.errors import Code, Misconfigured
from almenara.model.ids import federation_name
from almenara.trust.certificates import create_ca, save_ca, save_certificate
from almenara.trust.operators import issue_operator
from almenara.trust.secretfile import replace_file
from almenara.trust.targets import FEDERATION_TARGET, FederationFile

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.coordinator.ceremony import Founding
    from almenara.coordinator.settings import FederationSettings

_FOLDER_MODE = 0o700
_PUBLIC_MODE = 0o644

# In the order in which they take their place.
_MADE = (DIRECTORY, PROPOSALS, "ca", "operator.pem", "broker/ca.pem", "broker/broker.pem", SETTINGS_FILE)


def found(folder: Path, settings: FederationSettings, wish: Founding, *, now: datetime) -> None:
    """Create a federation in a folder, with the region as its one audience.

    Raises Refused FORMAT for its name, Misconfigured CONFIGURATION if anything that would be made
    stands there already, or the folder cannot be written.
    """
    federation_name(settings.name)
    text = settings_text(settings)
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        (folder / "broker").mkdir(mode=_FOLDER_MODE, exist_ok=True)
        begun = founded(folder)
        if begun:
            _require_name(folder, settings.name)
        for made in _MADE:
            if (folder / made).exists() and not (begun and made in (DIRECTORY, PROPOSALS)):
                raise Misconfigured(
                    Code.CONFIGURATION,
                    f"{folder / made}: exists already and nothing is overwritten; name another folder, or "
                    "move this one away if the federation is to begin anew",
                )
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        try:
            _issue_certificates(draft, settings, now)
            if not begun:
                found_directory(draft, wish, now=now)
            replace_file(draft / SETTINGS_FILE, text.encode(), mode=_PUBLIC_MODE)
            for made in _MADE:
                if (draft / made).exists():
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


def _require_name(folder: Path, name: str) -> None:
    """Return if the directory that was begun in the folder is of this name; raise Misconfigured if not."""
    repository = open_repository(folder)
    files = repository.targets if repository.version else read(folder / PROPOSALS / FIRST).files
    begun = msgspec.json.decode(files[FEDERATION_TARGET], type=FederationFile).federation
    if begun != name:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{folder}: its directory is for federation {begun}, not {name}; name that one",
        )
