"""A seed says what befalls, and every kind and every member gets its turn."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

from almenara.model.ids import MemberId
from chaos.events.kill import SHARED, Kill, Target
from chaos.schedule import DISKS, KILLS, STOPS, schedule

if TYPE_CHECKING:
    from chaos.schedule import Planned

MEMBERS = (MemberId("PE"), MemberId("AR"), MemberId("CL"))
PAUSE_S = (0.5, 5.0)


def drawn(seed: int, count: int) -> tuple[Planned, ...]:
    return schedule(Random(seed), count, deck=(*KILLS, *STOPS, *DISKS), members=MEMBERS, pause_s=PAUSE_S)


def test_a_seed_gives_the_same_events_again() -> None:
    assert drawn(7, 40) == drawn(7, 40)
    assert drawn(7, 40)[:4] == drawn(7, 4)


def test_another_seed_gives_others() -> None:
    assert len({drawn(seed, 20) for seed in range(20)}) == 20


def test_the_shortest_run_hits_each_target_once() -> None:
    for seed in range(20):
        planned = schedule(Random(seed), len(KILLS), deck=KILLS, members=MEMBERS, pause_s=PAUSE_S)
        assert {each.event.target for each in planned if isinstance(each.event, Kill)} == set(Target)


def test_every_member_gets_its_turn_with_every_kind() -> None:
    deals = len(MEMBERS)
    counts = Counter(
        (each.event.kind, each.event.member)
        for each in drawn(1, deals * (len(KILLS) + len(STOPS) + len(DISKS)))
    )
    for target in SHARED:
        assert counts.pop((f"kill {target}", None)) == deals
    kinds = {kind for kind, _ in counts}
    assert counts == Counter((kind, member) for kind in kinds for member in MEMBERS)


def test_pauses_and_lengths_differ_within_their_bounds() -> None:
    planned = drawn(1, 80)
    assert all(PAUSE_S[0] <= each.pause_s <= PAUSE_S[1] for each in planned)
    assert len({each.pause_s for each in planned}) == 80
    lengths = {each.event.lasts_s for each in planned}
    assert 0.0 in lengths
    assert len(lengths) > 20
