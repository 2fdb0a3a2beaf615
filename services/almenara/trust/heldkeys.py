"""Which private keys of one kind does a member hold, and when are they read again?

    held --the directory lists one that is not held--> read from their files --> held

A rotation needs no restart: its new key lies beside the old one until the directory lists it. Until
then nothing changes, and a crash at any moment leaves files that the next start reads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog

from almenara.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence


class _Keyed(Protocol):
    @property
    def key_id(self) -> bytes: ...


K = TypeVar("K", bound=_Keyed)

log = structlog.get_logger()


class HeldKeys(Generic[K]):
    """The keys of one kind; `read` returns those that the member's files give now."""

    def __init__(self, keys: Sequence[K], read: Callable[[], Sequence[K]] | None = None) -> None:
        self.keys: tuple[K, ...] = tuple(keys)
        self._read: Callable[[], Sequence[K]] | None = read

    async def take_up(self, listed: Collection[bytes]) -> None:
        """Read the keys again unless one of the listed key ids is held, or none is listed.

        What cannot be read is logged: the keys held stay, and do what they still can.
        """
        if self._read is None or not listed or any(key.key_id in listed for key in self.keys):
            return
        try:
            self.keys = tuple(await asyncio.to_thread(self._read))
        except (Misconfigured, Unavailable) as error:
            log.critical("keys.not_read", code=error.code, error=error.text)
        else:
            log.info("keys.read", key_ids=[key.key_id.hex() for key in self.keys])
