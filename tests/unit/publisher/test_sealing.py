"""Does what a member signs hang together, open for those it is for, and look alike to all others?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from almenara.clock import from_micros, to_micros
from almenara.errors import Code, StatementRefused, Unavailable
from almenara.model.ids import MemberId, Stream
from almenara.publisher.accept import accept
from almenara.publisher.groups import grouped
from almenara.publisher.sealing import SENDER_KEY_LIFETIME, Sealer
from almenara.trust.admit import (
    VerifiedHeartbeat,
    VerifiedStatement,
    admit,
    open_statement,
    read_statement,
    unwrap_sender_key,
)
from almenara.trust.directory import MemberStatus
from almenara.trust.heldkeys import HeldKeys
from almenara.trust.targets import audience_target, member_target
from almenara.wire import chain
from almenara.wire.records import GENESIS_PREV, Scope
from unit.model.drafts import ALERT, an_id
from unit.trust.federation import (
    AR,
    CL,
    CONDOR,
    DAY,
    ENROLMENTS,
    KEYS,
    NOW,
    PE,
    REGION,
    UY,
    Keys,
    audience_file,
    directory,
    enrol,
    member_file,
    new_keys,
    targets,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from almenara.model.ids import AudienceId
    from almenara.publisher.sealing import Draft
    from almenara.store.outbox import OwnHead
    from almenara.trust.directory import Directory
    from almenara.wire.chain import ChainState

SECOND = timedelta(seconds=1)
MILLISECOND = 1000


class Author:
    """PE's sealer and the heads its store would hold."""

    def __init__(self) -> None:
        self.sealer = Sealer(federation="ams", member=PE, signing_keys=HeldKeys([KEYS[PE].signing]))
        self.heads: dict[AudienceId, OwnHead] = {}
        self.said = 0

    def drafts(
        self,
        to: Sequence[MemberId] | None = None,
        *,
        audience: AudienceId = REGION,
        known: Directory | None = None,
        at: datetime = NOW,
        commit: bool = True,
        **changes: Any,  # noqa: ANN401 - fields of the message
    ) -> list[Draft]:
        known = known or directory()
        self.said += 1
        message = replace(ALERT, message_id=an_id(self.said), **changes)
        accepted = accept(message, member=PE, audience=audience, to=to, directory=known, now=at)
        drafts, keys = self.sealer.draft(list(grouped([accepted])), heads=self.heads, directory=known, now=at)
        if commit:
            self.sealer.adopt(keys)
            self.heads |= {draft.after.audience: draft.after for draft in drafts}
        return drafts

    def says(self, to: Sequence[MemberId] | None = None, **arguments: Any) -> VerifiedStatement:  # noqa: ANN401
        """Return one statement as a reader with the same directory admits it."""
        (draft,) = self.drafts(to, **arguments)
        known, at = arguments.get("known") or directory(), arguments.get("at", NOW)
        stream = Stream(arguments.get("audience", REGION), PE)
        return admitted(draft.records[-1].record, stream=stream, known=known, at=at)


def admitted(record: bytes, *, stream: Stream, known: Directory, at: datetime) -> VerifiedStatement:
    found = admit(record, stream=stream, directory=known, now=at)
    assert isinstance(found, VerifiedStatement)
    return found


@pytest.fixture
def author() -> Author:
    return Author()


# -- the chain -------------------------------------------------------------------------------


class Turn(NamedTuple):
    """What happens next: messages that wait together, after some time, perhaps after a restore."""

    lists: tuple[tuple[MemberId, ...], ...]
    after: timedelta
    restored: bool


turns = st.builds(
    Turn,
    lists=st.lists(st.sampled_from([(), (AR,), (CL,), (AR, CL)]), min_size=1, max_size=6).map(tuple),
    after=st.sampled_from([timedelta(0), SECOND, -SECOND, DAY + SECOND]),
    restored=st.integers(0, 6).map(lambda n: n == 0),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(turns, min_size=1, max_size=6))
