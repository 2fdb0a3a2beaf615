"""The ML-DSA signatures of the golden checkpoints: random as the slots, so inputs as they are."""

from __future__ import annotations

import json

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from almenara.trust.keys import CheckpointKey
from conformance.federation import HERE, secret, to_json

FILE = HERE / "inputs" / "signatures.json"


class GoldenKey(CheckpointKey):
    """PE's checkpoint key, which signs one golden record with the signature that is kept of it.

    `renewing` (build.py --new-signatures) signs anew and keeps that.
    """

    __slots__ = ("_record",)
    renewing = False

    def __init__(self, record: str) -> None:
        super().__init__(MLDSA65PrivateKey.from_seed_bytes(secret("PE checkpoint")))
        self._record = record

    def sign(self, data: bytes) -> bytes:
        """Return the signature of the inputs; whether it is right, whoever verifies it tells."""
        kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
        if self.renewing:
            kept[self._record] = super().sign(data).hex()
            FILE.write_text(to_json(kept), encoding="utf-8")
        return bytes.fromhex(kept[self._record])
