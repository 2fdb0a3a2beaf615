"""Copies of a storm's stores, which a test may change to see what the auditor says of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from almenara.model.ids import MemberId
from chaos.auditor import Report, judge
from chaos.store_files import rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chaos.load import Offer
    from chaos.taken_back import TakenBack

PE, AR, CL = MemberId("PE"), MemberId("AR"), MemberId("CL")


class Copy(NamedTuple):
    """The stores of a storm, to be changed, and what was offered in it."""

    stores: dict[MemberId, Path]
    offers: tuple[Offer, ...]
    before: Report

    def change(self, member: MemberId, *statements: str, values: tuple[object, ...] = ()) -> None:
        """Change a store; `values` are those of the only statement."""
        with closing(sqlite3.connect(self.stores[member])) as connection, connection:
            for statement in statements:
                assert connection.execute(statement, values).rowcount != 0

    def rows(self, member: MemberId, query: str, *values: object) -> list[Any]:
        return rows(self.stores[member], query, *values)

    def held(self, member: MemberId) -> list[tuple[str, bytes]]:
        return self.rows(member, "SELECT publisher, message_id FROM message")

    def judged(self, taken_back: Sequence[TakenBack] = ()) -> Report:
        return judge(self.stores, self.offers, taken_back)
