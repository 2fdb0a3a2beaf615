"""A member's private keys are read again when the directory lists one that is not held, and not before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from almenara.errors import Code, Misconfigured
from almenara.trust.heldkeys import HeldKeys
from unit.trust.federation import new_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from almenara.trust.keys import SigningKey

OLD, NEW = new_keys().signing, new_keys().signing


class Folder:
    """The files of a member's signing keys; counts how often they are read."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = keys
        self.reads = 0

    def read(self) -> Sequence[SigningKey]:
        self.reads += 1
        if not self.keys:
            raise Misconfigured(Code.KEY_UNREADABLE, "signing.json: no such file; create it")
        return self.keys


@pytest.mark.parametrize("listed", [(), (OLD.key_id,), (NEW.key_id, OLD.key_id)], ids=["none", "held", "one"])
def test_nothing_is_read_while_a_listed_key_is_held(listed: tuple[bytes, ...]) -> None:
    folder = Folder(OLD, NEW)
    held = HeldKeys([OLD], folder.read)
    asyncio.run(held.take_up(listed))
    assert (held.keys, folder.reads) == ((OLD,), 0)


def test_a_listed_key_that_is_not_held_is_read_from_the_folder() -> None:
    held = HeldKeys([OLD], Folder(NEW, OLD).read)
    asyncio.run(held.take_up((NEW.key_id,)))
    assert held.keys == (NEW, OLD)


def test_keys_that_cannot_be_read_leave_those_held() -> None:
    for held in (HeldKeys([OLD], Folder().read), HeldKeys([OLD])):
        asyncio.run(held.take_up((NEW.key_id,)))
        assert held.keys == (OLD,)
