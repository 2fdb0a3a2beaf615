"""A seed says what is killed, and every target gets its turn."""

from __future__ import annotations

from collections import Counter

from almenara.model.ids import MemberId
from chaos.schedule import PAUSE_S, Target, schedule

MEMBERS = (MemberId("PE"), MemberId("AR"), MemberId("CL"))


def test_a_seed_gives_the_same_kills_again() -> None:
    assert schedule(7, 40, MEMBERS) == schedule(7, 40, MEMBERS)
    assert schedule(7, 40, MEMBERS)[:4] == schedule(7, 4, MEMBERS)


def test_another_seed_gives_others() -> None:
    assert len({schedule(seed, 20, MEMBERS) for seed in range(20)}) == 20


def test_the_shortest_run_kills_each_target_once() -> None:
    for seed in range(20):
        assert {kill.target for kill in schedule(seed, 4, MEMBERS)} == set(Target)


def test_every_member_gets_its_turn_with_every_target() -> None:
    kills = schedule(1, 12, MEMBERS)
    counts = Counter((kill.target, kill.member) for kill in kills)
    assert counts.pop((Target.BROKER, None)) == 3
    targets = set(Target) - {Target.BROKER}
    assert counts == Counter((target, member) for target in targets for member in MEMBERS)


def test_pauses_differ_within_their_bounds() -> None:
    pauses = [kill.pause_s for kill in schedule(1, 50, MEMBERS)]
    assert all(PAUSE_S[0] <= pause <= PAUSE_S[1] for pause in pauses)
    assert len(set(pauses)) == 50