def test_whatever_waits_together_becomes_one_chain_that_a_reader_accepts_whole(story: list[Turn]) -> None:
    known, now = directory(), NOW
    author = Author()
    held: ChainState | None = None
    places: dict[bytes, tuple[int, int]] = {}
    times: list[int] = []
    number = 0
    for turn in story:
        now += turn.after
        if turn.restored:
            author.heads = {a: replace(head, fresh_epoch=True) for a, head in author.heads.items()}
        waiting = []
        for to in turn.lists:
            number += 1
            message = replace(ALERT, message_id=an_id(number))
            waiting.append(
                accept(message, member=PE, audience=REGION, to=to or None, directory=known, now=NOW)
            )
        drafts, keys = author.sealer.draft(
            list(grouped(waiting)), heads=author.heads, directory=known, now=now
        )
        author.sealer.adopt(keys)
        (draft,) = drafts
        assert draft.before == author.heads.get(REGION)
        author.heads[REGION] = draft.after
        assert {m.message_id for m in draft.messages} == {w.message_id for w in waiting}
        for record in draft.records:
            verified = admitted(record.record, stream=Stream(REGION, PE), known=known, at=now)
            head = verified.head
            assert (record.epoch, record.seq, record.hash) == (head.epoch, head.seq, verified.statement_hash)
            step = chain.judge(
                head, verified.statement_hash, chain=held, known=None, prev_at=places.get(head.prev)
            )
            match step:
                case chain.Anchor(complete=complete):
                    assert held is None
                    assert complete
                case chain.NewEpoch(truncated=truncated):
                    assert turn.restored
                    assert truncated is None, "it goes on from the head it stands by"
                case chain.Next():
                    pass
                case _:
                    pytest.fail(f"{step}")
            held = step.chain
            places[verified.statement_hash] = (head.epoch, head.seq)
            times.append(head.issued_at)
        assert held is not None
        assert (draft.after.epoch, draft.after.seq, draft.after.hash) == (held.epoch, held.seq, held.hash)
    assert times == sorted(times), "time never runs backwards in a stream"


