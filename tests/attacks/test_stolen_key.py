"""A signing key that has ended adds nothing, whatever dates and offsets a thief and the operator choose.

PE signs with its first key, then with a second one that the directory lists; the thief has the first.
What PE said counts by its place in the chain alone: once, also what was on its way meanwhile.
"""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from almenara.clock import to_micros
from almenara.errors import Code
from almenara.store.quarantine import evidence_of, refusal_counts, refusals
from almenara.trust.targets import member_target
from attacks.operator_site import Operated
from unit.subscriber.stream import Author, alert
from unit.trust.federation import (
    DAY,
    ENROLMENTS,
    KEYS,
    NOW,
    PE,
    Keys,
    directory,
    enrol,
    member_file,
    new_keys,
    targets,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from almenara.store.outbox import OwnHead
    from almenara.trust.directory import Directory

SECOND = timedelta(seconds=1)
OLD, NEW = KEYS[PE].signing, new_keys().signing
THIEFS = 900
"""From this number on messages are the thief's."""


def listing(*, keep_old: bool = True, version: int = 2) -> Directory:
    """Return the directory once PE has a second signing key; the first has an end, or is not listed."""
    ended = replace(ENROLMENTS[PE].signing_keys[0], valid_until=NOW)
    retired = (ended,) if keep_old else ()
    successor = enrol(PE, Keys(NEW, KEYS[PE].sealing), at=NOW, previous=OLD, retired=retired)
    return directory({**targets(), member_target(PE): member_file(successor)}, version=version)


BEFORE, AFTER = directory(), listing()


class Member:
    """PE, with both keys, and all it said; `said` are the ids in their order."""

    def __init__(self) -> None:
        self.author = Author(keys=(OLD, NEW))
        self.said: list[UUID] = []
        self.heads: list[OwnHead] = []
        self.known = BEFORE
        self.now = NOW

    def says(self) -> bytes:
        """Return the record of one more alert."""
        self.now += SECOND
        message = alert(len(self.said))
        record = self.author.says(message, known=self.known, at=self.now)
        self.said.append(message.message_id)
        assert self.author.head is not None
        self.heads.append(self.author.head)
        return record

    def beats(self) -> bytes:
        """Return a heartbeat about the head as it stands."""
        self.now += SECOND
        return self.author.beats(self.now, self.known)

    def rotates(self) -> None:
        """Take up the directory that lists the second key."""
        self.known = AFTER


class Thief:
    """Whoever has PE's first key; it goes on from any statement of PE's."""

    def __init__(self) -> None:
        self.author = Author(keys=(OLD,))
        self.count = 0

    def says(self, head: OwnHead | None, *, known: Directory = BEFORE, **changes: Any) -> bytes:  # noqa: ANN401
        """Return a statement after a head, or after that head with fields changed; None begins anew."""
        self.author.head = (
            replace(head, **{"issued_at": 0, "directory_version": 1, **changes}) if head is not None else None
        )
        self.count += 1
        return self.author.says(alert(THIEFS + self.count), known=known, at=NOW - 60 * SECOND)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Operated]:
    with closing(Operated(tmp_path)) as operated:
        yield operated


def served(site: Operated, *records: bytes) -> None:
    """Serve these and let the reader read to the end."""
    for record in records:
        site.topic.append(record)
    site.read_on()


def thiefs(site: Operated) -> list[UUID]:
    return [each for each in site.reader.ids if each in {alert(THIEFS + n).message_id for n in range(99)}]


def in_flight(site: Operated, *, beat: bool) -> tuple[Member, list[bytes]]:
    """Return PE after a rotation that the reader saw first: two statements of the first key still come."""
    pe = Member()
    served(site, pe.says(), pe.says())
    records = [pe.says(), pe.says()]
    pe.rotates()
    records.append(pe.beats() if beat else pe.says())
    return pe, records


@pytest.mark.parametrize("beat", [False, True], ids=["an epoch", "a heartbeat"])
def test_what_was_on_its_way_is_delivered_once_the_successor_names_it(site: Operated, beat: bool) -> None:  # noqa: FBT001
    pe, records = in_flight(site, beat=beat)
    site.learns(AFTER)
    served(site, *records[:2])
    assert site.reader.ids == pe.said[:2], "the first key could be anybody's by now"
    assert site.row.wait_code == Code.KEY_NOT_VALID
    served(site, records[2])
    assert site.reader.ids == pe.said
    assert site.row.wait_code == ""
    assert site.reader.store.read_now(refusals) == []
    served(site, pe.says())
    assert site.reader.ids == pe.said


def test_a_heartbeat_that_overtakes_what_it_names_proves_it_all_the_same(site: Operated) -> None:
    pe, records = in_flight(site, beat=True)
    site.learns(AFTER)
    served(site, records[2], *records[:2])
    assert site.reader.ids == pe.said


