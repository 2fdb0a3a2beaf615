"""Are the long lists read when somebody asks for them, or all beforehand where a daemon wants that?"""

from __future__ import annotations

from almenara.model import codelists


def test_reading_all_leaves_no_list_for_the_first_message() -> None:
    lists = (codelists.countries, codelists.nationalities, codelists.currencies, codelists.airports)
    for each in lists:
        each.cache_clear()
    codelists.read_all()
    assert [each.cache_info().currsize for each in lists] == [1, 1, 1, 1]
