"""Whatever the operator does and whenever the reader dies: once each, in the end all, and no fork unseen."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from almenara.store.quarantine import evidence_of, refusals
from almenara.wire.chain import Place
from attacks.operator_site import Operated, Story
from unit.subscriber.stream import GAP_WAIT
from unit.trust.federation import AR, CL, NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.attacks

Step = tuple[str, int]
"""What happens, and a number that says to which record or how much of it."""

SAYS = ("say to all", "say to AR", "say to CL", "say again", "beat")
SERVES = ("serve next", "serve any", "hide", "rewrite", "recreate")
READS = ("poll", "poll much", "die before the commit", "restart", "wait", "wait long")
HONEST = (*SAYS, "restore", *SERVES, *READS, "serve next", "serve next", "poll", "poll")
LYING = (*SAYS, "fork", "restore", *SERVES, *READS, "serve next", "serve next", "poll", "poll")


def steps(names: tuple[str, ...]) -> st.SearchStrategy[list[Step]]:
    return st.lists(st.tuples(st.sampled_from(names), st.integers(0, 30)), max_size=45)


class Play:
    """A story told step by step to a reader."""

    def __init__(self, site: Operated) -> None:
        self.story = Story()
        self.story.says()
        self.site = site
        self._next = 0

    def take(self, step: Step) -> None:
        """Let one thing happen."""
        name, number = step
        if name in (*SAYS, "restore", "fork"):
            self._author(name, number)
        elif name in SERVES:
            self._operator(name, number)
        else:
            self._reader(name, number)

    def _author(self, name: str, number: int) -> None:
        match name:
            case "say again":
                self.story.repeats(number)
            case "beat":
                self.story.author.beats(self.story.now)
            case "restore":
                self.story.restores(number % 4)
                self.story.says()
            case "fork":
                self.story.forks(number % 4, text="-F")
            case _:
                self.story.says({"all": (), "AR": (AR,), "CL": (CL,)}[name.rsplit(maxsplit=1)[-1]])

    def _operator(self, name: str, number: int) -> None:
        records = self.story.author.records
        match name:
            case "serve next":
                self.site.topic.append(records[self._next % len(records)])
                self._next += 1
            case "serve any":
                self.site.topic.append(records[number % len(records)])
            case "hide":
                self.site.topic.rewrite(number, None)
            case "rewrite":
                self.site.topic.rewrite(number, records[(7 * number) % len(records)])
            case _:
                self.site.topic.recreate(records[number % len(records) :])

    def _reader(self, name: str, number: int) -> None:
        match name:
            case "poll":
                self.site.poll(1)
            case "poll much":
                self.site.poll(10)
            case "die before the commit":
                self.site.poll(10, killed=True)
            case "restart":
                self.site.restart()
            case "wait":
                self.site.wait(number)
            case _:
                self.site.wait(61)

    def shows_all(self, *, anew: bool) -> None:
        """Serve all that was signed, in order, once for each statement that may close a gap, and once more.

        `anew` makes the topic new each time; else it grows. A new topic that happens to end where the
        reader stands is read from there on, so one more statement shows the reader that it lacks some.
        """
        for _ in range(len(self.story.signed) + 2):
            if anew:
                self.story.says()
                self.site.topic.recreate([])
            for said in self.story.signed:
                self.site.topic.append(said.record)
            self.site.read_on()
            if self.site.gaps == () and self.site.held_at(self.story.line[-1].place) is not None:
                break


@contextmanager
def told(steps: list[Step], *, anew: bool) -> Iterator[Play]:
    """Play the steps, then show all."""
    with TemporaryDirectory() as folder, closing(Operated(Path(folder))) as site:
        play = Play(site)
        for step in steps:
            play.take(step)
        play.shows_all(anew=anew)
        yield play


@settings(max_examples=60, deadline=None)
@given(steps(HONEST), st.booleans())
# The reader begins with a line that is given up, so what the next one stands by is refused at first.
@example([("restore", 0), ("restore", 1), ("serve any", 1), ("poll", 0)], True)
def test_an_honest_author_is_held_whole_and_once(happened: list[Step], anew: bool) -> None:  # noqa: FBT001
    with told(happened, anew=anew) as play:
        story, site = play.story, play.site
        ids = site.reader.ids
        assert len(ids) == len(set(ids)) == site.delivered, "each message was delivered once"
        store = site.reader.store
        evidence, refused = store.read_now(evidence_of), store.read_now(refusals)
        assert {each.kind for each in evidence} <= {"TRUNCATED"}, "an honest author is never accused"
        assert {refusal.code for refusal in refused} <= {"OLD_EPOCH", "KEY_MISSING"}

        row = site.row
        assert site.gaps == (), "what was shown closes the gaps"
        assert (row.epoch, row.seq, row.hash) == (*story.line[-1].place, story.line[-1].hash)
        anchor = Place(row.anchor_epoch, row.anchor_seq)
        for_me = [said for said in story.signed if not said.to or AR in said.to]
        # What was sealed with a key announced before the reader began is named KEY_MISSING instead.
        due = {said.message for said in for_me if said in story.line and said.announced_at >= anchor}
        assert due <= set(ids) <= {said.message for said in for_me}


@settings(max_examples=60, deadline=None)
@given(steps(LYING), st.booleans())
def test_no_fork_stays_unseen(happened: list[Step], anew: bool) -> None:  # noqa: FBT001
    with told(happened, anew=anew) as play:
        site = play.site
        ids = site.reader.ids
        assert len(ids) == len(set(ids)) == site.delivered
        evidence = site.reader.store.read_now(evidence_of)
        proven = {(each.epoch, each.seq, each.hash) for each in evidence if each.kind == "EQUIVOCATION"}
        for said in play.story.signed:
            held = site.held_at(said.place)
            if held is not None and held != said.hash:
                assert (*said.place, said.hash) in proven, "both sides of a fork were shown"


def test_a_topic_made_anew_while_a_stream_waits_does_not_hold_it_up_for_ever(tmp_path: Path) -> None:
    """Offsets begin again below where the stream waits, and there is a gap there as well."""
    story = Story()
    said = [story.says() for _ in range(8)]
    with closing(Operated(tmp_path)) as site:
        for each in (*said[:3], said[4]):
            site.topic.append(each.record)
        for _ in range(4):
            site.poll(10)
        assert site.row.wait_code == "GAP"
        site.topic.recreate([said[6].record, said[7].record])
        site.read_on()
        assert site.reader.ids == [said[n].message for n in (0, 1, 2, 6, 7)]
        assert site.now == NOW + GAP_WAIT
        assert site.row.wait_code == ""