def test_a_heartbeat_of_an_ended_key_says_nothing(site: Operated) -> None:
    pe, records = in_flight(site, beat=False)
    site.learns(AFTER)
    thief = Author(keys=(OLD,))
    thief.head = pe.heads[3]
    served(site, *records[:2], thief.beats(pe.now, BEFORE))
    assert site.reader.ids == pe.said[:2]


def test_a_reader_that_dies_while_statements_wait_delivers_them_once(site: Operated) -> None:
    pe, records = in_flight(site, beat=False)
    site.learns(AFTER)
    served(site, *records[:2])
    site.restart()
    site.topic.append(records[2])
    site.poll(10, killed=True)
    site.read_on()
    assert site.reader.ids == pe.said
    assert site.delivered == len(pe.said)


def test_a_transaction_that_fails_forgets_no_statement_that_waits(site: Operated) -> None:
    pe, records = in_flight(site, beat=True)
    site.learns(AFTER)
    served(site, *records[:2])
    site.reader.absorber.rolled_back()
    served(site, records[2])
    assert site.reader.ids == pe.said


@pytest.mark.parametrize("beat", [False, True], ids=["an epoch", "a heartbeat"])
def test_who_joins_after_the_rotation_reads_all_that_is_retained(site: Operated, beat: bool) -> None:  # noqa: FBT001
    site.known = AFTER
    pe = Member()
    records = [pe.says() for _ in range(30)]
    pe.rotates()
    served(site, *records, pe.beats() if beat else pe.says())
    assert site.reader.ids == pe.said
    assert [entry.row.flags for entry in site.reader.inbox] == [""] * len(pe.said)
    assert site.gaps == ()


def test_a_gap_in_what_the_first_key_said_is_filled_after_the_rotation(site: Operated) -> None:
    pe = Member()
    first, *lost, last = [pe.says() for _ in range(5)]
    served(site, first, last)
    pe.rotates()
    site.learns(AFTER)
    served(site, pe.says())
    assert site.gaps
    thief = Thief()
    served(site, thief.says(pe.heads[0]), *lost)
    assert set(site.reader.ids) == set(pe.said)
    assert site.gaps == ()
    assert thiefs(site) == []


def forks_at_the_end(pe: Member, thief: Thief) -> list[bytes]:
    return [thief.says(pe.heads[1]), thief.says(thief.author.head)]


def takes_the_place_of_what_is_on_its_way(pe: Member, thief: Thief) -> list[bytes]:
    return [thief.says(pe.heads[2])]


