"""Enrolments of members whose key files stand in a folder, for the tests of the coordinator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from almenara.model.ids import MemberId
from almenara.trust.certificates import create_tls_request
from almenara.trust.enrolment import make_enrolment
from almenara.trust.keys import create_sealing_key, create_signing_key, load_signing_key

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def enrol(
    folder: Path, member: str, *, now: datetime, federation: str = "ams", signing: Path | None = None
) -> bytes:
    """Return a new enrolment; `signing` uses that signing key instead of a new one."""
    keys = folder / f"{member}-{len(list(folder.iterdir()))}"
    keys.mkdir()
    if signing is None:
        signing = keys / "signing.json"
        create_signing_key(signing, passphrase=None)
    return make_enrolment(
        federation=federation,
        member=MemberId(member),
        name=f"Customs of {member}",
        signing_key=load_signing_key(f"file:{signing}", passphrase=None),
        sealing_key=create_sealing_key(keys / "sealing.json", passphrase=None),
        tls_request=create_tls_request(MemberId(member), keys / "tls.key"),
        now=now,
    )
