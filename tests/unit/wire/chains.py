"""Statements for chain tests: real heads with made-up hashes, as a signature check would pass them on."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from almenara.model.ids import AudienceId, MemberId
from almenara.wire.chain import Place
from almenara.wire.records import Head, Scope


class Link(NamedTuple):
    """A statement reduced to what chains are made of."""

    epoch: int
    seq: int
    prev: bytes
    text: str = ""

    @property
    def place(self) -> Place:
        return Place(self.epoch, self.seq)

    @property
    def hash(self) -> bytes:
        return sha256(repr(tuple(self)).encode()).digest()

    @property
    def head(self) -> Head:
        return Head(
            federation="ams",
            audience=AudienceId("region"),
            publisher=MemberId("PE"),
            epoch=self.epoch,
            seq=self.seq,
            prev=self.prev,
            issued_at=0,
            directory_version=1,
            scope=Scope.AUDIENCE,
            elicits_receipt=True,
            sender_key=bytes(32),
            key_commitment=bytes(32),
        )


def run(epoch: int, *, prev: bytes, length: int, text: str = "") -> list[Link]:
    """Return the first statements of an epoch, each naming the one before."""
    links: list[Link] = []
    for seq in range(length):
        links.append(Link(epoch, seq, links[-1].hash if links else prev, text))
    return links