def opens_a_higher_epoch(pe: Member, thief: Thief) -> list[bytes]:
    return [
        thief.says(pe.heads[1], fresh_epoch=True, epoch=to_micros(NOW + 3650 * DAY) // 1000),
        thief.says(thief.author.head),
    ]


def begins_anew(_pe: Member, thief: Thief) -> list[bytes]:
    return [thief.says(None)]


ATTACKS: dict[str, Callable[[Member, Thief], list[bytes]]] = {
    "forks at the end": forks_at_the_end,
    "takes the place of what is on its way": takes_the_place_of_what_is_on_its_way,
    "opens a higher epoch": opens_a_higher_epoch,
    "begins anew": begins_anew,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
@pytest.mark.parametrize("when", ["first", "between", "last", "long after"])
def test_a_thief_adds_nothing_once_the_reader_knows(
    site: Operated, attack: Callable[[Member, Thief], list[bytes]], when: str
) -> None:
    pe, records = in_flight(site, beat=False)
    thief = Thief()
    forged = attack(pe, thief)
    site.learns(AFTER)
    records.append(pe.says())
    at = {"first": 0, "between": 1, "last": 2, "long after": 4}[when]
    served(site, *records[:at], *forged, *records[at:])
    assert site.reader.ids == pe.said
    assert thiefs(site) == []
    assert site.reader.store.read_now(evidence_of) == [], "no evidence against PE can be made with that key"
    assert site.reader.store.read_now(refusal_counts) == {Code.KEY_NOT_VALID: len(forged)}
    assert site.gaps == ()


def test_no_date_of_the_thief_and_no_time_of_the_operator_counts(site: Operated) -> None:
    """The very case of a stolen key: dated before the end, put there long after."""
    pe, records = in_flight(site, beat=False)
    site.learns(AFTER)
    served(site, *records)
    site.wait(30 * 86_400)
    served(site, Thief().says(pe.heads[3]))
    assert site.reader.ids == pe.said
    (refusal,) = site.reader.store.read_now(refusals)
    assert (refusal.code, refusal.proven) == (Code.KEY_NOT_VALID, False)


def test_what_was_stored_before_stays_and_the_successor_goes_on(site: Operated) -> None:
    """Before the reader knows, the thief is PE to it; a far epoch of his must not lock PE out for ever."""
    pe = Member()
    thief = Thief()
    served(site, pe.says(), pe.says())
    served(site, *opens_a_higher_epoch(pe, thief))
    assert len(thiefs(site)) == 2
    site.learns(AFTER)
    pe.rotates()
    served(site, pe.says(), pe.says())
    assert [each for each in site.reader.ids if each in pe.said] == pe.said
    assert len(thiefs(site)) == 2, "what came before it knew stays, as evidence too"
    assert [each.kind for each in site.reader.store.read_now(evidence_of)] == ["TRUNCATED"] * 2
    assert (site.row.epoch, site.row.seq) == (pe.heads[-1].epoch, 1)
    served(site, thief.says(thief.author.head))
    assert len(thiefs(site)) == 2


def test_a_reader_that_began_with_the_thief_begins_anew_with_the_successor(site: Operated) -> None:
    pe = Member()
    thief = Thief()
    pe.says()
    pe.says()
    served(site, *opens_a_higher_epoch(pe, thief))
    pe.rotates()
    site.learns(AFTER)
    opened = pe.says()
    served(site, opened)
    assert site.reader.ids[-1] == pe.said[-1]
    assert (site.row.epoch, site.row.anchor_seq) == (pe.heads[-1].epoch, 0)


@pytest.mark.parametrize("keep_old", [True, False], ids=["listed with an end", "listed no more"])
def test_a_key_that_the_reader_does_not_know_yet_is_judged_again(site: Operated, keep_old: bool) -> None:  # noqa: FBT001
    """KEY_RESET: the coordinator lists the second key, and this reader accepts it a day later."""
    pe = Member()
    served(site, pe.says())
    pe.rotates()
    served(site, pe.says(), pe.says())
    assert site.reader.ids == pe.said[:1]
    assert {refusal.code for refusal in site.reader.store.read_now(refusals)} == {Code.UNKNOWN_KEY}
    site.restart()
    site.read_on()
    assert site.reader.ids == pe.said[:1]
    site.learns(listing(keep_old=keep_old))
    served(site, pe.says())
    assert site.reader.ids == pe.said
    assert site.reader.store.read_now(refusals) == []
    assert site.reader.store.read_now(refusal_counts) == {}


def test_of_two_keys_that_have_ended_all_is_proven_by_the_third(site: Operated) -> None:
    third = new_keys().signing
    first, second = (
        replace(key, valid_until=NOW)
        for key in (ENROLMENTS[PE].signing_keys[0], AFTER.member(PE).signing_keys[-1])
    )
    newest = enrol(PE, Keys(third, KEYS[PE].sealing), at=NOW, previous=NEW, retired=(first, second))
    known = directory({**targets(), member_target(PE): member_file(newest)}, version=3)
    pe = Member()
    pe.author = Author(keys=(OLD, NEW, third))
    records = [pe.says(), pe.says()]
    pe.rotates()
    records += [pe.says(), pe.says()]
    pe.known = known
    records.append(pe.says())
    site.known = known
    served(site, *records)
    assert site.reader.ids == pe.said
    assert {entry.row.flags for entry in site.reader.inbox} == {""}


def test_a_thief_who_writes_without_end_fills_no_memory(
    site: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("almenara.subscriber.state.LINKS_MAX", 5)
    pe, records = in_flight(site, beat=False)
    site.learns(AFTER)
    thief = Thief()
    forged = [thief.says(pe.heads[1], seq=50 + n) for n in range(20)]
    served(site, *forged, *records)
    assert site.reader.ids == pe.said
    assert thiefs(site) == []


Step = tuple[str, int]
STEPS = ("serve", "serve", "forge", "poll", "poll much", "die before the commit", "restart")


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(1, 4),
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 30)), max_size=40),
)
def test_whatever_the_thief_adds_and_whenever_the_reader_dies_pe_is_held_whole_and_once(
    before: int, flying: int, after: int, steps: list[Step]
) -> None:
    """The reader knows of the rotation once it has read `before` statements; the thief comes after that."""
    pe, thief = Member(), Thief()
    with TemporaryDirectory() as folder, closing(Operated(Path(folder))) as site:
        served(site, *(pe.says() for _ in range(before)))
        site.learns(AFTER)
        honest = [pe.says() for _ in range(flying)]
        pe.rotates()
        honest += [pe.says() if number % 2 == 0 else pe.beats() for number in range(after + 1)]
        for name, number in steps:
            match name:
                case "serve" if honest:
                    site.topic.append(honest.pop(0))
                case "forge":
                    heads = [*pe.heads[: before + flying], None]
                    site.topic.append(
                        thief.says(heads[number % len(heads)]) if number % 3 else _opened(thief, pe)
                    )
                case "poll":
                    site.poll(1)
                case "poll much":
                    site.poll(10)
                case "die before the commit":
                    site.poll(10, killed=True)
                case _:
                    site.restart()
        served(site, *honest, pe.says())
        assert site.reader.ids == pe.said
        assert site.delivered == len(pe.said)
        assert site.reader.store.read_now(evidence_of) == []
        assert set(site.reader.store.read_now(refusal_counts)) <= {Code.KEY_NOT_VALID}
        assert site.gaps == ()


def _opened(thief: Thief, pe: Member) -> bytes:
    head = pe.heads[0]
    return thief.says(head, fresh_epoch=True, epoch=head.epoch + 10**9 * thief.count)
