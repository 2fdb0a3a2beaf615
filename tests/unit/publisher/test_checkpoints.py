"""When is a checkpoint due, and what does the sealer make of it?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from almenara.clock import to_micros
from almenara.model.ids import Stream
from almenara.publisher.checkpoints import due
from almenara.publisher.sealing import Sealer
from almenara.publisher.settings import CHECKPOINT_INTERVAL_S, PublisherSettings
from almenara.trust.admit import VerifiedStatement, admit, open_statement, read_statement, unwrap_sender_key
from almenara.trust.heldkeys import HeldKeys
from almenara.trust.keys import CheckpointKey
from almenara.trust.targets import member_target
from unit.publisher.test_sealing import Author
from unit.trust.federation import AR, DAY, KEYS, NOW, PE, REGION, directory, enrol, member_file, targets

if TYPE_CHECKING:
    from datetime import datetime

    from almenara.store.outbox import OwnHead
    from almenara.trust.directory import Directory

KEY, OTHER = (CheckpointKey(MLDSA65PrivateKey.generate()) for _ in range(2))
KNOWN = directory({**targets(), member_target(PE): member_file(enrol(PE, checkpoint=KEY))})


class CheckpointAuthor(Author):
    """PE with its checkpoint key."""

    def __init__(self) -> None:
        super().__init__()
        self.sealer = Sealer(
            federation="ams",
            member=PE,
            signing_keys=HeldKeys([KEYS[PE].signing]),
            checkpoint_keys=HeldKeys([KEY]),
        )

    @property
    def head(self) -> OwnHead:
        return self.heads[REGION]

    def closes(self, at: datetime) -> VerifiedStatement:
        """Return the checkpoint that is due then, as a reader admits it."""
        groups = due(self.heads.values(), interval=DAY, now=at)
        ((draft,), keys) = self.sealer.draft(groups, heads=self.heads, directory=KNOWN, now=at)
        self.sealer.adopt(keys)
        self.heads[REGION] = draft.after
        assert draft.messages == ()
        found = admit(draft.records[0].record, stream=Stream(REGION, PE), directory=KNOWN, now=at)
        assert isinstance(found, VerifiedStatement)
        return found


@pytest.fixture
def author() -> CheckpointAuthor:
    return CheckpointAuthor()


def test_a_checkpoint_is_made_once_a_day_unless_a_site_says_otherwise() -> None:
    assert PublisherSettings().checkpoint_interval_s == CHECKPOINT_INTERVAL_S == 86_400


def test_it_is_due_a_day_after_the_first_statement_that_none_covers(author: CheckpointAuthor) -> None:
    author.says(known=KNOWN)
    author.says(known=KNOWN, at=NOW + DAY / 2)
    assert author.head.uncovered_since == to_micros(NOW)
    tick = timedelta(microseconds=1)
    assert due(author.heads.values(), interval=DAY, now=NOW + DAY - tick) == []
    closed = author.closes(NOW + DAY)
    assert (closed.head.seq, closed.post_quantum) == (2, True)
    assert (author.head.checkpoint_epoch, author.head.checkpoint_seq) == (closed.head.epoch, 2)


def test_a_stream_at_rest_gets_none(author: CheckpointAuthor) -> None:
    author.says(known=KNOWN)
    author.closes(NOW + DAY)
    assert due(author.heads.values(), interval=DAY, now=NOW + 100 * DAY) == []
    author.says(known=KNOWN, at=NOW + 100 * DAY)
    assert author.head.checkpoint_seq == 1
    assert author.closes(NOW + 101 * DAY).head.seq == 3


def test_it_says_nothing_asks_for_no_receipt_and_announces_no_key_where_one_lives(
    author: CheckpointAuthor,
) -> None:
    said = read_statement(author.says(known=KNOWN, at=NOW))
    closed = read_statement(author.closes(NOW + DAY - timedelta(seconds=1) + timedelta(seconds=1)))
    assert not closed.verified.head.elicits_receipt
    key = unwrap_sender_key(said, [KEYS[AR].sealing])
    assert closed.key_wraps, "after a day the sender key has had its time"
    renewed = unwrap_sender_key(closed, [KEYS[AR].sealing])
    assert renewed != key
    assert open_statement(closed, reader=AR, sender_key=renewed, directory=KNOWN).messages == ()


def test_it_uses_the_live_key_of_the_audience(author: CheckpointAuthor) -> None:
    author.says([AR], known=KNOWN, at=NOW)
    announced = author.says(known=KNOWN, at=NOW + DAY / 2)
    closed = read_statement(author.closes(NOW + DAY))
    assert closed.key_wraps == ()
    assert closed.verified.head.sender_key == announced.head.sender_key


@pytest.mark.parametrize(
    ("held", "known"),
    [([], KNOWN), ([OTHER], KNOWN), ([KEY], directory())],
    ids=["no key", "another key", "not listed"],
)
def test_without_the_key_that_the_directory_lists_none_is_signed(
    held: list[CheckpointKey], known: Directory
) -> None:
    sealer = Sealer(
        federation="ams",
        member=PE,
        signing_keys=HeldKeys([KEYS[PE].signing]),
        checkpoint_keys=HeldKeys(held),
    )
    assert sealer.checkpoint_key(known) is None
