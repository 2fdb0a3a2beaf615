"""What of the cluster was not as it should be? Values that the coordinator compares and reports."""

from __future__ import annotations

import msgspec

from almenara.bus.quotas import Quota
from almenara.bus.topics import AclRule


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What `sync` had to change; empty when the cluster was as the directory says."""

    topics_created: tuple[str, ...] = ()
    topics_changed: tuple[str, ...] = ()
    acls_created: tuple[AclRule, ...] = ()
    acls_removed: tuple[AclRule, ...] = ()
    quotas_set: tuple[Quota, ...] = ()
    quotas_removed: tuple[Quota, ...] = ()

    def __bool__(self) -> bool:
        return any(msgspec.structs.astuple(self))
