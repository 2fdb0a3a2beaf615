"""The federation that the targets know: that of the golden records, and the same as published files."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

from almenara.model.ids import REGION, Stream
from almenara.trust.directory import Expiries, MemberStatus
from almenara.trust.refresh import root_fingerprint
from almenara.trust.repository import Repository
from almenara.trust.targets import (
    FEDERATION_TARGET,
    MEMBERS,
    AudienceFile,
    FederationFile,
    MemberFile,
    VerifiedTargets,
    audience_target,
    build_directory,
    encode_target,
    member_target,
)
from conformance.federation import BEGIN, DIRECTORY_VERSION, FEDERATION, NOW, PE, directory

STREAM = Stream(REGION, PE)
"""Where every fuzzed record is said to stand."""

GOLDEN = directory()

EXPIRES = Expiries(**dict.fromkeys(Expiries.__struct_fields__, NOW + timedelta(days=1)))


def _files() -> dict[str, bytes]:
    return {
        FEDERATION_TARGET: encode_target(
            FederationFile(
                federation=FEDERATION, bootstrap="127.0.0.1:9094", schemas=tuple(sorted(GOLDEN.schemas))
            )
        ),
        **{
            member_target(member.id): encode_target(
                MemberFile(
                    enrolment=member.enrolment, status=MemberStatus.ACTIVE, generation=1, admitted_at=BEGIN
                )
            )
            for member in GOLDEN.members.values()
        },
        **{
            audience_target(audience.id): encode_target(
                AudienceFile(
                    kind=audience.kind,
                    title=audience.title,
                    members=() if audience.id == REGION else tuple(sorted(audience.members)),
                    retention_days=audience.retention_days,
                )
            )
            for audience in GOLDEN.audiences.values()
        },
    }


FILES = VerifiedTargets(version=DIRECTORY_VERSION, targets=_files(), expires=EXPIRES)
DIRECTORY = build_directory(FILES)


class Published(NamedTuple):
    """The directory as a coordinator publishes it; its roles' keys are new in each process."""

    root: bytes
    files: dict[str, bytes]

    @property
    def fingerprint(self) -> str:
        """Return what people compare."""
        return root_fingerprint(self.root)


@cache
def published() -> Published:
    """Return the directory under its published names."""
    with tempfile.TemporaryDirectory(prefix="almenara-") as folder:
        repository = Repository.create(Path(folder), federation=FEDERATION, now=NOW)
        for name, data in sorted(FILES.targets.items()):
            repository.set_target(name, data)
            if name < MEMBERS:
                repository.publish(NOW)
        repository.publish(NOW)
        return Published(root=repository.first_root, files=dict(repository.files()))
