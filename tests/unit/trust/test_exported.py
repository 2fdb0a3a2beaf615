"""An exported record proves its author from the fingerprint on, without node or network, for ever."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from almenara.clock import to_micros
from almenara.errors import (
    AlmenaraError,
    Code,
    DirectoryRefused,
    RecordRefused,
    StatementRefused,
    Unavailable,
)
from almenara.model.messages import Message
from almenara.trust.exported import directory_files, verify_exported
from almenara.trust.exportfile import EXPORT_MAX, parse_exported
from almenara.wire.avro import canonical_form
from almenara.wire.records import without_content
from unit.trust.export_site import Site
from unit.trust.federation import AR, DAY, NOW, PE
from unit.trust.statements import CONTEXT, batch, heartbeat, statement

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


def test_a_disclosed_record_proves_author_place_and_messages(site: Site) -> None:
    exported = parse_exported(site.exported().to_bytes())
    verified = verify_exported(exported, fingerprint=site.fingerprint)
    assert verified.statement.stream.publisher == PE
    assert (verified.statement.head.epoch, verified.statement.head.seq) == (CONTEXT.epoch, 4)
    assert verified.statement.head.issued_at == to_micros(NOW)
    assert verified.directory.federation == "ams"
    assert verified.messages is not None
    assert [type(each.message) for each in verified.messages] == [Message]


def test_without_the_key_the_author_is_proven_and_the_content_stays_sealed(site: Site) -> None:
    verified = verify_exported(site.exported(k_s=None), fingerprint=site.fingerprint)
    assert verified.statement.stream.publisher == PE
    assert verified.messages is None


def test_a_list_is_shown_as_such(site: Site) -> None:
    record = statement(batch=batch(AR)).record
    assert verify_exported(site.exported(record=record), fingerprint=site.fingerprint).recipients == (AR,)


def test_it_still_verifies_when_all_roles_of_the_directory_have_expired(site: Site) -> None:
    exported = site.exported(exported_at=NOW + 4000 * DAY)
    assert verify_exported(exported, fingerprint=site.fingerprint).directory.version >= 1


def test_the_files_taken_from_the_cache_are_those_that_were_published(site: Site) -> None:
    assert directory_files(site.cache, site.targets) == dict(site.repository.files())


def test_another_fingerprint_is_refused(site: Site) -> None:
    with pytest.raises(DirectoryRefused) as refused:
        verify_exported(site.exported(), fingerprint="0" * 64)
    assert refused.value.code is Code.DIRECTORY_INVALID
    assert site.fingerprint in refused.value.text


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_any_changed_byte_of_the_file_is_noticed(site: Site) -> None:
    data = site.exported().to_bytes()
    for at in range(0, len(data), 97):
        with pytest.raises(RecordRefused):
            parse_exported(flipped(data, at))


def test_a_longer_form_of_the_same_is_refused(site: Site) -> None:
    with pytest.raises(RecordRefused) as refused:
        parse_exported(site.exported().to_bytes() + b" ")
    assert refused.value.code is Code.NOT_CANONICAL


def test_any_changed_byte_of_the_record_is_refused_though_the_checksum_was_made_again(site: Site) -> None:
    record = statement().record
    for at in range(0, len(record), 7):
        forged = parse_exported(site.exported(record=flipped(record, at)).to_bytes())
        with pytest.raises(AlmenaraError) as refused:
            verify_exported(forged, fingerprint=site.fingerprint)
        assert refused.value.exit_status == 1


def test_any_changed_file_of_the_directory_is_refused(site: Site) -> None:
    files = directory_files(site.cache, site.targets)
    for name in files:
        if name == "metadata/1.root.json":
            continue  # the root itself stands beside, and is compared with the fingerprint
        for changed in ({**files, name: flipped(files[name], len(files[name]) // 2)}, without(files, name)):
            with pytest.raises(DirectoryRefused):
                verify_exported(site.exported(directory=changed), fingerprint=site.fingerprint)


def without(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {key: data for key, data in files.items() if key != name}


def test_a_root_of_somebody_else_is_refused_whatever_it_signs(site: Site, tmp_path: Path) -> None:
    other = Site(tmp_path)
    with pytest.raises(DirectoryRefused):
        verify_exported(other.exported(), fingerprint=site.fingerprint)
    with pytest.raises(DirectoryRefused):
        verify_exported(site.exported(root=other.root), fingerprint=other.fingerprint)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"record": statement(AR).record}, Code.STREAM_OWNER),
        ({"publisher": AR}, Code.STREAM_OWNER),
        ({"record": heartbeat()}, Code.PAYLOAD_TYPE),
        ({"k_s": bytes(32)}, Code.KEY_COMMITMENT),
        ({"record": statement(seq=5).record}, Code.KEY_COMMITMENT),
        ({"schema": ""}, Code.SCHEMA_NOT_ALLOWED),
        ({"schema": canonical_form("Message").decode()}, Code.SCHEMA_NOT_ALLOWED),
        ({"record": without_content(statement().record)}, Code.CONTENT_HASH),
        ({"record": statement(directory_version=99).record}, Code.DIRECTORY_BEHIND),
        ({"directory_at": NOW + 4000 * DAY}, Code.DIRECTORY_EXPIRED),
    ],
    ids=[
        "another signer",
        "another stream",
        "heartbeat",
        "key",
        "key of a neighbour",
        "no schema",
        "another schema",
        "no content",
        "newer",
        "too late",
    ],
)
def test_what_does_not_belong_together_is_refused_with_its_code(
    site: Site, changes: dict[str, Any], code: Code
) -> None:
    with pytest.raises(AlmenaraError) as refused:
        verify_exported(site.exported(**changes), fingerprint=site.fingerprint)
    assert refused.value.code is code
    assert refused.value.exit_status == 1


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b"\xff", b'{"format": "almenara record 2"}', b"almenara"],
    ids=["empty", "object", "list", "not text", "another format", "word"],
)
def test_what_is_no_exported_record_is_named_so(text: bytes) -> None:
    with pytest.raises(RecordRefused) as refused:
        parse_exported(text)
    assert refused.value.code is Code.MALFORMED


def test_a_name_that_is_none_is_refused(site: Site) -> None:
    for change in ({"publisher": "../PE"}, {"audience": "Region!"}):
        with pytest.raises(RecordRefused):
            parse_exported(site.exported(**change).to_bytes())


def test_a_file_too_large_is_refused_unread() -> None:
    with pytest.raises(RecordRefused) as refused:
        parse_exported(bytes(EXPORT_MAX + 1))
    assert refused.value.code is Code.OVERSIZE


def test_base64_with_stray_bits_is_refused(site: Site) -> None:
    """The last digit of base64 has bits that mean nothing: they too must be as written."""
    data = site.exported(root=b"x").to_bytes()
    assert b'"eA=="' in data
    assert b64decode("eB==") == b"x"
    with pytest.raises(RecordRefused):
        parse_exported(data.replace(b'"eA=="', b'"eB=="'))


def test_a_cache_without_a_directory_is_a_wait_not_a_refusal(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as away:
        directory_files(tmp_path, site.targets)
    assert away.value.code is Code.DIRECTORY_MISSING
    with pytest.raises(Unavailable):
        directory_files(site.cache, without(site.targets, "federation.json"))


def test_the_checksum_covers_every_other_field(site: Site) -> None:
    exported = site.exported()
    bare = msgspec.json.encode(exported)
    assert exported.checksum == hashlib.sha256(bare).hexdigest()
    assert b64encode(exported.record) in bare


def test_a_statement_without_its_audience_is_refused(site: Site) -> None:
    with pytest.raises(StatementRefused) as refused:
        verify_exported(site.exported(audience="op-nowhere"), fingerprint=site.fingerprint)
    assert refused.value.code in {Code.UNKNOWN_AUDIENCE, Code.WRONG_STREAM}