def test_the_first_epoch_begins_with_its_first_statement(author: Author) -> None:
    head = author.says().head
    assert (head.epoch, head.seq, head.prev) == (to_micros(NOW) // MILLISECOND, 0, GENESIS_PREV)


def rotated(new: Keys) -> Directory:
    """Return the directory once PE has ended its signing key for another."""
    ended = replace(ENROLMENTS[PE].signing_keys[0], valid_until=NOW)
    successor = enrol(PE, new, previous=KEYS[PE].signing, retired=(ended,))
    return directory({**targets(), member_target(PE): member_file(successor)}, version=2)


def test_each_signing_key_opens_an_epoch_that_goes_on_from_the_last_statement(author: Author) -> None:
    new = Keys(new_keys().signing, KEYS[PE].sealing)
    author.sealer.signing_keys.keys = (KEYS[PE].signing, new.signing)
    old = author.says()
    assert author.says().head.seq == 1, "both are held, and the directory lists the old one"
    head = author.heads[REGION]
    opened = author.says(known=rotated(new), at=NOW + SECOND)
    assert (old.key_id, opened.key_id) == (KEYS[PE].signing.key_id, new.signing.key_id)
    assert (opened.head.seq, opened.head.prev) == (0, head.hash)
    assert opened.head.epoch > old.head.epoch
    assert read_statement(opened).key_wraps, "and announces a sender key of its own"
    after = author.says(known=rotated(new), at=NOW + SECOND).head
    assert (after.epoch, after.seq) == (opened.head.epoch, 1)


def test_a_signing_key_that_is_listed_and_not_held_signs_nothing(author: Author) -> None:
    with pytest.raises(Unavailable, match="almenara member recover") as caught:
        author.says(known=rotated(new_keys()))
    assert caught.value.code is Code.KEY_UNREADABLE


def test_a_new_epoch_is_above_the_old_one_even_if_the_clock_went_back(author: Author) -> None:
    first = author.says().head
    author.heads[REGION] = replace(author.heads[REGION], fresh_epoch=True)
    opened = author.says(at=NOW - 60 * SECOND).head
    assert (opened.epoch, opened.seq) == (first.epoch + 1, 0)
    assert from_micros(opened.issued_at) == NOW
    assert not author.heads[REGION].fresh_epoch


def test_the_directory_version_never_falls_within_a_stream(author: Author) -> None:
    author.says(known=directory(version=7))
    with pytest.raises(Unavailable) as refusal:
        author.drafts(known=directory(version=6))
    assert refusal.value.code == Code.DIRECTORY_BEHIND
    assert author.says(known=directory(version=7)).head.seq == 1
    assert author.says(known=directory(version=8)).head.directory_version == 8


def test_streams_of_one_member_have_chains_of_their_own(author: Author) -> None:
    heads = [author.says(audience=audience).head for audience in (REGION, CONDOR, REGION, CONDOR)]
    assert [(head.audience, head.seq) for head in heads] == [
        (REGION, 0),
        (CONDOR, 0),
        (REGION, 1),
        (CONDOR, 1),
    ]


# -- sender keys -----------------------------------------------------------------------------


def announces(statement: VerifiedStatement) -> bool:
    return bool(read_statement(statement).key_wraps)


def test_a_key_is_announced_once_and_kept_by_its_list_for_a_day(author: Author) -> None:
    said = [author.says(to) for to in (None, [AR], None, [AR], [CL], [AR])]
    assert [announces(each) for each in said] == [True, True, False, False, True, False]
    assert said[0].head.sender_key == said[2].head.sender_key
    assert said[1].head.sender_key == said[3].head.sender_key == said[5].head.sender_key
    assert len({each.head.sender_key for each in said}) == 3


def test_a_key_lives_at_most_a_day(author: Author) -> None:
    first = author.says()
    last = author.says(at=NOW + SENDER_KEY_LIFETIME - SECOND)
    renewed = author.says(at=NOW + SENDER_KEY_LIFETIME)
    assert [announces(each) for each in (first, last, renewed)] == [True, False, True]
    assert renewed.head.sender_key != first.head.sender_key
    assert announces(author.says(at=NOW)), "nor longer where the clock was a day ahead, and was set back"


def test_a_restart_makes_a_new_key(author: Author) -> None:
    first = author.says()
    again = Author()
    again.heads, again.said = author.heads, author.said
    assert announces(second := again.says())
    assert second.head.sender_key != first.head.sender_key


def with_member(member: MemberId, keys: Keys | None = None, **changes: Any) -> Directory:  # noqa: ANN401
    enrolment = enrol(member, keys) if keys else ENROLMENTS[member]
    return directory({**targets(), member_target(member): member_file(enrolment, **changes)}, version=2)


NEW_SEALING_KEY = Keys(KEYS[AR].signing, new_keys().sealing)


@pytest.mark.parametrize(
    "known",
    [
        with_member(AR, NEW_SEALING_KEY),
        with_member(UY),
        with_member(AR, status=MemberStatus.LEFT),
        with_member(AR, status=MemberStatus.SUSPENDED),
    ],
    ids=["a reader's new key", "a join", "a leave", "a suspension"],
)
def test_a_change_of_readers_makes_a_new_key_for_the_audience_and_every_list(
    author: Author, known: Directory
) -> None:
    before = [author.says(), author.says([CL])]
    after = [author.says(known=known), author.says([CL], known=known)]
    assert [announces(each) for each in (*before, *after)] == [True] * 4
    assert len({each.head.sender_key for each in (*before, *after)}) == 4


def test_a_new_directory_with_the_same_readers_keeps_the_key(author: Author) -> None:
    author.says()
    assert not announces(author.says(known=directory(version=2)))


def test_a_new_epoch_makes_a_new_key(author: Author) -> None:
    author.says()
    author.heads[REGION] = replace(author.heads[REGION], fresh_epoch=True)
    assert announces(author.says(at=NOW + SECOND))


def test_a_key_counts_only_once_it_is_committed(author: Author) -> None:
    """What a failed commit announced never left; the next statement must announce again."""
    (lost,) = author.drafts(commit=False)
    (kept,) = author.drafts()
    (next_one,) = author.drafts()
    assert lost.announced
    assert kept.announced
    assert lost.announced[0].key_id != kept.announced[0].key_id
    assert not next_one.announced


def test_a_member_without_a_sealing_key_in_the_directory_cannot_publish(author: Author) -> None:
    files = {**targets(), member_target(PE): member_file(enrol(PE, sealing=False))}
    with pytest.raises(Unavailable) as refusal:
        author.drafts(known=directory(files))
    assert refusal.value.code == Code.KEY_MISSING


# -- who can open ----------------------------------------------------------------------------

OTHERS = tuple(MemberId(name) for name in ("AR", "BO", "CL", "CO", "UY"))
ALL_KEYS = {member: KEYS.get(member) or new_keys() for member in (PE, *OTHERS)}
FILES = {member: enrol(member, keys) for member, keys in ALL_KEYS.items()}
KEYLESS_FILES = {member: enrol(member, ALL_KEYS[member], sealing=False) for member in OTHERS}


class Sharing(NamedTuple):
    """Who is in the federation's operation, who of them has no sealing key, and whom a list names."""

    operation: tuple[MemberId, ...]
    keyless: frozenset[MemberId]
    listed: tuple[MemberId, ...]


@st.composite
def sharings(draw: st.DrawFn) -> Sharing:
    inside = draw(st.lists(st.sampled_from(OTHERS), unique=True, min_size=1))
    listed = draw(st.lists(st.sampled_from(inside), unique=True))
    keyless = draw(st.sets(st.sampled_from(OTHERS), max_size=2))
    return Sharing((PE, *inside), frozenset(keyless), tuple(sorted(listed)))


def federation_of(sharing: Sharing) -> Directory:
    enrolments = [FILES[PE]] + [(KEYLESS_FILES if m in sharing.keyless else FILES)[m] for m in OTHERS]
    return directory({**targets(*enrolments), audience_target(CONDOR): audience_file(*sharing.operation)})


def opens(statement: VerifiedStatement, reader: MemberId, known: Directory) -> bool:
    """Tell whether the reader gets at the content by any means it has: its key, and another's name."""
    read = read_statement(statement)
    try:
        key = unwrap_sender_key(read, [ALL_KEYS[reader].sealing])
    except StatementRefused:
        return False
    for name in (reader, *known.members):
        try:
            open_statement(read, reader=name, sender_key=key, directory=known)
        except StatementRefused:
            continue
        return True
    return False


@settings(max_examples=120, deadline=None)
@given(sharings())
def test_a_statement_opens_for_those_it_names_and_for_nobody_else(sharing: Sharing) -> None:
    known = federation_of(sharing)
    statement = Author().says(sharing.listed or None, audience=CONDOR, known=known)
    readers = set(sharing.listed or sharing.operation) - sharing.keyless | {PE}
    assert {member for member in ALL_KEYS if opens(statement, member, known)} == readers
    assert statement.head.scope is (Scope.LIST if sharing.listed else Scope.AUDIENCE)


@settings(max_examples=60, deadline=None)
@given(sharings())
def test_a_record_tells_nobody_outside_whom_or_how_many_it_reaches(sharing: Sharing) -> None:
    """Records to a list and to the audience are alike in size and slots; only the scope is shown."""
    known = federation_of(sharing)
    author = Author()
    slots = sorted(known.sealing_slots(CONDOR))
    for announced in (True, False):
        to_all = author.says(audience=CONDOR, known=known)
        to_list = author.says(sharing.listed or sharing.operation[1:], audience=CONDOR, known=known)
        for statement in (to_all, to_list):
            wraps = read_statement(statement).key_wraps
            assert [slot.key_id for slot in wraps] == (slots if announced else [])
            assert len({len(slot.wrap) for slot in wraps}) <= 1
        assert len(to_all.record) == len(to_list.record)


def test_what_a_key_of_one_list_seals_does_not_open_with_that_of_another(author: Author) -> None:
    to_ar, to_cl = (read_statement(author.says([each])) for each in (AR, CL))
    key = unwrap_sender_key(to_ar, [KEYS[AR].sealing])
    with pytest.raises(StatementRefused) as refusal:
        open_statement(to_cl, reader=AR, sender_key=key, directory=directory())
    assert refusal.value.code == Code.KEY_MISSING


def test_the_author_reads_its_own_list_back(author: Author) -> None:
    statement = read_statement(author.says([AR]))
    key = unwrap_sender_key(statement, [KEYS[PE].sealing])
    opened = open_statement(statement, reader=PE, sender_key=key, directory=directory())
    assert opened.recipients == (AR,)


# -- heartbeats ------------------------------------------------------------------------------


def test_a_heartbeat_says_where_the_head_stands_or_that_nothing_was_said(author: Author) -> None:
    def beat() -> VerifiedHeartbeat:
        record = author.sealer.heartbeat(
            REGION, author.heads.get(REGION), directory=directory(), now=NOW, next_by=NOW + DAY
        )
        found = admit(record, stream=Stream(REGION, PE), directory=directory(), now=NOW)
        assert isinstance(found, VerifiedHeartbeat)
        return found

    assert (beat().heartbeat.head_seq, beat().heartbeat.head_hash) == (-1, GENESIS_PREV)
    statement = author.says()
    said = beat().heartbeat
    assert (said.epoch, said.head_seq) == (statement.head.epoch, 0)
    assert said.head_hash == statement.statement_hash
    assert from_micros(said.next_by) == NOW + DAY
