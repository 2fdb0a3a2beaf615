"""Unit tests use many passphrases: stretching them is made cheap; test_keys.py judges the real cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from almenara.trust import keyfile

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _cheap_passphrases() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyfile, "SCRYPT_N", 2**4)
        yield
