"""What of the cluster was not as it should be? Values that the coordinator compares and reports."""

from __future__ import annotations

import msgspec

from almenara.bus.quotas import Quota
from almenara.bus.topics import AclRule


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What `sync` had to change; false when it had to change nothing.

    `topics_thin` lie on fewer brokers than they should: said, not changed, for moving records between
    brokers is for a person to decide.
    """

    topics_created: tuple[str, ...] = ()
    topics_changed: tuple[str, ...] = ()
    acls_created: tuple[AclRule, ...] = ()
    acls_removed: tuple[AclRule, ...] = ()
    quotas_set: tuple[Quota, ...] = ()
    quotas_removed: tuple[Quota, ...] = ()
    topics_thin: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(msgspec.structs.astuple(msgspec.structs.replace(self, topics_thin=())))
