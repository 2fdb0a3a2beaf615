"""What does fastavro alone take for the same alerts on the same schema? The measure of every ratio.

Encoding starts from a dict ready for fastavro and ends with bytes; decoding the other way round.
Nothing is checked, sealed, signed, sent or stored.
"""

from __future__ import annotations

import time
from io import BytesIO
from typing import TYPE_CHECKING, Any

import fastavro

from almenara.wire.messages import encode_message
from almenara.wire.schemas import load_schemas, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from almenara.model.messages import Message

ROUNDS = 3


def bare_rates(alerts: Sequence[Message]) -> tuple[float, float]:
    """Return alerts a second encoded and decoded by one core of its own, the best of a few rounds.

    Taken in processor time: what else runs on the machine then changes little.
    """
    schema: Any = fastavro.parse_schema(resolve("Message", load_schemas()))
    items = [encode_message(alert) for alert in alerts]
    rows = [_read(item, schema) for item in items]

    def encode(row: Any) -> None:  # noqa: ANN401 - fastavro's values
        fastavro.schemaless_writer(BytesIO(), schema, row)

    def decode(item: bytes) -> None:
        fastavro.schemaless_reader(BytesIO(item), schema, None)

    return _rate(encode, rows), _rate(decode, items)


def _read(item: bytes, schema: Any) -> Any:  # noqa: ANN401 - fastavro's values
    # With the record's name beside its fields fastavro need not guess the branch of the body.
    return fastavro.schemaless_reader(BytesIO(item), schema, None, return_record_name=True)


def _rate(work: Callable[[Any], None], values: Sequence[Any]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for value in values:
            work(value)
        best = min(best, time.process_time() - began)
    return len(values) / best
