"""A published directory, and what a member's node exports under it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from almenara.trust.exported import directory_files
from almenara.trust.exportfile import ExportedRecord
from almenara.trust.refresh import refresh, root_fingerprint
from almenara.trust.repository import Repository
from almenara.wire.avro import canonical_form
from almenara.wire.seal import statement_key
from unit.trust.federation import DAY, NOW, PE, REGION, targets
from unit.trust.statements import CONTEXT, K, statement

if TYPE_CHECKING:
    from pathlib import Path

LATER = NOW + DAY / 2


class Site:
    """A published directory, and the cache of a member's node that has verified it."""

    def __init__(self, folder: Path, files: dict[str, bytes] | None = None) -> None:
        self.repository = Repository.create(folder / "repository", federation="ams", now=NOW)
        for name, data in (files or targets()).items():
            self.repository.set_target(name, data)
        self.repository.publish(NOW)
        self.root = self.repository.first_root
        self.fingerprint = root_fingerprint(self.root)
        self.cache = folder / "cache"
        self.targets = self.refresh()

    def refresh(self) -> dict[str, bytes]:
        return refresh(dict(self.repository.files()), cache=self.cache, root=self.root, now=NOW).targets

    def exported(self, **changes: Any) -> ExportedRecord:  # noqa: ANN401 - any field
        fields: dict[str, Any] = {
            "audience": REGION,
            "publisher": PE,
            "record": statement().record,
            "root": self.root,
            "directory": directory_files(self.cache, self.targets),
            "directory_at": NOW,
            "exported_at": LATER,
            "k_s": statement_key(K.key, CONTEXT, 4),
            "schema": canonical_form("Batch").decode(),
        }
        return ExportedRecord(**{**fields, **changes})
