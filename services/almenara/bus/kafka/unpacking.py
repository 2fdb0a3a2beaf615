"""What may a broker make us unpack? Nothing.

Topics are `compression.type=uncompressed`, so a broker that keeps to it unpacks and measures what members
send. One that does not could serve a record that unpacks to a thousand times its size, and aiokafka has
no limit to set: its decoders are taken away, and such a fetch fails by name instead (THREATS 16).
"""

from __future__ import annotations

from typing import NoReturn

from aiokafka.errors import UnsupportedCodecError
from aiokafka.record import default_records, legacy_records
from aiokafka.record._crecords import default_records as compiled_default
from aiokafka.record._crecords import legacy_records as compiled_legacy

_DECODERS = ("gzip_decode", "snappy_decode", "lz4_decode", "zstd_decode")


def _refuse(*_packed: object) -> NoReturn:
    raise UnsupportedCodecError("the broker serves compressed records; its topics must be uncompressed")


def refuse_compressed_records() -> None:
    """Have every client of this process fail a fetch of compressed records with UnsupportedCodecError."""
    for module in (default_records, legacy_records, compiled_default, compiled_legacy):
        for name in _DECODERS:
            if hasattr(module, name):
                setattr(module, name, _refuse)
