"""Three members that shared a few messages, each with its store, and no broker between them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from almenara.bus.received import Received
from almenara.demo.expected import Expected, expected
from almenara.demo.samples import Sample
from almenara.model.ids import Stream
from almenara.publisher.accept import accept
from almenara.publisher.groups import grouped
from almenara.publisher.sealing import Sealer
from almenara.store import outbox
from almenara.store.database import Store
from almenara.store.quarantine import Refusal, keep
from almenara.subscriber.absorb import Absorber
from almenara.trust.heldkeys import HeldKeys
from unit.subscriber.stream import GAP_WAIT, alert
from unit.trust.federation import AR, CL, CONDOR, KEYS, NOW, PE, REGION, directory

if TYPE_CHECKING:
    from almenara.model.ids import AudienceId, MemberId
    from almenara.model.messages import Message
    from almenara.store.outbox import OwnHead

AUDIENCES = {REGION: (PE, AR, CL), CONDOR: (PE, AR)}

MINUTE = timedelta(minutes=1)


class Desk:
    """One member: its store, what it says and what it hears."""

    def __init__(self, folder: Path, member: MemberId) -> None:
        self.member = member
        self.store = Store.create(folder / f"{member}.db")
        self.heads: dict[AudienceId, OwnHead] = {}
        self._sealer = Sealer(federation="ams", member=member, signing_keys=HeldKeys([KEYS[member].signing]))
        self._absorber = Absorber(member=member, sealing_keys=[KEYS[member].sealing], gap_wait=GAP_WAIT)
        self._offsets: dict[Stream, int] = {}

    def says(self, message: Message, audience: AudienceId, to: tuple[MemberId, ...] | None) -> bytes:
        """Commit one more statement to the store, as the publisher does, and return its record."""
        known = directory()
        accepted = accept(message, member=self.member, audience=audience, to=to, directory=known, now=NOW)
        (draft,), keys = self._sealer.draft(
            list(grouped([accepted])), heads=self.heads, directory=known, now=NOW
        )
        self._sealer.adopt(keys)
        self.heads[audience] = draft.after
        self.store.write_now(
            lambda connection: outbox.append(
                connection,
                before=draft.before,
                after=draft.after,
                records=draft.records,
                messages=draft.messages,
            )
        )
        return draft.records[0].record

    def hears(self, stream: Stream, record: bytes) -> None:
        """Absorb one record, as the subscriber does."""
        offset = self._offsets[stream] = self._offsets.get(stream, -1) + 1
        arrived = [(stream, Received("topic", offset, record, 0))]
        self.store.write_now(
            lambda connection: self._absorber.absorb(
                connection, arrived, directory=directory(), now=NOW + MINUTE
            )
        )
        self._absorber.committed()


class Scene(NamedTuple):
    """The stores, closed, and what was to be shared."""

    stores: dict[MemberId, Path]
    messages: tuple[Expected, ...]
    records: dict[Stream, list[bytes]]


def play(folder: Path) -> Scene:
    """Let PE publish three messages to the region and AR one, PE one to a list and one to op-condor."""
    desks = {member: Desk(folder, member) for member in AUDIENCES[REGION]}
    messages: list[Expected] = []
    records: dict[Stream, list[bytes]] = {}
    script: tuple[tuple[MemberId, AudienceId, tuple[MemberId, ...] | None], ...] = (
        (PE, REGION, None),
        (PE, REGION, (AR,)),
        (PE, REGION, None),
        (PE, REGION, None),
        (AR, REGION, None),
        (PE, CONDOR, None),
    )
    for number, (author, audience, to) in enumerate(script):
        message = alert(number)
        record = desks[author].says(message, audience, to)
        stream = Stream(audience, author)
        records.setdefault(stream, []).append(record)
        for reader in AUDIENCES[audience]:
            if reader != author:
                desks[reader].hears(stream, record)
        addressed = alert(number, recipients=to or ())
        messages.append(expected(Sample(author, audience, addressed), AUDIENCES))
    for desk in desks.values():
        desk.store.close()
    stores = {member: Path(str(desk.store.place)) for member, desk in desks.items()}
    return Scene(stores, tuple(messages), records)


def tamper(store: Path, *statements: str) -> None:
    """Change a store behind everybody's back."""
    with closing(sqlite3.connect(store)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def refuse(path: Path, stream: Stream, record: bytes, *, code: str) -> None:
    """Put a record into the quarantine of a store, as its subscriber would."""
    refusal = Refusal(
        audience=stream.audience,
        publisher=stream.publisher,
        offset=9,
        proven=False,
        code=code,
        detail="refused",
        kept_at=0,
        record=record,
    )
    store = Store.open(path)
    store.write_now(lambda connection: keep(connection, [refusal]))
    store.close()
