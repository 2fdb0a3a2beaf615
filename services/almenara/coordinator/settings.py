"""What does the coordinator need to know of its federation? `federation.toml`, parsed once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import msgspec

from almenara.bus.quotas import Limits
from almenara.errors import Code, Misconfigured, Refused
from almenara.model.ids import federation_name

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS_FILE = "federation.toml"

# A list of names or addresses, each with a port if it has one; nothing that TOML would read as more.
_ADDRESS = re.compile(r"[A-Za-z0-9.,:\[\]-]{1,1000}")

_Interval = Annotated[float, msgspec.Meta(gt=0)]
_Replication = Annotated[int, msgspec.Meta(ge=1, le=32_767)]


class FederationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`federation.toml` as it stands.

    `bootstrap` is empty while the embedded broker of the same folder serves the federation; `replication`
    None follows the number of brokers (sync.py).
    """

    name: str
    bootstrap: str = ""
    hosts: tuple[str, ...] = ()
    replication: _Replication | None = None
    timestamp_interval_s: _Interval = 3600.0
    sync_interval_s: _Interval = 5.0
    quotas: Limits = Limits()


_TEMPLATE = """\
# Settings of the coordinator of one federation.
name = "{name}"

# Where members find the brokers; empty: the embedded broker of this folder says so itself.
bootstrap = "{bootstrap}"

# Names and addresses of the broker beside localhost, for its certificate.
hosts = [{hosts}]

# Brokers that hold each record. Without this line as many as there are, at most 3; of 3, one may be away.
{replication}

# How often the directory's timestamp is signed, and how often topics and access lists are compared
# with the directory.
timestamp_interval_s = 3600.0
sync_interval_s = 5.0

# What each member may use of each broker: bytes a second, and percent of the time of one of its threads.
# Who uses more is slowed down, and loses nothing.
[quotas]
producer_byte_rate = {quotas.producer_byte_rate}
consumer_byte_rate = {quotas.consumer_byte_rate}
request_percentage = {quotas.request_percentage}
"""


def settings_text(settings: FederationSettings) -> str:
    """Return `federation.toml` with a comment on each key; intervals and quotas are the defaults.

    Raises Misconfigured CONFIGURATION for a host or an address that is none.
    """
    for name in (*settings.hosts, *filter(None, (settings.bootstrap,))):
        if not _ADDRESS.fullmatch(name):
            raise Misconfigured(
                Code.CONFIGURATION, f"host {name!r}: not a name or address; want one as in broker.example.org"
            )
    return _TEMPLATE.format(
        name=settings.name,
        bootstrap=settings.bootstrap,
        hosts=", ".join(f'"{host}"' for host in settings.hosts),
        replication="# replication = 3"
        if settings.replication is None
        else f"replication = {settings.replication}",
        quotas=settings.quotas,
    )


def load_settings(folder: Path) -> FederationSettings:
    """Return the settings of a federation's folder.

    Raises Misconfigured CONFIGURATION naming the file and the key, and what to do if there is none.
    """
    file = folder / SETTINGS_FILE
    try:
        settings = msgspec.toml.decode(file.read_bytes(), type=FederationSettings)
        federation_name(settings.name)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise Misconfigured(
            Code.CONFIGURATION,
            f"{folder}: not a federation's folder (no {SETTINGS_FILE}); name it, or make one with: "
            "almenara federation init",
        ) from exc
    except OSError as exc:
        raise Misconfigured(
            Code.CONFIGURATION, f"{file}: cannot be read ({exc.strerror}); correct its owner"
        ) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, Refused) as exc:
        raise Misconfigured(Code.CONFIGURATION, f"{file}: {exc}; correct it there") from exc
    return settings
