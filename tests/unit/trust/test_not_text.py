"""JSON with bytes that are no UTF-8 is refused like any other that is not of its shape.

msgspec raises UnicodeDecodeError for it, which is no DecodeError of its own: found by fuzzing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from almenara.errors import AlmenaraError, Code
from almenara.trust.admission import read_admission
from almenara.trust.continuity import TrustedDirectory
from almenara.trust.enrolment import SignedEnrolment, read_enrolment
from almenara.trust.keys import load_signing_key
from almenara.trust.targets import VerifiedTargets, build_directory, member_target
from unit.trust.federation import AR, targets, verified

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOT_TEXT = b'{"\xff": 1}'


def _as_file(folder: Path) -> Path:
    path = folder / "file"
    path.touch(mode=0o600)
    path.write_bytes(NOT_TEXT)
    return path


READERS: dict[str, tuple[Callable[[Path], object], Code]] = {
    "enrolment": (lambda _: read_enrolment(NOT_TEXT), Code.DIRECTORY_INVALID),
    "payload of an enrolment": (
        lambda _: read_enrolment(msgspec.json.encode(SignedEnrolment(payload=NOT_TEXT, signatures=()))),
        Code.DIRECTORY_INVALID,
    ),
    "member's file": (
        lambda _: build_directory(verified({**targets(), member_target(AR): NOT_TEXT})),
        Code.DIRECTORY_INVALID,
    ),
    "stored targets": (lambda _: VerifiedTargets.from_bytes(NOT_TEXT), Code.DIRECTORY_INVALID),
    "stored directory": (lambda _: TrustedDirectory.from_bytes(NOT_TEXT), Code.DIRECTORY_INVALID),
    "admission": (lambda folder: read_admission(_as_file(folder)), Code.CONFIGURATION),
    "key": (
        lambda folder: load_signing_key(f"file:{_as_file(folder)}", passphrase=None),
        Code.KEY_UNREADABLE,
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_json_that_is_not_text_is_refused(name: str, tmp_path: Path) -> None:
    read, code = READERS[name]
    with pytest.raises(AlmenaraError) as refused:
        read(tmp_path)
    assert refused.value.code is code
