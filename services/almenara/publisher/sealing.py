"""How does a group of messages become the next signed statement of its stream?

The sealer holds the live sender keys in memory alone: a restart makes new ones, as does a day's
age, a join, a leave or a reader's new key (SPEC, sender keys). What it seals counts only once the
store has it: `Draft.keys` is adopted after the commit, so a failed commit announces again. Who had no
sealing key then is owed the key: `owed` is what shares.py pays.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from almenara.clock import to_micros
from almenara.errors import Code, Unavailable
from almenara.model.ids import AudienceId, MemberId
from almenara.store.inbox import SenderKeyRow
from almenara.store.outbox import OutboxRecord, Outgoing, OwnHead
from almenara.store.owed import OwedKey
from almenara.trust.heldkeys import HeldKeys
from almenara.trust.signer import make_heartbeat, make_statement
from almenara.wire.messages import encode_batch
from almenara.wire.records import GENESIS_PREV, Heartbeat, KeyWrap, Scope
from almenara.wire.seal import SenderKey, StreamContext, new_sender_key, wrap_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from almenara.publisher.groups import Group
    from almenara.trust.directory import Directory
    from almenara.trust.keys import CheckpointKey
    from almenara.trust.keyuri import Signer

SENDER_KEY_LIFETIME = timedelta(days=1)
"""DESIGN 3: a sender key lives at most a day."""

_MILLISECOND = 1000


class LiveKey(msgspec.Struct, frozen=True, kw_only=True):
    """A sender key in use: for which epoch and which readers it was announced, and when.

    The `keyless` are readers too: one that joins must not be owed what was said before.
    """

    key: SenderKey
    epoch: int
    slots: frozenset[bytes]
    keyless: frozenset[MemberId]
    born: datetime


KeyRing = dict[tuple[AudienceId, tuple[MemberId, ...]], LiveKey]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """Signed statements of one stream that wait to be committed together."""

    before: OwnHead | None
    after: OwnHead
    records: tuple[OutboxRecord, ...]
    messages: tuple[Outgoing, ...]
    announced: tuple[SenderKeyRow, ...]
    owed: tuple[OwedKey, ...]


class Sealer:
    """Seal and sign for one member; holds its signing keys and the live sender keys.

    Which of the signing keys signs, the directory says: the one that it lists without an end.
    """

    def __init__(
        self,
        *,
        federation: str,
        member: MemberId,
        signing_keys: HeldKeys[Signer],
        checkpoint_keys: HeldKeys[CheckpointKey] | None = None,
    ) -> None:
        self._federation = federation
        self._member = member
        self.signing_keys = signing_keys
        self.checkpoint_keys = checkpoint_keys or HeldKeys(())
        self._keys: KeyRing = {}

    def signing_key(self, directory: Directory) -> Signer:
        """Return the key that signs by this directory.

        Raises Unavailable KEY_UNREADABLE if it is not held, StatementRefused UNKNOWN_MEMBER.
        """
        listed = directory.member(self._member).signing_key_ids()
        for key in self.signing_keys.keys:
            if key.key_id in listed:
                return key
        raise Unavailable(
            Code.KEY_UNREADABLE,
            f"signing key {listed[0].hex()}: the directory lists it and it is not in the folder of keys; put"
            " its file there and start the node again, or if it is lost: almenara member recover",
        )

    def checkpoint_key(self, directory: Directory) -> CheckpointKey | None:
        """Return the key that signs checkpoints: the one that the directory lists first, None if not held."""
        listed = directory.member(self._member).checkpoint_key_id
        return next((key for key in self.checkpoint_keys.keys if key.key_id == listed), None)

    def draft(
        self,
        groups: list[Group],
        *,
        heads: Mapping[AudienceId, OwnHead],
        directory: Directory,
        now: datetime,
    ) -> tuple[list[Draft], KeyRing]:
        """Return a draft for every stream the groups touch, and the keys to adopt once committed.

        Raises Unavailable when no reader of an audience can be sealed to yet.
        """
        keys = dict(self._keys)
        drafts: dict[AudienceId, Draft] = {}
        for group in groups:
            so_far = drafts.get(group.audience)
            head = so_far.after if so_far else heads.get(group.audience)
            made = self._statement(group, head, directory=directory, keys=keys, now=now)
            if so_far:
                made = Draft(
                    before=so_far.before,
                    after=made.after,
                    records=so_far.records + made.records,
                    messages=so_far.messages + made.messages,
                    announced=so_far.announced + made.announced,
                    owed=so_far.owed + made.owed,
                )
            drafts[group.audience] = made
        return list(drafts.values()), keys

    def adopt(self, keys: KeyRing) -> None:
        """Take the keys of a draft that is now committed."""
        self._keys = keys

    def _statement(
        self, group: Group, before: OwnHead | None, *, directory: Directory, keys: KeyRing, now: datetime
    ) -> Draft:
        signing_key = self.signing_key(directory)
        place = _next_place(before, directory, now, signing_key.key_id)
        context = StreamContext(
            federation=self._federation,
            audience=group.audience,
            publisher=self._member,
            epoch=place.epoch,
        )
        key, wraps = self._sender_key(group, context, directory=directory, keys=keys, now=now)
        signed = make_statement(
            signing_key,
            context=context,
            seq=place.seq,
            prev=place.prev,
            issued_at=place.issued_at,
            directory_version=place.directory_version,
            scope=Scope.LIST if group.recipients else Scope.AUDIENCE,
            elicits_receipt=group.elicits_receipt,
            sender_key=key,
            key_wraps=wraps,
            batch=encode_batch(group.recipients, [message.item for message in group.messages]),
            checkpoint_key=self.checkpoint_key(directory) if group.checkpoint else None,
        )
        after = OwnHead(
            audience=group.audience,
            epoch=place.epoch,
            seq=place.seq,
            hash=signed.hash,
            key_id=signing_key.key_id,
            issued_at=place.issued_at,
            directory_version=place.directory_version,
            fresh_epoch=False,
            **_covered(place, before, checkpoint=group.checkpoint),
        )
        return Draft(
            before=before,
            after=after,
            records=(
                OutboxRecord(
                    audience=group.audience,
                    epoch=place.epoch,
                    seq=place.seq,
                    hash=signed.hash,
                    record=signed.record,
                ),
            ),
            messages=tuple(
                Outgoing(
                    message_id=message.message_id,
                    content=message.content,
                    audience=group.audience,
                    epoch=place.epoch,
                    seq=place.seq,
                    kind=message.kind,
                    expected=message.expected,
                    accepted_at=to_micros(now),
                    reference=message.reference,
                )
                for message in group.messages
            ),
            announced=(
                SenderKeyRow(
                    audience=group.audience,
                    publisher=self._member,
                    epoch=place.epoch,
                    key_id=key.id,
                    key=key.key,
                    kept_at=to_micros(now),
                ),
            )
            if wraps
            else (),
            owed=tuple(
                OwedKey(
                    member=member,
                    audience=group.audience,
                    epoch=place.epoch,
                    key_id=key.id,
                    entitled=not group.recipients or member in group.recipients,
                )
                for member in sorted(directory.keyless(group.audience))
            )
            if wraps
            else (),
        )

    def _sender_key(
        self, group: Group, context: StreamContext, *, directory: Directory, keys: KeyRing, now: datetime
    ) -> tuple[SenderKey, tuple[KeyWrap, ...]]:
        """Return the live key of the group's readers, or a new one with its announcement."""
        slots, keyless = directory.sealing_slots(group.audience), directory.keyless(group.audience)
        place = (group.audience, group.recipients)
        live = keys.get(place)
        if (
            live is not None
            and live.epoch == context.epoch
            and live.slots == slots.keys()
            and live.keyless == keyless
            and abs(now - live.born) < SENDER_KEY_LIFETIME
        ):
            return live.key, ()
        own = directory.member(self._member).sealing_key
        if own is None or own.key_id not in slots:
            raise Unavailable(
                Code.KEY_MISSING,
                f"member {self._member}: the directory has no sealing key of ours in {group.audience}; ask"
                " the coordinator",
            )
        key = new_sender_key()
        wraps = wrap_all(
            key,
            context=context,
            slots={key_id: public for key_id, (_member, public) in slots.items()},
            entitled={
                key_id
                for key_id, (member, _public) in slots.items()
                if not group.recipients or member in group.recipients
            },
            own=own.key_id,
        )
        keys[place] = LiveKey(key=key, epoch=context.epoch, slots=frozenset(slots), keyless=keyless, born=now)
        return key, wraps

    def heartbeat(
        self,
        audience: AudienceId,
        head: OwnHead | None,
        *,
        directory: Directory,
        now: datetime,
        next_by: datetime,
    ) -> bytes:
        """Return a signed heartbeat: where the stream's head stands, seq -1 before the first.

        Raises what `signing_key` raises.
        """
        return make_heartbeat(
            self.signing_key(directory),
            Heartbeat(
                federation=self._federation,
                audience=audience,
                publisher=self._member,
                directory_version=directory.version,
                epoch=head.epoch if head else 0,
                head_seq=head.seq if head else -1,
                head_hash=head.hash if head else GENESIS_PREV,
                issued_at=to_micros(now),
                next_by=to_micros(next_by),
            ),
        )


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    epoch: int
    seq: int
    prev: bytes
    issued_at: int
    directory_version: int


