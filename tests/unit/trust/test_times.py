"""A time that somebody signs stops no node: without a zone, or at the end of all times, it is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from almenara.clock import LAST, to_micros
from almenara.errors import Code, DirectoryRefused, RecordRefused
from almenara.trust.admit import admit
from almenara.trust.directory import AudienceKind
from almenara.trust.enrolment import (
    ENROLMENT_TYPE,
    EnrolmentSignature,
    SignedEnrolment,
    read_enrolment,
)
from almenara.trust.exportfile import ExportedRecord, parse_exported
from almenara.trust.renewal import is_renewal
from almenara.trust.targets import AudienceFile, audience_target, encode_target
from almenara.wire.records import pae
from unit.trust.federation import AR, CONDOR, ENROLMENTS, KEYS, NOW, PE, directory, targets
from unit.trust.statements import STREAM, statement

if TYPE_CHECKING:
    from collections.abc import Callable

LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
BAD = {
    "no zone": NOW.replace(tzinfo=None),
    "the last of all": LATEST,
    "the first of all": datetime(1, 1, 1, tzinfo=UTC),
    "the first too late": LAST,
}


def signed_with(change: Callable[[dict[str, object]], None]) -> bytes:
    """Return PE's enrolment with its payload changed, and signed again by PE itself."""
    payload = msgspec.json.decode(ENROLMENTS[PE].signed.payload)
    change(payload)
    data = msgspec.json.encode(payload, order="sorted")
    key = KEYS[PE].signing
    signature = EnrolmentSignature(key_id=key.key_id.hex(), signature=key.sign(pae(ENROLMENT_TYPE, data)))
    return msgspec.json.encode(SignedEnrolment(payload=data, signatures=(signature,)))


@pytest.mark.parametrize("name", BAD)
def test_an_enrolment_with_such_a_time_is_refused(name: str) -> None:
    def of_a_key(payload: dict[str, object]) -> None:
        payload["signing_keys"][0]["valid_from"] = BAD[name]  # type: ignore[index]

    def of_all(payload: dict[str, object]) -> None:
        payload["made_at"] = BAD[name]

    for change in (of_a_key, of_all):
        with pytest.raises(DirectoryRefused) as refused:
            read_enrolment(signed_with(change))
        assert refused.value.code is Code.DIRECTORY_INVALID


@pytest.mark.parametrize("name", BAD)
def test_an_audience_with_such_a_time_is_refused(name: str) -> None:
    for field in ("opens_at", "closes_at"):
        file = AudienceFile(
            kind=AudienceKind.OPERATION, title="x", members=(PE, AR), retention_days=1, **{field: BAD[name]}
        )
        with pytest.raises(DirectoryRefused):
            directory({**targets(), audience_target(CONDOR): encode_target(file)})


@pytest.mark.parametrize("days", [0, -1, 36_501, 2**60])
def test_a_retention_that_no_time_can_hold_is_refused(days: int) -> None:
    file = AudienceFile(kind=AudienceKind.OPERATION, title="x", members=(PE, AR), retention_days=days)
    with pytest.raises(DirectoryRefused):
        directory({**targets(), audience_target(CONDOR): encode_target(file)})


@pytest.mark.parametrize("name", BAD)
def test_an_exported_file_with_such_a_time_is_refused(name: str) -> None:
    for field in ("directory_at", "exported_at"):
        times: dict[str, Any] = {"directory_at": NOW, "exported_at": NOW, field: BAD[name]}
        file = ExportedRecord(
            audience=STREAM.audience, publisher=PE, record=b"", root=b"", directory={}, **times
        )
        with pytest.raises(RecordRefused) as refused:
            parse_exported(file.to_bytes())
        assert refused.value.code is Code.MALFORMED


def test_a_statement_of_the_last_moment_is_judged_where_an_audience_has_dates() -> None:
    last = to_micros(LATEST)
    admit(statement(issued_at=last).record, stream=STREAM, directory=directory(), now=NOW)
    audience = directory().audience(CONDOR)
    dated = msgspec.structs.replace(audience, opens_at=NOW, closes_at=NOW + timedelta(days=1))
    tolerance = timedelta(minutes=5)
    assert not dated.is_open(LATEST, tolerance=tolerance)
    assert not dated.is_open(datetime(1, 1, 1, tzinfo=UTC), tolerance=tolerance)
    assert dated.is_open(NOW, tolerance=tolerance)


def test_a_file_that_is_no_text_is_no_renewal() -> None:
    assert not is_renewal(b'{"\xff": 1}')
