from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code, Refused
from almenara.model.ids import (
    REGION,
    AudienceId,
    MemberId,
    Stream,
    audience_id,
    directory_topic,
    federation_name,
    member_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable

KAFKA_TOPIC_MAX = 249


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (member_id, "PE"),
        (member_id, "X-RILOSA"),
        (member_id, "X-" + "A" * 16),
        (audience_id, "region"),
        (audience_id, "op-condor-2026"),
        (audience_id, "a" * 32),
        (federation_name, "ams"),
        (federation_name, "a" * 16),
    ],
)
def test_a_sound_name_is_taken_as_it_is(read: Callable[[str], str], text: str) -> None:
    assert read(text) == text


@pytest.mark.parametrize(
    ("read", "text", "wanted"),
    [
        (member_id, "pe", "PE"),
        (member_id, "PER", "PE"),
        (member_id, "X-", "X-RILOSA"),
        (member_id, "PE\n", "PE"),
        (member_id, "X-" + "A" * 17, "X-RILOSA"),
        (audience_id, "", "op-condor"),
        (audience_id, "Region", "op-condor"),
        (audience_id, "op.condor", "op-condor"),
        (audience_id, "a" * 33, "op-condor"),
        (federation_name, "1ams", "a letter first"),
        (federation_name, "a-b", "a letter first"),
        (federation_name, "a" * 17, "a letter first"),
    ],
)
def test_an_unsound_name_is_refused_with_an_example(
    read: Callable[[str], str], text: str, wanted: str
) -> None:
    with pytest.raises(Refused) as refusal:
        read(text)
    assert refusal.value.code == Code.FORMAT
    assert repr(text) in refusal.value.text
    assert wanted in refusal.value.text


def test_topics_are_lower_case() -> None:
    assert Stream(REGION, MemberId("PE")).topic("ams") == "ams.region.pe"
    assert directory_topic("ams") == "ams.directory"


def test_the_longest_topic_is_one_that_kafka_takes() -> None:
    stream = Stream(AudienceId("a" * 32), MemberId("X-" + "A" * 16))
    assert len(stream.topic("f" * 16)) <= KAFKA_TOPIC_MAX


def test_a_stream_reads_as_audience_and_publisher() -> None:
    assert str(Stream(REGION, MemberId("PE"))) == "region/PE"