def _covered(place: _Place, before: OwnHead | None, *, checkpoint: bool) -> dict[str, int]:
    """Return what the new head says of checkpoints."""
    if checkpoint:
        return {"checkpoint_epoch": place.epoch, "checkpoint_seq": place.seq, "uncovered_since": 0}
    if before is None:
        return {"uncovered_since": place.issued_at}
    return {
        "checkpoint_epoch": before.checkpoint_epoch,
        "checkpoint_seq": before.checkpoint_seq,
        "uncovered_since": before.uncovered_since or place.issued_at,
    }


def _next_place(before: OwnHead | None, directory: Directory, now: datetime, key_id: bytes) -> _Place:
    """Return where the next statement of a stream stands; time and directory never run backwards.

    Each signing key opens an epoch of its own (SPEC, chain): by that readers know what the key before
    it has said, and a crash at any moment changes nothing, for head and key stand in one row.
    """
    micros = to_micros(now)
    if before is None:
        return _Place(
            epoch=micros // _MILLISECOND,
            seq=0,
            prev=GENESIS_PREV,
            issued_at=micros,
            directory_version=directory.version,
        )
    if before.directory_version > directory.version:
        raise Unavailable(
            Code.DIRECTORY_BEHIND,
            f"directory: version {directory.version} is older than {before.directory_version}, with which"
            " this member has published; wait for the directory to catch up",
        )
    issued_at = max(micros, before.issued_at)
    if before.fresh_epoch or before.key_id != key_id:
        return _Place(
            epoch=max(micros // _MILLISECOND, before.epoch + 1),
            seq=0,
            prev=before.hash,
            issued_at=issued_at,
            directory_version=directory.version,
        )
    return _Place(
        epoch=before.epoch,
        seq=before.seq + 1,
        prev=before.hash,
        issued_at=issued_at,
        directory_version=directory.version,
    )
