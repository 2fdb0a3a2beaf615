"""Holders of role keys, a directory that they have signed, and proposals on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from almenara.trust.hybrid import RoleKey
from almenara.trust.judged import judge, sign
from almenara.trust.proposal import NOTHING, ROOT_LIFETIME, Base, Proposal, propose
from almenara.trust.rolekeys import Quorum, Thresholds, first_root
from unit.trust.federation import NOW, targets

if TYPE_CHECKING:
    from datetime import datetime

    from tuf.api.metadata import Root

QUORUMS = Thresholds(root=Quorum(2, 3), targets=Quorum(2, 3))


def holder(name: str) -> RoleKey:
    return RoleKey(Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate(), holder=name)


ANA, LUIS, SOL, EVA, RAUL, TEO = (holder(name) for name in ("Ana", "Luis", "Sol", "Eva", "Raul", "Teo"))
"""Ana, Luis and Sol hold the root's keys, Sol, Eva and Raul the targets', Teo none; 2 of 3 must sign each."""

ONLINE = holder("online")


def root() -> Root:
    keys = {
        "root": [key.public for key in (ANA, LUIS, SOL)],
        "targets": [key.public for key in (SOL, EVA, RAUL)],
        "snapshot": [ONLINE.public],
        "timestamp": [ONLINE.public],
    }
    return first_root(keys, QUORUMS, expires=NOW.replace(microsecond=0) + ROOT_LIFETIME)


def first() -> Proposal:
    return propose(NOTHING, files=targets(), root=root(), by="ana", now=NOW)


def signed(proposal: Proposal, base: Base, *keys: RoleKey, now: datetime = NOW) -> Proposal:
    for key in keys:
        proposal = sign(judge(proposal, base, now=now), key)
    return proposal


def published() -> Base:
    """Return the first version as it is published."""
    judged = judge(signed(first(), NOTHING, ANA, LUIS, SOL, EVA), NOTHING, now=NOW)
    return Base(judged.root, judged.targets, judged.files)


BASE = published()


class Replaced(NamedTuple):
    """Change the first part of a proposal, as somebody might who passes it on."""

    proposal: Proposal

    def part(self, **changes: object) -> Proposal:
        first_part, *others = self.proposal.parts
        return msgspec.structs.replace(
            self.proposal, parts=(msgspec.structs.replace(first_part, **changes), *others)
        )

    def text(self, before: str, after: str) -> Proposal:
        """Change what is to be signed."""
        metadata = self.proposal.parts[0].metadata
        assert metadata.count(before.encode()) == 1, before
        return self.part(metadata=metadata.replace(before.encode(), after.encode()))
