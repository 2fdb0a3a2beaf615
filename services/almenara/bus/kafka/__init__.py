"""How do records get to the broker and from it? The only package that imports aiokafka.

Clients open at the first call, so that a node starts while the broker is away. Both take a live
SSLContext: after `load_cert_chain` on it, new connections use the new certificate; open ones keep
the old until `renew`.
"""

from __future__ import annotations

from almenara.bus.kafka.connection import REQUEST_TIMEOUT_S, answers, require_answer
from almenara.bus.kafka.insync import in_sync
from almenara.bus.kafka.reader import Reader
from almenara.bus.kafka.sender import Sender
from almenara.bus.kafka.unpacking import refuse_compressed_records

refuse_compressed_records()

__all__ = ["REQUEST_TIMEOUT_S", "Reader", "Sender", "answers", "in_sync", "require_answer"]
