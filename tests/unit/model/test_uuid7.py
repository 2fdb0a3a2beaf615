from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122

import pytest
from hypothesis import given
from hypothesis import strategies as st

from almenara.model.uuid7 import uuid7

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)


def test_the_example_of_the_rfc() -> None:
    # RFC 9562, appendix A.6: 22 February 2022, 14:22:22 GMT-05:00, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F
    moment = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    entropy = (0xCC3 << 64 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert str(uuid7(moment, entropy=entropy)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.binary(min_size=10, max_size=10),
)
def test_every_id_is_of_version_7_and_begins_with_its_moment(moment: datetime, entropy: bytes) -> None:
    made = uuid7(moment, entropy=entropy)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_later_ids_sort_later() -> None:
    moments = [NOW + timedelta(milliseconds=step) for step in range(50)]
    made = [uuid7(moment) for moment in moments]
    assert made == sorted(made)


def test_ids_of_one_moment_differ() -> None:
    assert len({uuid7(NOW) for _ in range(1000)}) == 1000


def test_the_same_entropy_gives_the_same_id() -> None:
    assert uuid7(NOW, entropy=b"0123456789") == uuid7(NOW, entropy=b"0123456789")


@pytest.mark.parametrize("size", [0, 9, 11])
def test_entropy_of_another_size_is_an_error(size: int) -> None:
    with pytest.raises(ValueError, match=f"entropy of {size} bytes: want 10"):
        uuid7(NOW, entropy=bytes(size))
