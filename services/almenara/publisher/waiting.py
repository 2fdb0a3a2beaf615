"""Who waits for an answer to a message, and what is the answer?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from almenara.errors import Code, Fault, MessageRefused

if TYPE_CHECKING:
    import asyncio

    from almenara.publisher.groups import Accepted
    from almenara.store.outbox import Outgoing


class Waiting(NamedTuple):
    """An accepted message on its way to the store, and the caller who waits for its place."""

    accepted: Accepted
    answer: asyncio.Future[Outgoing]

    def tell(self, placed: Outgoing) -> None:
        """Answer with the place, or with MESSAGE_ID_REUSED if another message of that id has it."""
        if placed.content == self.accepted.content:
            self.answer.set_result(placed)
            return
        self.answer.set_exception(
            MessageRefused(
                [
                    Fault(
                        Code.MESSAGE_ID_REUSED,
                        "$.message_id",
                        "this id was published before with other content; give the new message its own id",
                    )
                ]
            )
        )
